//! The end of the interpreter: no thread may use it any more, so runs are stopped, and threads are waited for. Forks, which have none of them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tidemill::{Error, ErrorKind};

/// How long threads are waited for: one that sleeps in Python does not notice.
const PATIENCE: Duration = Duration::from_secs(3);

/// Set when the interpreter ends.
static IS_CLOSING: AtomicBool = AtomicBool::new(false);
/// Threads that may use the interpreter.
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// The runs that go on: what stops each.
static RUNS: Mutex<Vec<Weak<AtomicBool>>> = Mutex::new(Vec::new());
/// How often the process has been forked on the way to this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Whether the interpreter ends: every wait must look.
pub(crate) fn is_closing() -> bool {
    IS_CLOSING.load(Ordering::Relaxed)
}

/// The error of a run that is stopped by that.
pub(crate) fn closing() -> Error {
    Error::new(ErrorKind::Interrupted, "the interpreter is ending")
}

/// Notes a run, which `stop` stops.
pub(crate) fn note_run(stop: &Arc<AtomicBool>) {
    let mut runs = RUNS.lock();
    runs.retain(|run| run.strong_count() > 0);
    runs.push(Arc::downgrade(stop));
}

/// Starts a thread that may use the interpreter.
pub(crate) fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let counted = Counted::new();
    let run = move || {
        let _counted = counted;
        run();
    };
    let started = std::thread::Builder::new().name(name.into()).spawn(run);
    started.map(drop).map_err(|error| Error::internal(format!("no thread for a {name}: {error}")))
}

/// A thread, as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        THREADS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Release);
    }
}

/// Called once, when the interpreter ends.
#[pyfunction]
pub(crate) fn shut_down(py: Python<'_>) {
    IS_CLOSING.store(true, Ordering::Relaxed);
    let runs: Vec<_> = RUNS.lock().iter().filter_map(Weak::upgrade).collect();
    runs.iter().for_each(|stop| stop.store(true, Ordering::Relaxed));
    py.detach(|| {
        let begun = Instant::now();
        while THREADS.load(Ordering::Acquire) > 0 && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Called in the child after a fork.
#[pyfunction]
pub(crate) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    THREADS.store(0, Ordering::Relaxed);
    // Whoever had it locked is not there any more.
    if let Some(mut runs) = RUNS.try_lock() {
        runs.clear();
    }
}

/// The process in which something was started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn this() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Fails in a child of the process, where nobody goes on with `what`.
    pub(crate) fn check(self, what: &str) -> PyResult<()> {
        match self == Self::this() {
            true => Ok(()),
            false => Err(PyRuntimeError::new_err(format!(
                "{what} belongs to the process that this one was forked from: run the pipeline here, or start processes by \"spawn\""
            ))),
        }
    }
}
