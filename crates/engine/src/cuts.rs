//! Cuts that a source or a sink requests, besides those that are due by time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Requests a cut, and so a checkpoint, ahead of schedule. It is made as soon as possible: after the checkpoint in progress, if there is one, and at least
/// 50 ms after the previous cut (less if checkpoints are scheduled more often). A run without checkpoints makes none. All sources and sinks of a run share
/// one `CutRequest`.
///
/// A source requests a cut if it receives nothing more until earlier input is durable: a broker's, for example, when half of its window is not
/// acknowledged. [`Source::durable`](crate::source::Source::durable) is the answer. A sink requests one when it has gathered enough for an epoch to be
/// delivered.
///
/// Any thread may request a cut at any time, without waiting. One request covers everything that precedes the cut.
#[derive(Clone, Debug, Default)]
pub struct CutRequest(Arc<AtomicBool>);

impl CutRequest {
    /// Requests a cut after all input so far.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether a cut was requested since the last one began.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// A cut begins.
    pub(crate) fn begin(&self) {
        self.0.store(false, Ordering::Release);
    }
}
