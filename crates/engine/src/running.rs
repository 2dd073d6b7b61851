//! A run on a thread of its own: start, status, stop, reload, join.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | run | [`Pipeline::start`] | what its runtime waits for | with the run |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::runtime::{Meters, Observer, Reloads, Report, RunOptions};
use crate::source::Progress;

/// A run on a thread of its own. Dropping it requests a stop, and does not wait for the end of the run.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    reloads: Reloads,
    meters: Meters,
    status: Arc<SharedStatus>,
    /// `None` once the run was joined.
    thread: Option<JoinHandle<Result<Report>>>,
}

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Records read and processed in the current pass over the input.
    pub records: u64,
    /// Bytes read, or records generated, by all sources together.
    pub done: u64,
    /// The value of `done` at the end of the input, if it is known.
    pub total: Option<u64>,
    /// Records that were discarded because there was no room for them.
    pub dropped: u64,
    /// Checkpoints that were due while another was on its way, and were made less often for that.
    pub deferred: u64,
    /// Sources that have lost their connection, and try to get it back.
    pub disconnected: usize,
    /// Whether the run waits for a sink, and so does whoever sends to it.
    pub is_held_up: bool,
    /// Whether all output was passed to the operating system; what remains is to make it durable and visible.
    pub is_committing: bool,
    /// Whether the run has ended, with or without an error.
    pub is_over: bool,
}

/// The progress, written by the run's thread and read by any thread.
#[derive(Debug, Default)]
struct SharedStatus {
    records: AtomicU64,
    done: AtomicU64,
    /// [`UNKNOWN`] if it is not known.
    total: AtomicU64,
    is_committing: AtomicBool,
}

const UNKNOWN: u64 = u64::MAX;

impl Pipeline {
    /// Starts a run on a thread of its own, as [`Pipeline::run_with`] would do it here. [`RunOptions::stop`] stops it too.
    ///
    /// # Errors
    /// An internal error if the thread cannot be started. Errors of the run are returned by [`Running::join`].
    pub fn start(&self, options: &RunOptions) -> Result<Running> {
        let (pipeline, mut options) = (self.clone(), options.clone());
        let meters = options.meters.get_or_insert_default().clone();
        let (stop, status) = (Arc::clone(&options.stop), Arc::new(SharedStatus::default()));
        let reloads = options.reloads.clone();
        let mut observer = Arc::clone(&status);
        let run = move || pipeline.run_with(&options, &mut observer);
        let thread = std::thread::Builder::new().name("run".into()).spawn(run);
        let thread =
            thread.map_err(|error| Error::internal(format!("cannot start the run's thread: {error}")))?;
        Ok(Running { stop, reloads, meters, status, thread: Some(thread) })
    }
}

impl Running {
    /// The current progress. Takes a few atomic loads, and does not slow down the run.
    #[must_use]
    pub fn status(&self) -> Status {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let board = self.meters.board();
        Status {
            records: load(&self.status.records),
            done: load(&self.status.done),
            total: Some(load(&self.status.total)).filter(|&total| total != UNKNOWN),
            dropped: board.as_ref().map_or(0, |board| board.dropped()),
            deferred: board.as_ref().map_or(0, |board| board.deferred()),
            disconnected: board.as_ref().map_or(0, |board| board.disconnected()),
            is_held_up: board.as_ref().is_some_and(|board| board.is_held_up()),
            is_committing: self.status.is_committing.load(Ordering::Relaxed),
            is_over: self.thread.as_ref().is_none_or(JoinHandle::is_finished),
        }
    }

    /// Requests a stop, as [`RunOptions::stop`] does, and returns at once: [`Running::join`] waits for the end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Continues with the options of `pipeline`, and returns those that changed: see [`Reloads::request`].
    ///
    /// # Errors
    /// As [`Reloads::request`]; then nothing changes.
    pub fn reload(&self, pipeline: &Pipeline) -> Result<Vec<String>> {
        self.reloads.request(pipeline)
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    /// The error that ended the run early.
    pub fn join(mut self) -> Result<Report> {
        let Some(thread) = self.thread.take() else {
            return Err(Error::internal("the run has been joined already"));
        };
        thread.join().unwrap_or_else(|_| Err(Error::internal("the run's thread panicked")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}

impl Observer for Arc<SharedStatus> {
    fn progress(&mut self, _pass: &str, progress: Progress, records: u64) {
        let store = |number: &AtomicU64, value| number.store(value, Ordering::Relaxed);
        store(&self.records, records);
        store(&self.done, progress.done);
        store(&self.total, progress.total.unwrap_or(UNKNOWN));
    }

    fn committing(&mut self) {
        self.is_committing.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::CsvFile;
    use crate::source::{Csv, Synthetic};

    #[test]
    fn a_run_that_was_started_gives_what_it_gives_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipeline = Pipeline::builder()
            .base(folder.path())
            .source(Synthetic::default().records(20_000))
            .sink(CsvFile::new("out.csv"))
            .build()
            .expect("a pipeline");
        let running = pipeline.start(&RunOptions::default()).expect("a thread");
        assert_eq!(running.join().expect("a run").records(), 20_000);
        let running = pipeline.start(&RunOptions::default()).expect("a thread");
        while !running.status().is_over {
            std::thread::yield_now();
        }
        let status = running.status();
        assert_eq!((status.records, status.total, status.is_committing), (20_000, Some(20_000), true));
        assert_eq!((status.dropped, status.deferred, status.is_held_up), (0, 0, false));
        let text = running.meters.prometheus();
        let read = "tidemill_records_out_total{part=\"source\",index=\"0\",type=\"synthetic\"} 20000";
        assert!(text.lines().any(|line| line == read), "{text}");
        let written = "tidemill_records_in_total{part=\"sink\",index=\"0\",type=\"csv\"} 20000";
        assert!(text.lines().any(|line| line == written), "{text}");
        assert!(running.meters.is_live() && running.meters.obstacles().is_empty());
        running.join().expect("a run");
    }

    #[test]
    fn a_live_run_is_stopped_and_its_output_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("in.csv"), "t,v\n1,5\n2,6\n").expect("written");
        let toml = "[source]\ntype = 'csv'\npath = 'in.csv'\nfollow = true\nmeasurements = ['v']\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
        let pipeline = Pipeline::from_toml(toml).expect("a pipeline").with_base(folder.path());
        let running = pipeline.start(&RunOptions::default()).expect("a thread");
        while running.status().records < 2 {
            assert!(!running.status().is_over, "it has ended: {:?}", running.join());
            std::thread::yield_now();
        }
        running.stop();
        assert_eq!(running.join().expect("a run").records(), 2);
        let text = std::fs::read_to_string(folder.path().join("out.csv")).expect("written");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn what_keeps_a_run_from_starting_is_said_when_it_is_waited_for() {
        let pipeline = Pipeline::builder().source(Csv::new("nowhere/in.csv")).sink(CsvFile::new("x.csv"));
        let running = pipeline.build().and_then(|pipeline| pipeline.start(&RunOptions::default()));
        let error = running.expect("a thread").join().expect_err("no such file");
        assert!(error.to_string().contains("nowhere/in.csv"), "{error}");
    }
}
