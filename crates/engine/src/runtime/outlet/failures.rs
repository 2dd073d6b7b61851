//! Errors of sinks, on any thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::runtime::drain::PartJob;

/// Keeps the first error in the order of messages, so that it does not depend on timing.
pub(super) struct Failures {
    first: Mutex<Option<(u64, Error)>>,
    /// Messages after this one are discarded.
    until: AtomicU64,
    /// Set at the first error: the run is to end.
    cancelled: Arc<AtomicBool>,
}

impl Failures {
    /// `cancelled` is set at the first error.
    pub(super) fn new(cancelled: Arc<AtomicBool>) -> Self {
        Self { first: Mutex::default(), until: AtomicU64::new(u64::MAX), cancelled }
    }

    /// Ends the run with the `error` of message `sequence`, unless an earlier message has failed too.
    pub(super) fn fail(&self, sequence: u64, error: Error) {
        let mut first = self.lock();
        if first.as_ref().is_none_or(|(earlier, _)| sequence < *earlier) {
            *first = Some((sequence, error));
        }
        self.until.fetch_min(sequence, Ordering::Release);
        self.cancelled.store(true, Ordering::Release);
    }

    /// Discards all messages from now on.
    pub(super) fn abandon(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Whether message `sequence` must still be handled: those before the first failed one are, since they may fail too.
    pub(super) fn is_wanted(&self, sequence: u64) -> bool {
        sequence <= self.until.load(Ordering::Acquire)
    }

    /// Whether there is an error.
    pub(super) fn is_any(&self) -> bool {
        self.until.load(Ordering::Acquire) < u64::MAX
    }

    /// Runs a job.
    pub(super) fn run(&self, job: PartJob) {
        let sequence = job.sequence;
        if self.is_wanted(sequence)
            && let Err(error) = job.run()
        {
            self.fail(sequence, error);
        }
    }

    /// The first error.
    pub(super) fn take(&self) -> Option<Error> {
        self.lock().take().map(|(_, error)| error)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u64, Error)>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_counts_whichever_is_noticed_first() {
        let cancelled = Arc::new(AtomicBool::new(false));
        let failures = Failures::new(Arc::clone(&cancelled));
        assert!(!failures.is_any() && failures.is_wanted(100));
        failures.fail(7, Error::data("the second"));
        assert!(failures.is_any() && cancelled.load(Ordering::Relaxed));
        assert_eq!([6, 7, 8].map(|sequence| failures.is_wanted(sequence)), [true, true, false]);
        failures.fail(5, Error::data("the first"));
        failures.fail(6, Error::data("another"));
        assert_eq!(failures.take().map(|error| error.message().to_owned()).as_deref(), Some("the first"));
        failures.abandon();
        assert!(!failures.is_wanted(1));
    }
}
