//! What has gone wrong with sinks, on whichever thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::runtime::drain::PartJob;

/// The first thing that went wrong, in the order in which messages were handed to sinks: so it is the same whoever is faster.
pub(super) struct Failures {
    first: Mutex<Option<(u64, Error)>>,
    /// Messages behind this one are for nobody any more.
    until: AtomicU64,
    /// Set when something has: the run is to end.
    cancelled: Arc<AtomicBool>,
}

impl Failures {
    /// `cancelled` is set when something goes wrong.
    pub(super) fn new(cancelled: Arc<AtomicBool>) -> Self {
        Self { first: Mutex::default(), until: AtomicU64::new(u64::MAX), cancelled }
    }

    /// Ends the run with `error` of message `sequence`, unless an earlier one has failed too.
    pub(super) fn fail(&self, sequence: u64, error: Error) {
        let mut first = self.lock();
        if first.as_ref().is_none_or(|(earlier, _)| sequence < *earlier) {
            *first = Some((sequence, error));
        }
        self.until.fetch_min(sequence, Ordering::Release);
        self.cancelled.store(true, Ordering::Release);
    }

    /// No message is for anybody any more.
    pub(super) fn abandon(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Whether message `sequence` is still to be taken: those before the first that failed are, for they may fail too.
    pub(super) fn is_wanted(&self, sequence: u64) -> bool {
        sequence <= self.until.load(Ordering::Acquire)
    }

    /// Whether anything has gone wrong.
    pub(super) fn is_any(&self) -> bool {
        self.until.load(Ordering::Acquire) < u64::MAX
    }

    /// Does a job.
    pub(super) fn run(&self, job: PartJob) {
        let sequence = job.sequence;
        if self.is_wanted(sequence)
            && let Err(error) = job.run()
        {
            self.fail(sequence, error);
        }
    }

    /// What has gone wrong first.
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
