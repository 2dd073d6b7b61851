//! The durable positions of the sources: set by the checkpoint thread, read by whichever thread reads the source.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The newest durable checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    epoch: AtomicU64,
    /// The position of each source; `None` for those that start anew.
    positions: Mutex<Vec<Option<Vec<u8>>>>,
}

impl Durable {
    /// The checkpoint that closes `epoch` is durable.
    pub(crate) fn set(&self, epoch: u64, positions: Vec<Option<Vec<u8>>>) {
        let mut now = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        *now = positions;
        self.epoch.store(epoch, Ordering::Release);
    }

    /// The newest durable epoch, if it is newer than `known`, and the position of source `at` in it.
    pub(crate) fn newer_than(&self, known: u64, at: usize) -> Option<(u64, Option<Vec<u8>>)> {
        // The fast path: called for every piece, and seldom true.
        if self.epoch.load(Ordering::Acquire) <= known {
            return None;
        }
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        Some((self.epoch.load(Ordering::Acquire), positions.get(at).cloned().flatten()))
    }
}
