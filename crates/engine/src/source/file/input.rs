//! One kind of input of a text source: files one after another, followed files, a recording.

use super::position::ReadPosition;
use crate::error::Result;
use crate::offset::{Offset, Sequence};
use crate::source::{Input, Progress};
use crate::time::{Clock, Timestamp};

/// What [`FileSource`](super::FileSource) reads. The order of the calls is that of [`Source`](crate::source::Source).
pub(super) trait TextInput: Send {
    /// Acquires exclusive resources when the run begins.
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    /// The next piece, with the number `sequence`; [`Input::Nothing`] after a short wait, `None` at the end.
    fn next(&mut self, sequence: Sequence) -> Result<Option<Input>>;

    /// The next piece of what was received and not returned yet, when the run stops. If the run `can_resume`, it leaves incomplete records in their files.
    fn drain(&mut self, sequence: Sequence, can_resume: bool) -> Result<Option<Input>>;

    /// When the last piece arrived: for live input the time of `clock`, in a replay the recorded time; `None` for historical input.
    fn received(&self, clock: &Clock) -> Option<Timestamp>;

    /// Whether it contains all ticks already, as a recording does.
    fn has_ticks(&self) -> bool {
        false
    }

    /// The ordinal of the next piece in a recording of several sources.
    fn arrival(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// The stem of the stream that was read last.
    fn stem(&self) -> &str;

    /// The offset of the next piece.
    fn offset(&self) -> Offset;

    /// Moves to an offset returned by [`offset`](Self::offset).
    fn seek(&mut self, offset: Offset) -> Result<()>;

    /// The position for a checkpoint.
    fn save(&self) -> Result<ReadPosition>;

    /// Moves to a position of the same input; returns remarks about how it resumes.
    ///
    /// # Errors
    /// If the position is one of another kind of input, or the input has changed.
    fn restore(&mut self, position: ReadPosition) -> Result<Vec<String>>;

    /// The progress in bytes as stored or received.
    fn progress(&self) -> Progress;

    /// Remarks for the end of the run.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// What could not be read, such as damaged parts of a recording.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Makes the next call look for new files.
    #[cfg(test)]
    fn look_for_files_now(&mut self) {}
}
