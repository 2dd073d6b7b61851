//! Checks that the code compiles where no test runs: the core for WebAssembly, everything for macOS, the library without the command.

use std::process::Command;

use crate::{Outcome, cargo, cargo_command, root, run, zig};

const WEB_ASSEMBLY: &str = "wasm32-unknown-unknown";
const MACOS: &str = "aarch64-apple-darwin";

/// Packages that only the command needs.
const OF_THE_COMMAND: [&str; 5] = ["clap", "clap_complete", "ctrlc", "indicatif", "pprof"];

/// Checks it, warnings denied.
pub(crate) fn platforms() -> Outcome {
    library()?;
    run(Command::new("rustup").args(["target", "add", WEB_ASSEMBLY, MACOS]))?;
    cargo(&["clippy", "--package", "tidemill-core", "--target", WEB_ASSEMBLY, "--", "-D", "warnings"])?;
    // The engine contains C code (zstd); zig provides a compiler and the headers of macOS.
    let packages = ["tidemill-core", "tidemill-engine", "tidemill", "tidemill-python"];
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    run(zig::cargo_zigbuild()?.arg("clippy").args(packages).args(["--target", MACOS, "--", "-D", "warnings"]))
}

/// The library without the feature `cli`.
fn library() -> Outcome {
    let library = ["--package", "tidemill", "--no-default-features", "--locked"];
    cargo(&[&["clippy", "--lib"], &library[..], &["--", "-D", "warnings"]].concat())?;
    let mut tree = cargo_command();
    tree.current_dir(root()).arg("tree").args(library).args(["--edges", "normal", "--prefix", "none"]);
    let output = tree.output().map_err(|error| format!("`cargo tree` cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("`cargo tree` failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let packages = String::from_utf8_lossy(&output.stdout);
    let packages = packages.lines().filter_map(|line| line.split(' ').next());
    match packages.into_iter().find(|package| OF_THE_COMMAND.contains(package)) {
        None => Ok(()),
        Some(package) => Err(format!("the library depends on {package} without the feature `cli`")),
    }
}
