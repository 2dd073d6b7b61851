//! `cargo xtask peers`: tidemill beside Polars, DuckDB, chDB and DataFusion; `cargo xtask scaling`: how it scales. See
//! `benches/README.md`.

use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, cargo, root, run, target, tools};

/// Sets up the environment, builds the binary, runs the comparison with `options`.
pub(crate) fn peers(options: &[&str]) -> Outcome {
    let python = tools::python_with("peers", &benches().join("peers/requirements.txt"))?;
    cargo(&["build", "--release", "--locked"])?;
    let mut command = Command::new(python);
    command.args(["-m", "peers", "--tidemill"]).arg(target()?.join("release/tidemill")).args(options);
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
    for package in ["peers", "scaling", "live"] {
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
