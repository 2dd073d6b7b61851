//! Checks that the code compiles for platforms without test runs: the core for WebAssembly, everything for macOS.

use std::process::Command;

use crate::{Outcome, cargo, run, zig};

const WEB_ASSEMBLY: &str = "wasm32-unknown-unknown";
const MACOS: &str = "aarch64-apple-darwin";

/// Checks it, warnings denied.
pub(crate) fn platforms() -> Outcome {
    run(Command::new("rustup").args(["target", "add", WEB_ASSEMBLY, MACOS]))?;
    cargo(&["clippy", "--package", "tidemill-core", "--target", WEB_ASSEMBLY, "--", "-D", "warnings"])?;
    // The engine contains C code (zstd); zig provides a compiler and the headers of macOS.
    let packages = ["tidemill-core", "tidemill-engine", "tidemill", "tidemill-python"];
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    run(zig::cargo_zigbuild()?.arg("clippy").args(packages).args(["--target", MACOS, "--", "-D", "warnings"]))
}
