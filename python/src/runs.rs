//! What the runs of a pipeline and its components in Python know of each other: what was raised, and whether a run is to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pyo3::exceptions::{PyGeneratorExit, PyOSError};
use pyo3::prelude::*;
use tidemill::{Error, ErrorKind, Result};

use crate::errors::exception;

/// Whether what components raise is printed: on the command line, nobody else would see where it was.
static SHOWS_TRACES: AtomicBool = AtomicBool::new(false);

/// From now on, what components raise is printed.
pub(crate) fn show_traces() {
    SHOWS_TRACES.store(true, Ordering::Relaxed);
}

/// Exceptions that are kept at most: of runs that go on side by side, each has one.
const KEPT: usize = 64;

/// The runs of one pipeline. All copies are the same.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// What components raised: the engine's error tells of it, and the exception itself goes to whoever started the run.
    raised: Mutex<Vec<(String, PyErr)>>,
    ongoing: Mutex<Vec<Weak<Ongoing>>>,
}

/// A run that goes on, as long as its thread has this.
pub(crate) struct Ongoing {
    stop: Arc<AtomicBool>,
    is_abandoned: AtomicBool,
}

impl Ongoing {
    /// Nobody waits for the run any more: it ends as soon as it can, whatever is lost.
    pub(crate) fn abandon(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.is_abandoned.store(true, Ordering::Relaxed);
    }
}

impl Runs {
    /// Notes a run, which `stop` stops.
    pub(crate) fn begin(&self, stop: &Arc<AtomicBool>) -> Arc<Ongoing> {
        let run = Arc::new(Ongoing { stop: Arc::clone(stop), is_abandoned: AtomicBool::new(false) });
        let mut ongoing = self.0.ongoing.lock();
        ongoing.retain(|run| run.strong_count() > 0);
        ongoing.push(Arc::downgrade(&run));
        run
    }

    /// Whether no run goes on.
    pub(crate) fn are_over(&self) -> bool {
        self.0.ongoing.try_lock().is_some_and(|ongoing| ongoing.iter().all(|run| run.strong_count() == 0))
    }

    /// Whether all runs that go on are to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.all(|run| run.stop.load(Ordering::Relaxed))
    }

    /// Fails once nobody waits for a run any more.
    pub(crate) fn check(&self) -> Result<()> {
        match self.all(|run| run.is_abandoned.load(Ordering::Relaxed)) {
            true => Err(Error::new(ErrorKind::Interrupted, "nobody waits for the run any more")),
            false => Ok(()),
        }
    }

    /// Of runs that other programs started, such as the command, nothing is known: then there are none.
    fn all(&self, holds: impl Fn(&Ongoing) -> bool) -> bool {
        let ongoing = self.0.ongoing.lock();
        let mut runs = ongoing.iter().filter_map(Weak::upgrade).peekable();
        runs.peek().is_some() && runs.all(|run| holds(&run))
    }

    /// Keeps what `component` raised; gives the error that ends the run.
    pub(crate) fn keep(&self, py: Python<'_>, component: &str, exception: PyErr) -> Error {
        // The stream raised it because the run has ended, for another reason.
        if exception.is_instance_of::<PyGeneratorExit>(py) {
            return Error::new(ErrorKind::Interrupted, format!("{component} was stopped"));
        }
        // What the system refused may pass; anything else is wrong with the records or the component.
        let kind = if exception.is_instance_of::<PyOSError>(py) { ErrorKind::Io } else { ErrorKind::Data };
        let message = format!("{component} raised {exception}");
        let note = format!("raised by {component} of a tidemill pipeline");
        // A note tells where it was; an exception without one is as good.
        drop(exception.value(py).call_method1("add_note", (note,)));
        if SHOWS_TRACES.load(Ordering::Relaxed) {
            exception.display(py);
        }
        let mut kept = self.0.raised.lock();
        let surplus = (kept.len() >= KEPT).then(|| kept.remove(0));
        kept.push((message.clone(), exception));
        drop(kept);
        // Its objects may do anything when they go: not while others wait for the lock.
        drop(surplus);
        Error::new(kind, message)
    }

    /// The exception for the `error` that ended a run: what a component raised, if that is what the error tells of.
    pub(crate) fn exception(&self, py: Python<'_>, error: &Error) -> PyErr {
        let mut kept = self.0.raised.lock();
        let at = kept.iter().position(|(message, _)| error.message().ends_with(message.as_str()));
        let found = at.map(|at| kept.remove(at).1);
        drop(kept);
        found.unwrap_or_else(|| exception(py, error))
    }

    /// Forgets what was raised and nobody asks for any more: it refers to the frames of the program.
    pub(crate) fn forget(&self) {
        if self.are_over() {
            let forgotten = std::mem::take(&mut *self.0.raised.lock());
            drop(forgotten);
        }
    }
}
