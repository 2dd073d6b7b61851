//! The connectors of the crate `tidemill-http` against real clients and servers.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often a run is killed; 5 if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

mod answers;
mod by_proxy;
mod clients;
mod common;
mod influxdb;
mod kills;
mod pressure;
mod security;
mod server;
mod speed;
mod webhook;
