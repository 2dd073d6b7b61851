//! `cargo xtask peers`: tidemill beside Polars, DuckDB, chDB and DataFusion; see `benches/README.md`.

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

/// The tests of the comparison itself: standard library only.
pub(crate) fn test() -> Outcome {
    tools::installed("python3", "python3")?;
    let mut command = Command::new("python3");
    command.args(["-m", "unittest", "discover", "-s", "benches/peers/tests", "-t", "benches"]);
    // Nothing is left behind in the checkout.
    run(command.env("PYTHONDONTWRITEBYTECODE", "1"))
}

fn benches() -> PathBuf {
    root().join("benches")
}
