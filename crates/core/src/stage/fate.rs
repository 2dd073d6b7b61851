//! What happened to records that a stage did not emit.

use crate::batch::{Batch, Mask};
use crate::error::{Rejection, RejectionKind};
use crate::offset::Position;

/// Collects, for one call of a stage, the records that are not emitted. The runtime transfers it to the ledger and the dead letter.
#[derive(Debug, Default)]
pub struct Flow {
    /// Records removed by the stage, as configured.
    pub filtered: u64,
    /// Records that were aggregated into others.
    pub folded: u64,
    /// New records emitted by the stage, such as aggregates.
    pub made: u64,
    /// Rejected records.
    pub rejections: Vec<Rejection>,
}

impl Flow {
    /// Removes the records whose bit in `keep` is clear, counted as filtered.
    pub fn filter(&mut self, batch: &mut Batch, keep: &Mask) {
        self.filtered += (keep.len() - keep.count()) as u64;
        batch.retain(keep);
    }

    /// Rejects the record at `row`. The caller must remove it from the batch (see [`Batch::retain`]).
    pub fn reject(&mut self, batch: &Batch, row: usize, kind: RejectionKind, reason: impl Into<String>) {
        let origins = batch.origins.as_ref();
        let position = origins.map(|origins| origins.position(row));
        let raw =
            origins.and_then(|origins| batch.text.get(origins.get(row).raw)).unwrap_or_default().to_vec();
        self.rejections.push(Rejection {
            kind,
            // A record made by a stage has no origin, and its row depends on how the input is cut.
            position: position.unwrap_or_else(|| Position { file: "".into(), line: 0, offset: 0 }),
            record: 0,
            decided: origins.map(|origins| origins.trigger(row)),
            column: batch.schema().time().map(|at| batch.schema().fields()[at].name.clone()),
            reason: reason.into(),
            raw,
        });
    }
}
