//! Real servers for tests, started on loopback in temporary folders, and a proxy between tidemill and them that misbehaves.
//!
//! | module | what |
//! |---|---|
//! | [`server`] | one type per server: [`Mosquitto`], [`Postgres`], [`Nats`], [`Moto`], [`Azurite`], [`Kafka`], [`Influx`], [`Modbus`], [`OpcUa`], [`Telegraf`] |
//! | [`authority`] | certificates for them and for their clients |
//! | [`http`], [`mail`] | [`HttpSink`], [`MailSink`]: servers that record what they are given and answer as told |
//! | [`echo`] | [`Echo`]: a server that sends back whatever it is told |
//! | [`proxy`] | [`Proxy`]: it stands between tidemill and a server, and misbehaves as told |
//! | [`lake`] | programs that read tables of a lake: delta-rs, Polars, DuckDB, Spark, PyIceberg |
//! | [`job`] | [`Job`]: pipelines run by the command with all connectors, `tidemill-all` |
//! | [`pairs`] | a source and a sink, through kills and restarts |
//! | [`chance`] | random moments that can be repeated |
//! | [`promtool`] | what Prometheus says about metrics |
//!
//! All functions panic when something is missing or fails, with what to do: they are for tests alone. A server ends when it is dropped,
//! and also when the process of the tests is killed. `cargo xtask servers` installs what is missing.

pub mod authority;
pub mod chance;
pub mod echo;
mod environment;
pub mod http;
pub mod job;
pub mod lake;
mod listener;
pub mod mail;
pub mod pairs;
mod port;
mod process;
pub mod promtool;
pub mod proxy;
pub mod server;

pub use authority::{Authority, Identity};
pub use echo::Echo;
pub use http::{Answer, HttpSink, Request};
pub use job::{Ended, Job, Run};
pub use mail::{Mail, MailSink};
pub use port::Port;
pub use proxy::{Direction, Fault, Proxy};
pub use server::{Azurite, Influx, Kafka, Modbus, Mosquitto, Moto, Nats, OpcUa, Postgres, Telegraf};
