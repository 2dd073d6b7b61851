//! What is handed to a sink: chosen, and prepared where the sink prepares.

use std::sync::Arc;

use globset::GlobMatcher;

use crate::batch::Batch;
use crate::sensor::{OfSensors, Sensors};
use crate::sink::Block;

/// A batch on its way to one sink.
pub(crate) struct ReadyBatch {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) content: Content,
}

pub(super) enum Content {
    /// To be written when its turn comes.
    Records(Arc<Batch>),
    /// Prepared.
    Block(Block, usize),
}

/// Which sensors a sink is given.
#[derive(Clone)]
pub(super) struct Filter {
    patterns: Vec<GlobMatcher>,
    known: OfSensors<bool>,
}

impl Content {
    pub(super) fn of_block(block: Block, batch: &Batch) -> Self {
        // Most are text; of others only that they are of so many numbers is known.
        let text = block.downcast_ref::<Vec<u8>>().map(Vec::capacity);
        Self::Block(block, text.unwrap_or_else(|| numbers(batch)))
    }

    /// The bytes that it takes, about.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Records(batch) => numbers(batch) + batch.text.len(),
            Self::Block(_, size) => *size,
        }
    }
}

/// The bytes of the numbers in `batch`.
fn numbers(batch: &Batch) -> usize {
    8 * batch.len() * batch.schema().fields().len()
}

impl Filter {
    pub(super) fn new(patterns: Vec<GlobMatcher>) -> Self {
        Self { patterns, known: OfSensors::default() }
    }

    /// The records of the sensors that fit; `None` where all do.
    pub(super) fn select(&mut self, batch: &Batch, sensors: &Sensors) -> Option<Batch> {
        let Self { patterns, known } = self;
        let fits = known.of(sensors, |name| patterns.iter().any(|pattern| pattern.is_match(name)));
        let ids = batch.sensors();
        let rows: Vec<u32> = (0..batch.len() as u32).filter(|&row| fits[ids[row as usize].index()]).collect();
        (rows.len() < batch.len()).then(|| batch.take(&rows))
    }
}
