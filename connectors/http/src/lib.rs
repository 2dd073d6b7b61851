//! HTTP for **tidemill**: sources and sinks of pipelines that speak it, as client and as server. A program that links this crate can use them by name.
//!
//! | module | component |
//! |---|---|
//! | [`server`] | source `http`: a server that others send records to |
//! | [`poll`] | source `poll`: addresses that are asked for records |
//! | [`sse`] | source `sse`: server-sent events |
//! | [`websocket`] | source `websocket`: messages of a WebSocket |
//! | [`influxdb`] | sink `influxdb`: line protocol to InfluxDB and what speaks its API |
//! | [`webhook`] | sink `webhook`: records or alerts as requests |
//!
//! The clients are [`tidemill_connect::http`].

mod frames;
mod hash;
mod inbox;
pub mod influxdb;
pub mod poll;
mod progress;
pub mod server;
pub mod sse;
pub mod webhook;
pub mod websocket;
