//! Batches for sinks: filtered, and prepared if the sink prepares.

use std::sync::Arc;

use globset::GlobMatcher;

use crate::batch::Batch;
use crate::sensor::{OfSensors, Sensors};
use crate::sink::{Block, size_of_block};

/// A batch for one sink.
pub(crate) struct ReadyBatch {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) content: Content,
}

pub(super) enum Content {
    /// To be written in its turn.
    Records(Arc<Batch>),
    /// Prepared, with its number of records.
    Block(Block, usize),
}

/// Selects the sensors of a sink.
#[derive(Clone)]
pub(super) struct Filter {
    patterns: Vec<GlobMatcher>,
    known: OfSensors<bool>,
}

impl Content {
    pub(super) fn of_block(block: Block, batch: &Batch) -> Self {
        // The size of other blocks is not known: the number of values stands for it.
        let size = size_of_block(&block).unwrap_or_else(|| numbers(batch));
        Self::Block(block, size)
    }

    /// Its approximate size in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Records(batch) => numbers(batch) + batch.text.len(),
            Self::Block(_, size) => *size,
        }
    }
}

/// The size of the numbers in `batch` in bytes.
fn numbers(batch: &Batch) -> usize {
    8 * batch.len() * batch.schema().fields().len()
}

impl Filter {
    pub(super) fn new(patterns: Vec<GlobMatcher>) -> Self {
        Self { patterns, known: OfSensors::default() }
    }

    /// The records of the selected sensors; `None` if all are.
    pub(super) fn select(&mut self, batch: &Batch, sensors: &Sensors) -> Option<Batch> {
        let Self { patterns, known } = self;
        let fits = known.of(sensors, |name| patterns.iter().any(|pattern| pattern.is_match(name)));
        let ids = batch.sensors();
        let rows: Vec<u32> = (0..batch.len() as u32).filter(|&row| fits[ids[row as usize].index()]).collect();
        (rows.len() < batch.len()).then(|| batch.take(&rows))
    }
}
