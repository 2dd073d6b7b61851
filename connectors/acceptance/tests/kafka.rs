//! The source and the sink `kafka` against a real broker.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how many kills, of tidemill and of the broker each; 5 if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier run; the moment of a kill depends on the machine too |

#![cfg(feature = "kafka")]

#[path = "kafka/broker.rs"]
mod broker;
#[path = "kafka/kills.rs"]
mod kills;
#[path = "kafka/login.rs"]
mod login;
#[path = "kafka/registry.rs"]
mod registry;
#[path = "kafka/share.rs"]
mod share;
#[path = "kafka/sink.rs"]
mod sink;
#[path = "kafka/source.rs"]
mod source;
#[path = "kafka/speed.rs"]
mod speed;
