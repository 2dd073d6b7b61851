//! `cargo xtask live`: live runs under load. See `benches/README.md`.

use std::process::Command;

use crate::{Outcome, cargo, root, run, target, tools};

/// Sets up the environment, builds tidemill and the load generator, measures with `options`.
pub(crate) fn live(options: &[&str]) -> Outcome {
    let benches = root().join("benches");
    let python = tools::python_with("live", &benches.join("live/requirements.txt"))?;
    cargo(&["build", "--release", "--locked", "--package", "tidemill", "--package", "tidemill-load"])?;
    let release = target()?.join("release");
    let mut command = Command::new(python);
    command.args(["-m", "live", "--tidemill"]).arg(release.join("tidemill"));
    command.arg("--load").arg(release.join("tidemill-load")).args(options);
    run(command.env("PYTHONPATH", benches).env("PYTHONDONTWRITEBYTECODE", "1"))
}
