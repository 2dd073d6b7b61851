//! Runs: on a thread of their own, while Python waits for them, or goes on.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | run | `run`, `start`, `to_arrow`, `stream` | what its runtime waits for | with the run |

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tidemill::runtime::{Observer, StateOptions};
use tidemill::source::Progress;
use tidemill::{Error, Report, RunOptions};

use crate::errors::{exception, in_context, is_stopped};
use crate::exit::{Process, is_closing, note_run, start_thread};
use crate::records::Rows;
use crate::runs::{Ongoing, Runs};
use crate::stream::{Fed, Feed};
use crate::values::to_python;
use crate::wait::LOOK;

/// How long a run that was interrupted is waited for: a component that sleeps may not notice.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a pipeline is run, as Python says it.
#[derive(Clone, Default, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    threads: Option<usize>,
    state: Option<String>,
    state_every: Option<f64>,
    accept_changes: bool,
    take_over: bool,
}

impl Settings {
    fn options(&self) -> PyResult<RunOptions> {
        let every = self.state_every.map(Duration::try_from_secs_f64).transpose();
        let every = every.map_err(|error| PyValueError::new_err(format!("`state_every`: {error}")))?;
        let state = self.state.as_ref().map(|folder| {
            let mut state = StateOptions::new(folder);
            state.accept_changes = self.accept_changes;
            state.takes_over = self.take_over;
            state.every = every.unwrap_or(state.every);
            state
        });
        let mut options = RunOptions { threads: self.threads, state, ..RunOptions::default() };
        options.open.stop = Arc::clone(&options.stop);
        Ok(options)
    }
}

/// A run that has been started.
pub(crate) struct Started {
    /// The threads of the run are in this process alone.
    process: Process,
    stop: Arc<AtomicBool>,
    done: Receiver<Result<Report, Error>>,
    runs: Runs,
    /// What its components see of it, while it goes on.
    ongoing: Weak<Ongoing>,
    seen: Arc<Seen>,
    /// Held by who waits for it; whether the result, of which there is one, has been taken.
    is_taken: Mutex<bool>,
}

/// How far a run has come.
#[derive(Default)]
struct Seen {
    records: AtomicU64,
    done: AtomicU64,
    total: AtomicU64,
}

/// What the run tells of itself.
struct Watch(Arc<Seen>);

impl Observer for Watch {
    fn progress(&mut self, _pass: &str, progress: Progress, records: u64) {
        self.0.records.store(records, Ordering::Relaxed);
        self.0.done.store(progress.done, Ordering::Relaxed);
        self.0.total.store(progress.total.unwrap_or(0), Ordering::Relaxed);
    }
}

impl Started {
    pub(crate) fn new(pipeline: tidemill::Pipeline, settings: &Settings, runs: &Runs) -> PyResult<Self> {
        let options = settings.options()?;
        let (stop, seen) = (Arc::clone(&options.stop), Arc::new(Seen::default()));
        let (outbox, done) = bounded(1);
        let mut observer = Watch(Arc::clone(&seen));
        note_run(&stop);
        let run = runs.begin(&stop);
        let ongoing = Arc::downgrade(&run);
        let run = move || {
            let result = pipeline.run_with(&options, &mut observer);
            drop((run, pipeline));
            // If nobody waits for the result, it is dropped.
            drop(outbox.send(result));
        };
        start_thread("run", run).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(Self {
            process: Process::this(),
            stop,
            done,
            runs: runs.clone(),
            ongoing,
            seen,
            is_taken: Mutex::default(),
        })
    }

    /// Waits for its end. Ctrl-C stops it, and is raised when it has stopped.
    pub(crate) fn wait(&self, py: Python<'_>) -> PyResult<Report> {
        self.process.check("this run")?;
        let Some(mut is_taken) = self.is_taken.try_lock().filter(|is_taken| !**is_taken) else {
            return Err(PyRuntimeError::new_err("another thread waits for this run, and gets its report"));
        };
        let mut interrupt: Option<(PyErr, Instant)> = None;
        loop {
            match py.detach(|| self.done.recv_timeout(LOOK)) {
                Ok(result) => {
                    *is_taken = true;
                    // Ctrl-C may have ended it, in processes of a component.
                    let interrupt = interrupt.map(|(error, _)| error).or_else(|| py.check_signals().err());
                    return self.result(py, result, interrupt);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(exception(py, &Error::internal("the run's thread is gone")));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Err(error) = py.check_signals() {
                self.stop.store(true, Ordering::Relaxed);
                // Pressed again, it is not waited for.
                if interrupt.is_some() {
                    return Err(error);
                }
                interrupt = Some((error, Instant::now()));
            }
            if let Some((error, _)) = interrupt.take_if(|(_, since)| since.elapsed() > PATIENCE) {
                return Err(error);
            }
        }
    }

    /// Waits until it is over, whoever gets its result.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        loop {
            match self.is_taken.try_lock().as_deref() {
                Some(true) => return Ok(()),
                Some(false) => break,
                None => {}
            }
            py.detach(|| std::thread::sleep(LOOK));
            py.check_signals()?;
        }
        self.wait(py).map(drop)
    }

    fn result(
        &self,
        py: Python<'_>,
        result: Result<Report, Error>,
        interrupt: Option<PyErr>,
    ) -> PyResult<Report> {
        let result = match (result, interrupt) {
            (_, Some(interrupt)) => Err(interrupt),
            (Ok(report), None) => Ok(report),
            (Err(error), None) => Err(self.runs.exception(py, &error)),
        };
        self.runs.forget();
        result
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(ongoing) = self.ongoing.upgrade() {
            ongoing.abandon();
        }
    }
}

/// The report of a run, as dicts and lists.
pub(crate) fn report<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyAny>> {
    let value = serde_json::to_value(report).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    to_python(py, &value)
}

/// A run in the background: see `Pipeline.start`.
#[pyclass(frozen, module = "tidemill")]
pub(crate) struct Running(Mutex<Option<Arc<Started>>>);

impl Running {
    pub(crate) fn new(started: Started) -> Self {
        Self(Mutex::new(Some(Arc::new(started))))
    }
}

#[pymethods]
impl Running {
    /// How far it has come: `records`, `done` (bytes or records read), `total` (of those; None if unknown), `is_over`.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let status = PyDict::new(py);
        let place = self.0.lock();
        let seen = place.as_ref().map(|started| Arc::clone(&started.seen));
        let load =
            |number: fn(&Seen) -> &AtomicU64| seen.as_ref().map(|seen| number(seen).load(Ordering::Relaxed));
        status.set_item("records", load(|seen| &seen.records))?;
        status.set_item("done", load(|seen| &seen.done))?;
        status.set_item("total", load(|seen| &seen.total).filter(|&total| total > 0))?;
        status.set_item("is_over", place.as_ref().is_none_or(|started| !started.done.is_empty()))?;
        Ok(status)
    }

    /// Asks it to stop; `join` waits until it has.
    fn stop(&self) {
        if let Some(started) = self.0.lock().as_ref() {
            started.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Waits for its end, and gives its report.
    fn join<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(started) = self.0.lock().clone() else {
            return Err(PyRuntimeError::new_err("this run has been waited for already"));
        };
        // It stays there meanwhile, so that another thread can stop it.
        let ended = started.wait(py);
        *self.0.lock() = None;
        report(py, &ended?)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Stops it and waits for it. If it has failed before that, what the block has raised is the context of its exception.
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        raised: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.stop();
        let started = self.0.lock().take();
        match started.map_or(Ok(()), |started| started.end(py)) {
            Err(error) if raised.is_none() => Err(error),
            // It was stopped because of what the block has raised, which goes on.
            Err(error) if is_stopped(py, &error) => Ok(()),
            Err(error) => Err(in_context(py, error, raised)),
            Ok(()) => Ok(()),
        }
    }
}

/// The stream of a run's records.
pub(crate) struct RunFeed {
    pub(crate) rows: Receiver<Arc<Rows>>,
    pub(crate) started: Started,
}

impl Feed for RunFeed {
    fn next(&mut self) -> Fed {
        match self.rows.recv_timeout(LOOK) {
            _ if is_closing() => Fed::Stopped,
            Ok(rows) => Fed::Rows(rows),
            Err(RecvTimeoutError::Timeout) => Fed::Nothing,
            Err(RecvTimeoutError::Disconnected) => match self.started.done.recv() {
                Ok(result) => Python::attach(|py| self.ended(py, result)),
                Err(_) => Fed::Failed(Error::internal("the run's thread is gone")),
            },
        }
    }
}

impl RunFeed {
    fn ended(&self, py: Python<'_>, result: Result<Report, Error>) -> Fed {
        let ended = match self.started.result(py, result, None) {
            Ok(report) => warn_of(py, &report),
            Err(raised) => Err(raised),
        };
        ended.map_or_else(Fed::Raised, |()| Fed::End)
    }
}

/// Warns of records that were rejected, and of what else the run remarks on, for callers who do not get the report.
pub(crate) fn warn_of(py: Python<'_>, report: &Report) -> PyResult<()> {
    let rejected = rejected(report);
    if rejected.is_none() && report.remarks.is_empty() {
        return Ok(());
    }
    py.import("tidemill.errors")?.getattr("warn_of")?.call1((rejected, report.remarks.clone())).map(drop)
}

fn rejected(report: &Report) -> Option<String> {
    let rejected = report.rejects.malformed + report.rejects.late + report.rejects.ahead;
    let first = report.rejects.first.first();
    let first =
        first.map_or(String::new(), |first| format!(", such as record {}: {}", first.line, first.reason));
    match rejected {
        0 => None,
        1 => Some(format!("1 record was rejected{first}")),
        _ => Some(format!("{rejected} records were rejected{first}")),
    }
}
