//! What remains to be saved of a shard, by block, and which of its sensors have changed since the last cut.

use crate::error::Result;
use crate::stage::CutKind;

/// Sensors of a block, a bit each.
pub(super) type Mask = u16;

/// What has become of a shard since the last cut.
#[derive(Default)]
pub(super) struct SinceCut {
    /// By block: the sensors whose state may have changed.
    pub(super) changed: Vec<Mask>,
    /// What remains to be saved.
    pub(super) saving: Option<Saving>,
}

/// The progress of saving a shard.
pub(super) struct Saving {
    pub(super) kind: CutKind,
    /// By block: the sensors to be saved; 0 where that is done. Blocks that were added since the cut are not part of it.
    pub(super) due: Vec<Mask>,
    /// All blocks before this one are saved.
    pub(super) next: usize,
    /// Blocks serialised by workers that are not written yet.
    pub(super) waiting: Vec<Result<Vec<u8>>>,
    pub(super) bytes: usize,
}

impl SinceCut {
    #[inline]
    pub(super) fn is_marked(&self, block: usize, bit: Mask) -> bool {
        self.changed.get(block).is_some_and(|changed| changed & bit != 0)
    }

    pub(super) fn mark(&mut self, block: usize, bit: Mask) {
        if block >= self.changed.len() {
            self.changed.resize(block + 1, 0);
        }
        self.changed[block] |= bit;
    }
}

impl Saving {
    /// Marks a block as saved; returns what was unsaved.
    pub(super) fn begin(&mut self, block: usize) -> Mask {
        self.due.get_mut(block).map_or(0, std::mem::take)
    }

    /// The next block with unsaved sensors, and these.
    pub(super) fn next_due(&mut self) -> Option<(usize, Mask)> {
        self.next += self.due[self.next..].iter().position(|&due| due != 0)?;
        Some((self.next, self.begin(self.next)))
    }
}

/// The bits that follow one another: the first, and how many.
pub(super) fn runs(mask: Mask) -> impl Iterator<Item = (usize, usize)> {
    let mut left = u32::from(mask);
    std::iter::from_fn(move || {
        let first = (left != 0).then(|| left.trailing_zeros())?;
        let count = (left >> first).trailing_ones();
        left &= !0 << (first + count);
        Some((first as usize, count as usize))
    })
}
