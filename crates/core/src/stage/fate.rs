//! What became of the records that a stage did not pass on.

use crate::batch::{Batch, Mask};
use crate::error::{Rejection, RejectionKind};
use crate::offset::Position;

/// Collects, for one call of a stage, what does not go on. The runtime empties it into the ledger
/// and the dead letter.
#[derive(Debug, Default)]
pub struct Flow {
    /// Records removed because the stage was told to.
    pub filtered: u64,
    /// Records that went into a summary instead of going on.
    pub folded: u64,
    /// Records given back that did not come in: summaries of others.
    pub made: u64,
    /// Records set aside.
    pub rejections: Vec<Rejection>,
}

impl Flow {
    /// Removes the records whose bit in `keep` is clear, as filtered.
    pub fn filter(&mut self, batch: &mut Batch, keep: &Mask) {
        self.filtered += (keep.len() - keep.count()) as u64;
        batch.retain(keep);
    }

    /// Sets the record at `row` aside. It must be removed from the batch by the caller (see [`Batch::retain`]).
    pub fn reject(&mut self, batch: &Batch, row: usize, kind: RejectionKind, reason: impl Into<String>) {
        let origins = batch.origins.as_ref();
        let position = origins.map(|origins| origins.position(row));
        let raw =
            origins.and_then(|origins| batch.text.get(origins.get(row).raw)).unwrap_or_default().to_vec();
        self.rejections.push(Rejection {
            kind,
            // A record that a stage made came from nowhere: where it stands in its batch depends on how the input is cut.
            position: position.unwrap_or_else(|| Position { file: "".into(), line: 0, offset: 0 }),
            record: 0,
            decided: origins.map(|origins| origins.trigger(row)),
            column: batch.schema().time().map(|at| batch.schema().fields()[at].name.clone()),
            reason: reason.into(),
            raw,
        });
    }
}
