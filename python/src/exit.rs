//! The end of the interpreter: no thread may use it any more, so runs are stopped, and threads are waited for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
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
