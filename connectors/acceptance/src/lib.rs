//! Real servers for tests, started on loopback in temporary folders, and a proxy between tidemill and them that misbehaves.
//!
//! | module | what |
//! |---|---|
//! | [`server`] | one type per server: [`Mosquitto`], [`Postgres`] |
//! | [`authority`] | certificates for them and for their clients |
//!
//! All functions panic when something is missing or fails, with what to do: they are for tests alone. A server ends when it is dropped,
//! and also when the process of the tests is killed. `cargo xtask servers` installs what is missing.

pub mod authority;
mod environment;
mod port;
mod process;
pub mod server;

pub use authority::Authority;
pub use server::{Mosquitto, Postgres};
