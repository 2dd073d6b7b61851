//! What both runtimes are made of: everything about a run that is not about *when* a chunk is taken on.
//!
//! `executor` reads an input that ends, `streaming` one that does not. Either gives its `crew` of workers a `feed` of chunks, in
//! order; the crew takes every chunk through decoding and the stages (`lane`) to the sinks (`outlet`).

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
pub(crate) mod odd_times;
pub(crate) mod outlet;
pub(crate) mod over;
mod report;
pub(crate) mod room;
pub(crate) mod schedule;
pub(crate) mod setup;
pub(crate) mod snapshot;
pub(crate) mod state;
mod tally;
#[cfg(test)]
mod testing;
mod turn;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::source::{OpenOptions, Progress, Resumption};

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
    /// By source: what is known of its input from the checkpoint that the run goes on from. The run looks that up itself.
    pub resume: Vec<Option<Resumption>>,
}

impl RunOptions {
    /// # Errors
    /// A configuration error where nothing could run.
    pub(crate) fn check(&self) -> Result<()> {
        match self.threads {
            Some(0) => Err(Error::config("`threads` is 0, and nobody would work")
                .with_help("give a number from 1 on, or leave it out for as many as the machine has cores")),
            _ => Ok(()),
        }
    }
}

impl RunOptions {
    /// The same for a run of `pipeline`: on one thread where sensors are given up, for which they are has to be known before the next record is
    /// looked at.
    pub(crate) fn of(&self, pipeline: &Pipeline) -> Self {
        let one = has_one_thread(pipeline).map(|_| 1);
        Self { threads: one.or(self.threads), ..self.clone() }
    }

    /// What is worth knowing where the number of threads that was asked for is not that of a run of `pipeline`.
    pub(crate) fn remark(&self, pipeline: &Pipeline) -> Option<String> {
        let threads = self.threads.filter(|&threads| threads > 1)?;
        let option = has_one_thread(pipeline)?;
        Some(format!("`threads` = {threads} had no effect: with `{option}`, a run has one thread"))
    }
}

/// The option of `pipeline` that leaves a run with one thread, if one does.
pub fn has_one_thread(pipeline: &Pipeline) -> Option<&'static str> {
    pipeline.idle_sensors().map(|_| "idle_sensors")
}

/// Is told how a run goes on.
pub trait Observer {
    /// A piece of the input has been processed. `pass` counts from 0 of `passes` (at least).
    fn progress(&mut self, _pass: &str, _progress: Progress, _records: u64) {}

    /// All output has been handed to the system. What comes now, making it durable and visible, is not to be cut off.
    fn committing(&mut self) {}
}

/// Whoever does not want to know.
impl Observer for () {}
