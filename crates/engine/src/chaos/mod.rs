//! A run under faults: `tidemill chaos` starts processes that run a pipeline as it is, but for what is wrapped around its parts here.
//!
//! | module | what |
//! |---|---|
//! | `schedule` | what goes wrong, and when: drawn from a seed |
//! | `journal` | what has happened, across processes |
//! | `faults` | the faults that have begun, and who meets them |
//! | `source`, `sink`, `disk` | what is wrapped around sources, sinks that deliver by epochs, and the file system |
//! | `stand_in` | a sink in the place of one that delivers to a server |
//! | `outputs` | where the sinks write |
//!
//! The wrappers have the names and options of what they wrap: checkpoints are those of the pipeline. They are around every component, so that none has to know of them.

mod disk;
mod faults;
mod journal;
mod outputs;
mod schedule;
mod sink;
mod source;
mod stand_in;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::runtime::RunOptions;
use crate::sink::{DeadLetter, Takes};

use disk::FaultyDisk;
use faults::Faults;
use journal::Journal;
use sink::FaultySink;
use source::FaultySource;
use stand_in::StandIn;

pub use journal::{Event, Line, read_journal};
pub use outputs::{Place, output_in, overrides, place_of};
pub use schedule::{Effect, Fault, FaultKind, Moment, schedule};
pub use stand_in::recorded;

/// How a process runs its pipeline in a chaos run. All processes of a run have the same plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The faults, in the order in which they begin.
    pub schedule: Vec<Fault>,
    /// How many items the whole input has, as they were counted by a run without faults in the same chunks.
    pub items: u64,
    /// The time between two items, in microseconds.
    pub pace: u64,
    /// The size of a chunk in bytes, as in [`OpenOptions::chunk_size`](crate::source::OpenOptions::chunk_size).
    pub chunk_size: usize,
    /// Whether the input is read as live input is.
    pub is_live: bool,
    /// The journal.
    pub journal: PathBuf,
    /// By sink: the file of its stand-in, if it has one.
    pub stand_ins: Vec<Option<PathBuf>>,
}

/// Faster than any input: bounded input at a speed is read as live input.
const SPEED: f64 = 1e9;

impl Plan {
    /// Wraps the parts of `pipeline` and the file system and clock of its run.
    ///
    /// # Errors
    /// If the journal cannot be read or written; a usage error if the run has no state folder.
    pub fn apply(&self, pipeline: &mut Pipeline, options: &mut RunOptions) -> Result<()> {
        for (sink, path) in pipeline.sinks.iter_mut().zip(&self.stand_ins) {
            if let Some(path) = path {
                sink.spec = match sink.spec.takes() {
                    Takes::Records => Arc::new(StandIn::of(&*sink.spec, path)),
                    Takes::Rejections => Arc::new(DeadLetter::new(path.to_string_lossy().into_owned())),
                };
            }
        }
        let delivers = pipeline.sinks.iter().any(|sink| sink.spec.delivers());
        let (lines, journal) = (read_journal(&self.journal)?, Journal::open(&self.journal)?);
        let faults = Arc::new(Faults::after(&lines, self.schedule.clone(), self.items, delivers, journal));
        for source in &mut pipeline.sources {
            let (inner, faults) = (Arc::clone(&source.spec), Arc::clone(&faults));
            source.spec = Arc::new(FaultySource { inner, faults, pace: Duration::from_micros(self.pace) });
        }
        for (at, sink) in pipeline.sinks.iter_mut().enumerate().filter(|(_, sink)| sink.spec.delivers()) {
            let (inner, faults) = (Arc::clone(&sink.spec), Arc::clone(&faults));
            sink.spec = Arc::new(FaultySink { inner, at, faults });
        }
        let state = options.state.as_mut().ok_or_else(|| {
            Error::usage("a chaos run needs a state folder").with_help("run it with `tidemill chaos`")
        })?;
        state.files = Arc::new(FaultyDisk { inner: Arc::clone(&state.files), faults: Arc::clone(&faults) });
        options.open.clock = faults.clock();
        options.open.chunk_size = self.chunk_size;
        if self.is_live {
            options.open.speed = Some(SPEED);
        }
        Ok(())
    }
}
