//! The command, run in a folder of its own.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The command, with nothing on standard input.
pub(crate) fn tidemill(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// What it gives.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    tidemill(folder).args(arguments).output().expect("the command runs")
}

/// Bytes as people read them.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder that is gone in the end.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}
