//! Whether the core compiles where no test can run: on WebAssembly, and on macOS.

use std::process::Command;

use crate::{Outcome, cargo, run};

const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "aarch64-apple-darwin"];

/// Checks it, warnings denied.
pub(crate) fn platforms() -> Outcome {
    for target in TARGETS {
        run(Command::new("rustup").args(["target", "add", target]))?;
        cargo(&["clippy", "--package", "tidemill-core", "--target", target, "--", "-D", "warnings"])?;
    }
    Ok(())
}
