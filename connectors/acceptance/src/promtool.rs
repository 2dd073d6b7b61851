//! What Prometheus says about an exposition.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::environment;

/// Whether Prometheus accepts `metrics`; else what is wrong with them.
///
/// # Errors
/// What `promtool check metrics` complains about.
///
/// # Panics
/// If it cannot be run.
pub fn check_metrics(metrics: &str) -> Result<(), String> {
    let mut command = Command::new(environment::program("promtool"));
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool runs");
    child.stdin.take().expect("a pipe").write_all(metrics.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("an end");
    let said = [output.stdout, output.stderr].concat();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said).into_owned()),
    }
}
