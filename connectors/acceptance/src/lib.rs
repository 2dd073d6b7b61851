//! Real servers for tests, started on loopback in temporary folders, and a proxy between tidemill and them that misbehaves.
//!
//! | module | what |
//! |---|---|
//! | [`server`] | one type per server: [`Mosquitto`], [`Postgres`], [`Nats`], [`Kafka`] |
//! | [`http`] | [`HttpSink`]: an HTTP server that records requests and answers as told |
//! | [`authority`] | certificates for them and for their clients |
//!
//! All functions panic when something is missing or fails, with what to do: they are for tests alone. A server ends when it is dropped,
//! and also when the process of the tests is killed. `cargo xtask servers` installs what is missing.

pub mod authority;
mod environment;
pub mod http;
mod listener;
mod port;
mod process;
pub mod server;

pub use authority::{Authority, Identity};
pub use http::{Answer, HttpSink, Request};
pub use server::{Kafka, Mosquitto, Nats, Postgres};
