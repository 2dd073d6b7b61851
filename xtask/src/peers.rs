//! `cargo xtask peers`: tidemill beside Polars, DuckDB, chDB and DataFusion; `cargo xtask shapes`: by the shape of a file, beside Polars;
//! `cargo xtask scaling`: how it scales. See `benches/README.md`.

use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, cargo, root, run, target, tools};

/// The comparison with all peers.
pub(crate) fn peers(options: &[&str]) -> Outcome {
    beside_peers("peers", options)
}

/// The comparison with Polars, shape by shape.
pub(crate) fn shapes(options: &[&str]) -> Outcome {
    beside_peers("shapes", options)
}

/// Sets up the environment of the peers, builds the binary, runs the package `name` with `options`.
fn beside_peers(name: &str, options: &[&str]) -> Outcome {
    let python = tools::python_with("peers", &benches().join("peers/requirements.txt"))?;
    cargo(&["build", "--release", "--locked"])?;
    let mut command = Command::new(python);
    command.args(["-m", name, "--tidemill"]).arg(target()?.join("release/tidemill")).args(options);
    run(command.env("PYTHONPATH", benches()))
}

/// Runs the scaling benchmark: standard library only.
pub(crate) fn scaling(options: &[&str]) -> Outcome {
    tools::installed("python3", "python3")?;
    cargo(&["build", "--release", "--locked"])?;
    let mut command = Command::new("python3");
    command.args(["-m", "scaling", "--tidemill"]).arg(target()?.join("release/tidemill")).args(options);
    run(command.env("PYTHONPATH", benches()).env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// The tests of all benchmark packages: standard library only.
pub(crate) fn test() -> Outcome {
    tools::installed("python3", "python3")?;
    for package in ["peers", "scaling", "shapes", "live"] {
        let tests = format!("benches/{package}/tests");
        let mut command = Command::new("python3");
        command.args(["-m", "unittest", "discover", "-s", &tests, "-t", "benches"]);
        // Leaves no files in the checkout.
        run(command.env("PYTHONDONTWRITEBYTECODE", "1"))?;
    }
    Ok(())
}

fn benches() -> PathBuf {
    root().join("benches")
}
