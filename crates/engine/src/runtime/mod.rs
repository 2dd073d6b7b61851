//! What both runtimes share: everything about a run except *when* a chunk is claimed.
//!
//! `executor` reads bounded input, `streaming` unbounded input. Each gives its `crew` of workers a `feed` of chunks in order; the crew
//! takes every chunk through decoding and the stages (`lane`) to the sinks (`outlet`).

pub(crate) mod admission;
pub(crate) mod chunks;
pub(crate) mod crew;
pub(crate) mod drain;
pub(crate) mod durable;
pub(crate) mod effects;
pub(crate) mod idle;
pub(crate) mod inlet;
pub(crate) mod inlets;
pub(crate) mod lane;
pub(crate) mod limit;
mod merged;
pub(crate) mod meters;
pub(crate) mod odd_times;
pub(crate) mod outlet;
pub(crate) mod over;
pub(crate) mod reload;
mod report;
pub(crate) mod room;
pub(crate) mod schedule;
pub(crate) mod setup;
pub(crate) mod snapshot;
pub(crate) mod state;
mod tally;
#[cfg(test)]
mod testing;
pub(crate) mod told;
mod turn;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::source::{OpenOptions, Progress, Resumption};

pub use meters::Meters;
pub use reload::Reloads;
pub use report::{FirstPassReport, Rejects, Report, Shown};
pub use state::StateOptions;

/// How a pipeline is run. Nothing here affects the output.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The number of worker threads; `None`: the number of cores (or `RAYON_NUM_THREADS`).
    pub threads: Option<usize>,
    /// Whether to run the one-thread loop with the reference decoders, which the parallel runtime is tested against.
    pub sequential: bool,
    /// How the input is opened.
    pub open: OpenOptions,
    /// Set this to stop the run: at the next chunk if the input is bounded, after the last chunk that has arrived if not.
    pub stop: Arc<AtomicBool>,
    /// Where checkpoints are kept, for a run that can be resumed.
    pub state: Option<StateOptions>,
    /// By source: what the checkpoint being resumed says about its input. Set by the run itself.
    pub resume: Vec<Option<Resumption>>,
    /// Changes options while the run is in progress.
    pub reloads: Reloads,
    /// Shows the run to other threads.
    pub meters: Option<Meters>,
}

impl RunOptions {
    /// # Errors
    /// A configuration error if no worker could run.
    pub(crate) fn check(&self) -> Result<()> {
        match self.threads {
            Some(0) => Err(Error::config("`threads` must be at least 1")
                .with_help("give a number from 1 on, or leave it out to use all cores")),
            Some(threads) if threads > MOST_THREADS => {
                Err(Error::config(format!("`threads` is {threads}, more than {MOST_THREADS}"))
                    .with_help("leave it out to use all cores"))
            }
            _ => Ok(()),
        }
    }
}

/// More than the cores of any machine: a run would spend its time starting them.
const MOST_THREADS: usize = 1024;

impl RunOptions {
    /// The options for a run of `pipeline`: with one thread if sensors are given up, since that must be decided before the next record is
    /// processed.
    pub(crate) fn of(&self, pipeline: &Pipeline) -> Self {
        let one = has_one_thread(pipeline).map(|_| 1);
        Self { threads: one.or(self.threads), ..self.clone() }
    }

    /// A remark if a run of `pipeline` does not use the requested number of threads.
    pub(crate) fn remark(&self, pipeline: &Pipeline) -> Option<String> {
        let threads = self.threads.filter(|&threads| threads > 1)?;
        let option = has_one_thread(pipeline)?;
        Some(format!("`threads` = {threads} had no effect: with `{option}`, a run has one thread"))
    }
}

/// The option of `pipeline` that limits a run to one thread, if any.
pub fn has_one_thread(pipeline: &Pipeline) -> Option<&'static str> {
    pipeline.idle_sensors().map(|_| "idle_sensors")
}

/// Receives progress during a run. Called from the run's threads, one call at a time.
pub trait Observer {
    /// A piece of the input has been processed. `pass` names the current pass, `progress` is that of the sources, and `records` counts the
    /// records so far in this pass.
    fn progress(&mut self, _pass: &str, _progress: Progress, _records: u64) {}

    /// All output has been passed to the operating system; what remains is to make it durable and visible, which should not be interrupted.
    fn committing(&mut self) {}
}

/// Ignores all progress.
impl Observer for () {}
