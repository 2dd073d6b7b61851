//! The command line, in a process that has Python: pipeline files may name components in Python.

use std::ffi::OsString;

use pyo3::prelude::*;

use crate::runs::show_traces;

/// Runs the command `tidemill` with these arguments, the first of which is the program's name; gives its exit code.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    show_traces();
    py.detach(|| tidemill::cli::run(arguments))
}
