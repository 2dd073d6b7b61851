//! How far each source is durable: set by the thread that keeps checkpoints, looked at by whoever reads the source.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The newest checkpoint that is durable.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    epoch: AtomicU64,
    /// Where each source was; `None` for those that begin anew.
    positions: Mutex<Vec<Option<Vec<u8>>>>,
}

impl Durable {
    /// The checkpoint that closes `epoch` is durable.
    pub(crate) fn set(&self, epoch: u64, positions: Vec<Option<Vec<u8>>>) {
        let mut now = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        *now = positions;
        self.epoch.store(epoch, Ordering::Release);
    }

    /// The newest epoch that is durable, if it is newer than `known`, and where the source at `at` was then.
    pub(crate) fn newer_than(&self, known: u64, at: usize) -> Option<(u64, Option<Vec<u8>>)> {
        // It is asked for with every piece, and seldom there.
        if self.epoch.load(Ordering::Acquire) <= known {
            return None;
        }
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        Some((self.epoch.load(Ordering::Acquire), positions.get(at).cloned().flatten()))
    }
}
