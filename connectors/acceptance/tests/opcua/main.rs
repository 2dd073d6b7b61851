//! The connector `opcua` against the server of asyncua.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often the run and the server are killed; 5 each if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

#![cfg(feature = "opcua")]

mod common;
mod failures;
mod history;
mod security;
mod speed;
mod values;
