//! What a sink adds to a checkpoint.

use crate::atomic::{Job, SavedFile, SavedPart};
use crate::error::Result;

/// What a sink has written so far, for a checkpoint, and what it does before and after the checkpoint is durable.
pub struct SinkCheckpoint {
    /// For [`SinkContext::resume`](super::SinkContext::resume).
    pub state: Vec<u8>,
    /// The unfinished files that `state` refers to.
    pub outputs: Vec<SavedPart>,
    /// Makes durable what `state` refers to; may wait for jobs that were handed out before.
    pub settle: Job,
    /// Makes the epoch visible where it belongs. Called once the checkpoint is durable, after those of all earlier epochs, on a thread that
    /// only delivers for this sink; after a [transient](crate::Error::is_transient) error again, with a delay. If the run is killed before,
    /// `state` says what is still to be delivered: the next run does that first, when it opens the sink, although it may have happened
    /// already. So it must be idempotent.
    pub deliver: Option<Box<dyn FnMut() -> Result<()> + Send>>,
}

impl SinkCheckpoint {
    /// The checkpoint of a sink without files.
    pub(super) fn of_state(state: Vec<u8>) -> Self {
        Self { state, outputs: Vec::new(), settle: Box::new(|| Ok(())), deliver: None }
    }
}

impl From<SavedFile> for SinkCheckpoint {
    /// The checkpoint of a sink whose whole state is its file.
    fn from(SavedFile { state, part, settle }: SavedFile) -> Self {
        Self { state, outputs: vec![part], settle, deliver: None }
    }
}
