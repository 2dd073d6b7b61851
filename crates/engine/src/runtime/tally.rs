//! What has been counted so far, in the order of the input.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::odd_times::OddTimes;
use crate::metrics::{Entry, Latencies, Ledger};
use crate::pipeline::Pipeline;
use crate::stage::Stage;

/// A tally in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    sources: Vec<Ledger>,
    stages: Vec<Ledger>,
    lines: Vec<u64>,
    odd_times: OddTimes,
}

/// The ledgers of the sources and the stages, and the lines that come next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sources: Vec<Entry>,
    pub(crate) stages: Vec<Entry>,
    /// By source: the line after its last chunk.
    pub(crate) lines: Vec<u64>,
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
    /// Of a run of `pipeline`, all whose stages are `stages`, that has not begun.
    pub(crate) fn new(pipeline: &Pipeline, stages: &[Arc<dyn Stage>]) -> Self {
        let sources = &pipeline.sources;
        Self {
            sources: sources.iter().map(|source| Entry::new(source.spec.name())).collect(),
            stages: stages.iter().map(|stage| Entry::new(stage.name())).collect(),
            lines: vec![1; sources.len()],
            odd_times: OddTimes::default(),
            latencies: vec![Latencies::default(); stages.len()],
            before: 0,
            is_partial: false,
        }
    }

    /// As bytes, for a checkpoint.
    pub(crate) fn counted(&self) -> Counted {
        Counted {
            sources: self.sources.iter().map(|entry| entry.ledger).collect(),
            stages: self.stages.iter().map(|entry| entry.ledger).collect(),
            lines: self.lines.clone(),
            odd_times: self.odd_times,
        }
    }

    /// Goes on from a checkpoint, in which source `before[at]` is what source `at` is now. Where not all parts do, the counts begin anew: they would not
    /// add up.
    pub(crate) fn restore(&mut self, counted: Counted, before: &[Option<usize>], is_whole: bool) {
        self.is_partial = !is_whole;
        let counted_lines = before.iter().map(|at| counted.lines.get((*at)?).copied());
        self.lines.iter_mut().zip(counted_lines).for_each(|(line, counted)| *line = counted.unwrap_or(1));
        if is_whole {
            self.before = counted.sources.iter().map(|ledger| ledger.input).sum();
            self.sources.iter_mut().zip(counted.sources).for_each(|(entry, ledger)| entry.ledger = ledger);
            self.odd_times = counted.odd_times;
            self.stages.iter_mut().zip(counted.stages).for_each(|(entry, ledger)| entry.ledger = ledger);
        }
    }

    /// How many records all sources have given.
    pub(crate) fn records(&self) -> u64 {
        self.sources.iter().map(|entry| entry.ledger.input).sum()
    }

    /// Adds what was entered for one chunk, stage by stage.
    pub(crate) fn add(&mut self, stages: &[Entry]) {
        self.stages.iter_mut().zip(stages).for_each(|(entry, more)| entry.add(more));
    }
}
