//! The source `modbus` against devices of pymodbus.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often the run and the device are killed; 5 each if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

#![cfg(feature = "modbus")]

mod common;
mod failures;
mod polls;
mod speed;
