//! Counts so far, in the order of the input.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::odd_times::OddTimes;
use crate::metrics::{Entry, Latencies, Ledger};
use crate::pipeline::Pipeline;
use crate::stage::Stage;

/// A tally in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TallyState {
    sources: Vec<Ledger>,
    stages: Vec<Ledger>,
    lines: Vec<u64>,
    odd_times: OddTimes,
}

/// The ledgers of the sources and the stages, and the line counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sources: Vec<Entry>,
    pub(crate) stages: Vec<Entry>,
    /// By source: the line after its last chunk.
    pub(crate) lines: Vec<u64>,
    /// The number of suspicious times.
    pub(crate) odd_times: OddTimes,
    /// Latencies from arrival to the end of each stage, for live input.
    pub(crate) latencies: Vec<Latencies>,
    /// Records counted by earlier runs.
    pub(crate) before: u64,
    /// Whether some of the parts have begun behind the beginning of the input, so that they have counted other records than those that feed them.
    pub(crate) is_partial: bool,
}

impl Tally {
    /// For a run of `pipeline` with all its `stages`, at its beginning.
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

    /// Its state for a checkpoint.
    pub(crate) fn counted(&self) -> TallyState {
        TallyState {
            sources: self.sources.iter().map(|entry| entry.ledger).collect(),
            stages: self.stages.iter().map(|entry| entry.ledger).collect(),
            lines: self.lines.clone(),
            odd_times: self.odd_times,
        }
    }

    /// Resumes from the counts of a checkpoint. `sources` and `stages` have the index of each part in the checkpoint, `None` for a part that starts anew;
    /// `is_whole` if no part does.
    pub(crate) fn restore(
        &mut self,
        counted: TallyState,
        sources: &[Option<usize>],
        stages: &[Option<usize>],
        is_whole: bool,
    ) {
        (self.is_partial, self.odd_times) = (!is_whole, counted.odd_times);
        for (line, before) in self.lines.iter_mut().zip(sources) {
            *line = before.and_then(|at| counted.lines.get(at)).copied().unwrap_or(1);
        }
        resume(&mut self.sources, &counted.sources, sources);
        resume(&mut self.stages, &counted.stages, stages);
        self.before = self.records();
    }

    /// The total number of records of all sources.
    pub(crate) fn records(&self) -> u64 {
        self.sources.iter().map(|entry| entry.ledger.input).sum()
    }

    /// Adds the entries of one chunk, stage by stage.
    pub(crate) fn add(&mut self, stages: &[Entry]) {
        self.stages.iter_mut().zip(stages).for_each(|(entry, more)| entry.add(more));
    }
}

/// Continues the counts of `counted`: part `before[at]` there is what part `at` is now.
fn resume(entries: &mut [Entry], counted: &[Ledger], before: &[Option<usize>]) {
    for (entry, before) in entries.iter_mut().zip(before) {
        entry.ledger = before.and_then(|at| counted.get(at)).copied().unwrap_or_default();
    }
}
