//! Errors to exceptions: `tidemill.errors`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tidemill::pipeline::SpecError;
use tidemill::{Error, ErrorKind};

/// The exception for `error`.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let name = match error.kind() {
        ErrorKind::Usage | ErrorKind::Config => "SpecError",
        ErrorKind::Data => "DataError",
        ErrorKind::Unavailable => "UnavailableError",
        ErrorKind::Io => "TransferError",
        ErrorKind::Interrupted => "StoppedError",
        _ => "InternalError",
    };
    raised(py, name, &error.to_string(), |details| {
        details.set_item("help", error.help())?;
        let position = error.position().map(|place| (place.file.to_string(), place.line, place.offset));
        details.set_item("position", position)
    })
}

/// Whether it says that a run was stopped.
pub(crate) fn is_stopped(py: Python<'_>, raised: &PyErr) -> bool {
    let kind = py.import("tidemill.errors").and_then(|errors| errors.getattr("StoppedError"));
    kind.is_ok_and(|kind| raised.matches(py, kind).unwrap_or(false))
}

/// The exception for a pipeline with mistakes: all of them, each with its position.
pub(crate) fn spec_exception(py: Python<'_>, error: &SpecError) -> PyErr {
    raised(py, "SpecError", error.render(false).trim_end(), |_| Ok(()))
}

/// `raised` while the exception `before` was handled: it becomes the context, so that both are shown.
pub(crate) fn in_context(py: Python<'_>, raised: PyErr, before: &Bound<'_, PyAny>) -> PyErr {
    /// Exceptions in one chain at most.
    const LONGEST: usize = 100;
    let mut last = raised.value(py).clone().into_any();
    for _ in 0..LONGEST {
        if last.is(before) {
            return raised;
        }
        match last.getattr("__context__") {
            Ok(context) if !context.is_none() => last = context,
            _ => break,
        }
    }
    // An exception without its context is as good.
    drop(last.setattr("__context__", before));
    raised
}

fn raised(
    py: Python<'_>,
    name: &str,
    message: &str,
    details: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>,
) -> PyErr {
    let make = || {
        let keywords = PyDict::new(py);
        details(&keywords)?;
        py.import("tidemill.errors")?.getattr(name)?.call((message,), Some(&keywords))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}
