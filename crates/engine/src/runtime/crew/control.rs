//! Ending a run early.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// Ends a run early.
#[derive(Default)]
pub(super) struct Control {
    pub(super) cancelled: Arc<AtomicBool>,
    /// The first error by chunk.
    pub(super) failure: Mutex<Option<(u64, Error)>>,
}

impl Control {
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Ends the run with `error`, unless an earlier chunk has failed too.
    pub(super) fn fail(&self, ordinal: u64, error: Error) {
        let mut failure = lock(&self.failure);
        if failure.as_ref().is_none_or(|(earlier, _)| ordinal < *earlier) {
            *failure = Some((ordinal, error));
        }
        self.cancelled.store(true, Ordering::Release);
    }
}

/// Ignores poisoning: panics are caught where foreign code is called, and what one leaves behind is never published.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
