//! What both runtimes are made of: everything about a run that is not about *when* a chunk is taken on.
//!
//! `executor` reads an input that ends, `streaming` one that does not. Either gives its `crew` of workers a `feed` of chunks, in
//! order; the crew takes every chunk through decoding and the stages (`lane`) to the sinks (`outlet`).

pub(crate) mod chunks;
pub(crate) mod crew;
pub(crate) mod drain;
pub(crate) mod guard;
pub(crate) mod lane;
pub(crate) mod limit;
pub(crate) mod outlet;
mod report;
pub(crate) mod room;
pub(crate) mod setup;
pub(crate) mod state;
mod tally;
mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::source::{OpenOptions, Progress};
use crate::time::Timestamp;

pub use report::{FirstPassReport, Rejects, Report, Shown};
pub use state::StateOptions;

/// How a pipeline is run, as opposed to what it does: nothing here changes the output.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// How many threads work; the machine's cores (or `RAYON_NUM_THREADS`) where `None`.
    pub threads: Option<usize>,
    /// Whether to run the one-thread loop that judges the parallel runtime, with the decoders that judge the fast ones, instead.
    pub sequential: bool,
    /// How the input is opened.
    pub open: OpenOptions,
    /// Set it to stop the run: at the next chunk, where its input ends; behind the last chunk that has come in, where it does not.
    pub stop: Arc<AtomicBool>,
    /// Where checkpoints are kept, for a run that goes on after a restart.
    pub state: Option<StateOptions>,
    /// The clock by which live records are believed.
    pub now: Now,
}

/// A clock: the machine's, or one that a test or a replay sets.
#[derive(Clone, Debug, Default)]
pub struct Now(Option<Arc<AtomicI64>>);

impl Now {
    /// One that shows `time` until it is [set](Now::set).
    pub fn simulated(time: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(time.as_nanos()))))
    }

    /// What it shows.
    pub fn read(&self) -> Timestamp {
        let machine = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
        };
        Timestamp::from_nanos(self.0.as_ref().map_or_else(machine, |nanos| nanos.load(Ordering::Relaxed)))
    }

    /// Sets a simulated one; nothing sets the machine's.
    pub fn set(&self, time: Timestamp) {
        if let Some(nanos) = &self.0 {
            nanos.store(time.as_nanos(), Ordering::Relaxed);
        }
    }
}

/// Is told how a run goes on.
pub trait Observer {
    /// A piece of the input has been processed. `pass` counts from 0 of `passes` (at least).
    fn progress(&mut self, _pass: &str, _progress: Progress, _records: u64) {}
}

/// Whoever does not want to know.
impl Observer for () {}
