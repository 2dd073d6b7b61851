//! What a user meets when something is wrong: one message that says what to do next, the exit code, the older output
//! untouched, and nothing left of the new one.

#[path = "failures/before_records.rs"]
mod before_records;
#[path = "common/command.rs"]
mod command;
#[path = "failures/input.rs"]
mod input;
#[path = "failures/midway.rs"]
mod midway;
#[path = "failures/mistakes.rs"]
mod mistakes;
#[path = "failures/output.rs"]
mod output;
#[path = "failures/panics.rs"]
mod panics;
#[path = "failures/rig.rs"]
mod rig;
#[path = "failures/traps.rs"]
mod traps;
