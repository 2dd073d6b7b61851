//! Random input against what judges it. Here is all of it but the fuzzer: `fuzz_targets` give these functions what libFuzzer makes up, and
//! `tests/fuzz.rs` of the engine, which needs no other compiler, the seeds and what chance makes of them.

mod choices;
pub mod decode;
mod formats;
pub mod run;
