//! The state of a stage, piece by piece: that of a million sensors should not be in memory twice. It is made while it is written, and read when
//! a run resumes from it.

use std::fmt;
use std::sync::Arc;

use super::reader::Reader;
use crate::error::Error;
use crate::files::FileHandle;
use crate::stage::Pieces;

/// The state of a stage at a checkpoint, in the files of the checkpoint and its bases.
#[derive(Clone, Debug, Default)]
pub struct StageState {
    /// A complete cut, then those that contain changes.
    cuts: Vec<SavedCut>,
}

/// The state of a stage in one file.
#[derive(Clone)]
pub(super) struct SavedCut {
    /// `None` if it was closed: then the pieces cannot be read.
    pub(super) file: Option<Arc<dyn FileHandle>>,
    /// The offsets at which its first piece begins and its last piece ends.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The length of all pieces.
    pub(super) bytes: u64,
}

impl StageState {
    /// The state in a complete cut.
    pub(super) fn complete(cut: SavedCut) -> Self {
        Self { cuts: vec![cut] }
    }

    /// The same, followed by `changes`.
    pub(super) fn followed_by(&self, changes: SavedCut) -> Self {
        Self { cuts: self.cuts.iter().cloned().chain([changes]).collect() }
    }

    /// Closes its files; its length is still known.
    pub(super) fn close(&mut self) {
        self.cuts.iter_mut().for_each(|cut| cut.file = None);
    }

    /// The number of bytes that a run reads to resume from it; later pieces replace some of them.
    pub fn bytes(&self) -> u64 {
        self.cuts.iter().map(|cut| cut.bytes).sum()
    }

    /// The pieces of the complete cut, then those of each cut with changes, as they were written.
    pub fn cuts(&self) -> Vec<Pieces> {
        self.cuts.iter().map(SavedCut::pieces).collect()
    }
}

impl SavedCut {
    fn pieces(&self) -> Pieces {
        let Some(file) = &self.file else {
            return Box::new(std::iter::once(Err(Error::internal("the file of a checkpoint is closed"))));
        };
        let mut reader = Reader::between(file, self.start, self.end);
        Box::new(std::iter::from_fn(move || match reader.piece() {
            Ok(piece) => piece.map(Ok),
            Err(error) => Some(Err(Error::data(format!("the checkpoint cannot be read again: {error}")))),
        }))
    }
}

impl fmt::Debug for SavedCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedCut")
            .field("start", &self.start)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
