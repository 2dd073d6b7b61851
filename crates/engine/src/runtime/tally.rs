//! What has been counted so far, in the order of the input.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::odd_times::OddTimes;
use crate::metrics::{Entry, Latencies, Ledger};
use crate::stage::Stage;

/// A tally in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    source: Ledger,
    stages: Vec<Ledger>,
    line: u64,
    odd_times: OddTimes,
}

/// The ledgers of the source and the stages, and the line that comes next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) source: Entry,
    pub(crate) stages: Vec<Entry>,
    /// The line after the last chunk.
    pub(crate) line: u64,
    /// Records whose time is seldom meant.
    pub(crate) odd_times: OddTimes,
    /// From arrival to the end of each stage, of live input.
    pub(crate) latencies: Vec<Latencies>,
    /// Records that earlier runs have counted.
    pub(crate) before: u64,
    /// Whether it began behind the beginning of the input, where stages may have held records already.
    pub(crate) is_partial: bool,
}

impl Tally {
    /// Of a run of `source` and `stages` that has not begun.
    pub(crate) fn new(source: &str, stages: &[Arc<dyn Stage>]) -> Self {
        Self {
            source: Entry::new(source),
            stages: stages.iter().map(|stage| Entry::new(stage.name())).collect(),
            line: 1,
            odd_times: OddTimes::default(),
            latencies: vec![Latencies::default(); stages.len()],
            before: 0,
            is_partial: false,
        }
    }

    /// As bytes, for a checkpoint.
    pub(crate) fn counted(&self) -> Counted {
        Counted {
            source: self.source.ledger,
            stages: self.stages.iter().map(|entry| entry.ledger).collect(),
            line: self.line,
            odd_times: self.odd_times,
        }
    }

    /// Goes on from a checkpoint. Where not all stages do, the counts begin anew: they would not add up.
    pub(crate) fn restore(&mut self, counted: Counted, is_whole: bool) {
        self.line = counted.line;
        self.is_partial = !is_whole;
        if is_whole {
            self.before = counted.source.input;
            self.source.ledger = counted.source;
            self.odd_times = counted.odd_times;
            self.stages.iter_mut().zip(counted.stages).for_each(|(entry, ledger)| entry.ledger = ledger);
        }
    }

    /// Adds what was entered for one chunk, stage by stage.
    pub(crate) fn add(&mut self, stages: &[Entry]) {
        self.stages.iter_mut().zip(stages).for_each(|(entry, more)| entry.add(more));
    }
}
