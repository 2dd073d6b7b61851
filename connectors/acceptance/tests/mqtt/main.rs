//! The connector `mqtt` against mosquitto.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often the run and the broker are killed; 5 each if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

#![cfg(feature = "mqtt")]

mod broker;
mod kills;
mod login;
mod memory;
mod payloads;
mod sparkplug;
mod stops;
