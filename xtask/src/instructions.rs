//! `cargo xtask instructions`: counts the instructions of the kernels under valgrind; see `benches/README.md`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{Outcome, built, cargo, cargo_command, line, root, tools};

/// The version of gungraun, library and runner.
const GUNGRAUN: &str = "0.20.0";

const RECORD: &str = "benches/record/instructions.json";

/// Packages that are counted: built with release settings, while their dependencies are built as for tests. This takes a quarter of
/// the time of a release build, and reuses the dependencies of the tests.
const COUNTED: [&str; 4] = ["tidemill", "tidemill-instructions", "tidemill-core", "tidemill-engine"];

/// Settings that build one package as for a release.
const RELEASED: [&str; 4] =
    ["opt-level=3", "codegen-units=1", "debug-assertions=false", "overflow-checks=false"];

/// Fails if a count grew by more than 3 % against the record.
pub(crate) fn check() -> Outcome {
    compare(&[RECORD])
}

/// Records the current counts.
pub(crate) fn record() -> Outcome {
    compare(&[RECORD, "--record"])
}

fn compare(arguments: &[&str]) -> Outcome {
    tools::installed("valgrind", "valgrind")?;
    let counts = counted(&runner()?)?;
    let mut command = Command::new(built("tidemill-instructions")?);
    command.args(arguments);
    let mut child = command
        .current_dir(root())
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`{}` cannot be run: {error}", line(&command)))?;
    // Dropped at once, which ends the child's input. If the child does not read all of it, its status is a failure.
    let _ = child.stdin.take().map(|mut input| input.write_all(&counts));
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("`{}` failed", line(&command))),
    }
}

/// The output of the benches: a JSON object each.
fn counted(runner: &PathBuf) -> Result<Vec<u8>, String> {
    let mut command = cargo_command();
    for setting in COUNTED.iter().flat_map(|package| RELEASED.map(|setting| (package, setting))) {
        command.arg("--config").arg(format!("profile.dev.package.{}.{}", setting.0, setting.1));
    }
    // The whole workspace, so that its dependencies have the features that they have in tests.
    command
        .args(["bench", "--profile", "dev", "--locked", "--workspace"])
        .args(["--bench", "instructions", "--", "--output-format=json"])
        .env("GUNGRAUN_RUNNER", runner)
        .current_dir(root())
        .stderr(Stdio::inherit());
    eprintln!("$ {}", line(&command));
    let output = command.output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("`{}` failed", line(&command))) }
}

/// The runner of the benches under valgrind; installed into the cache if missing.
fn runner() -> Result<PathBuf, String> {
    let folder = tools::cache().join(format!("gungraun-runner-{GUNGRAUN}"));
    let tool = folder.join("bin/gungraun-runner");
    if !tool.exists() {
        let root = folder.display().to_string();
        // Unoptimised, it is built in half the time, and it only starts valgrind.
        let version = ["--version", GUNGRAUN, "--locked", "--debug"];
        cargo(&[&["install", "gungraun-runner", "--root", &root][..], &version].concat())?;
    }
    Ok(tool)
}
