//! The end of the interpreter: no thread may use it any more, so runs are stopped, and threads are waited for. Forks, which have none of them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tidemill::{Error, ErrorKind};

use crate::held::interrupt;

/// How long threads are waited for: one that sleeps in Python does not notice.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long they are waited for once they have been interrupted.
const MORE: Duration = Duration::from_secs(7);
/// The exit code of a process that is ended while a component still runs: an error of the program.
const BUSY: i32 = 70;

/// Set when the interpreter ends.
static IS_CLOSING: AtomicBool = AtomicBool::new(false);
/// Threads that may use the interpreter.
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// How Python knows those that run components.
static IDENTS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
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
        // Objects that were dropped without the interpreter go now, and not when somebody happens to come by.
        Python::try_attach(|_| ());
    };
    let started = std::thread::Builder::new().name(name.into()).spawn(run);
    started.map(drop).map_err(|error| Error::internal(format!("no thread for a {name}: {error}")))
}

/// A thread, as long as it may use the interpreter.
pub(crate) struct Counted;

impl Counted {
    pub(crate) fn new() -> Self {
        THREADS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Release);
    }
}

/// Lets this thread run a component; `None` if the interpreter has ended.
pub(crate) fn attached<T>(run: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    Python::try_attach(|py| {
        let _running = Running::new(py);
        run(py)
    })
}

/// A thread that runs a component.
struct Running(u64);

impl Running {
    fn new(py: Python<'_>) -> Self {
        // `threading` takes the thread that imports it first for the main one.
        let ident = py.import("_thread").and_then(|module| module.call_method0("get_ident")?.extract());
        // Without a number, it is not interrupted.
        let ident = ident.unwrap_or(0);
        IDENTS.lock().push(ident);
        Self(ident)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut idents = IDENTS.lock();
        if let Some(at) = idents.iter().position(|ident| *ident == self.0) {
            idents.swap_remove(at);
        }
    }
}

/// Called once, when the interpreter ends. What still runs then must not come back to the interpreter: the process is ended.
#[pyfunction]
pub(crate) fn shut_down(py: Python<'_>) {
    IS_CLOSING.store(true, Ordering::Relaxed);
    let runs: Vec<_> = RUNS.lock().iter().filter_map(Weak::upgrade).collect();
    runs.iter().for_each(|stop| stop.store(true, Ordering::Relaxed));
    if py.detach(|| have_ended(PATIENCE)) {
        return;
    }
    // Those that run code of Python, such as a loop without end.
    let idents = IDENTS.lock().clone();
    idents.into_iter().filter(|ident| *ident != 0).for_each(|ident| interrupt(py, ident));
    if !py.detach(|| have_ended(MORE)) {
        give_up(py);
    }
}

/// Waits until no thread may use the interpreter any more; false if that takes too long.
fn have_ended(patience: Duration) -> bool {
    let begun = Instant::now();
    while THREADS.load(Ordering::Acquire) > 0 {
        if begun.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Ends the process, with all that has been printed.
fn give_up(py: Python<'_>) {
    let flush = |name: &str| py.import("sys")?.getattr(name)?.call_method0("flush");
    drop(flush("stdout"));
    eprintln!(
        "tidemill: a component in Python still runs at the end of the program, which is ended all the same"
    );
    drop(flush("stderr"));
    drop(py.import("os").and_then(|os| os.call_method1("_exit", (BUSY,))));
}

/// Called in the child after a fork.
#[pyfunction]
pub(crate) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    THREADS.store(0, Ordering::Relaxed);
    IDENTS.try_lock().into_iter().for_each(|mut idents| idents.clear());
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
