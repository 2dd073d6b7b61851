//! The connector `nats` against nats-server.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often the run and the server are killed; 5 each if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

#![cfg(feature = "nats")]

mod faults;
mod kills;
mod reading;
mod refusals;
mod server;
mod shared;
mod streams;
