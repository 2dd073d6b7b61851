//! Errors to exceptions (`tidemill.errors`), and what a component in Python raised through the engine and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::exceptions::PyGeneratorExit;
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

/// The exception for a pipeline with mistakes: all of them, each with its position.
pub(crate) fn spec_exception(py: Python<'_>, error: &SpecError) -> PyErr {
    raised(py, "SpecError", error.render(false).trim_end(), |_| Ok(()))
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

/// Whether what components raise is printed: on the command line, nobody else would see where it was.
static SHOWS_TRACES: AtomicBool = AtomicBool::new(false);

/// From now on, what components raise is printed.
pub(crate) fn show_traces() {
    SHOWS_TRACES.store(true, Ordering::Relaxed);
}

/// What components in Python raised in runs: the engine's error tells of it, and the exception itself goes to whoever started the run.
#[derive(Clone, Default)]
pub(crate) struct Raised(Arc<Mutex<Vec<(String, PyErr)>>>);

/// Exceptions that are kept at most: of runs that go on side by side, each has one.
const KEPT: usize = 64;

impl Raised {
    /// Keeps what `component` raised; gives the error that ends the run.
    pub(crate) fn keep(&self, py: Python<'_>, component: &str, exception: PyErr) -> Error {
        // The stream raised it because the run has ended, for another reason.
        if exception.is_instance_of::<PyGeneratorExit>(py) {
            return Error::new(ErrorKind::Interrupted, format!("{component} was stopped"));
        }
        let message = format!("{component} raised {exception}");
        let note = format!("raised by {component} of a tidemill pipeline");
        // A note tells where it was; an exception without one is as good.
        drop(exception.value(py).call_method1("add_note", (note,)));
        if SHOWS_TRACES.load(Ordering::Relaxed) {
            exception.display(py);
        }
        let mut kept = self.0.lock();
        let surplus = (kept.len() >= KEPT).then(|| kept.remove(0));
        kept.push((message.clone(), exception));
        drop(kept);
        // Its objects may do anything when they go: not while others wait for the lock.
        drop(surplus);
        Error::data(message)
    }

    /// The exception for `error`: what a component raised, if that is what the error tells of.
    pub(crate) fn exception(&self, py: Python<'_>, error: &Error) -> PyErr {
        let mut kept = self.0.lock();
        let at = kept.iter().position(|(message, _)| error.message().ends_with(message.as_str()));
        let found = at.map(|at| kept.remove(at).1);
        drop(kept);
        found.unwrap_or_else(|| exception(py, error))
    }
}
