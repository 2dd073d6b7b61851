//! What a stage keeps, piece by piece: a million sensors keep more than should be in memory twice. It is made while it is written, and read
//! when somebody goes on from it.

use std::fmt;
use std::sync::Arc;

use super::reader::Reader;
use crate::error::Error;
use crate::files::FileHandle;
use crate::stage::Pieces;

/// What a stage kept at a checkpoint, in the file of that and of those on which it stands.
#[derive(Clone, Debug, Default)]
pub struct StageState {
    /// A complete cut, and those of changes that followed.
    cuts: Vec<SavedCut>,
}

/// What a stage kept at a cut, in one file.
#[derive(Clone)]
pub(super) struct SavedCut {
    /// `None` if it was closed: then the pieces cannot be read.
    pub(super) file: Option<Arc<dyn FileHandle>>,
    /// Where its first piece begins, and where its last one ends.
    pub(super) start: u64,
    pub(super) end: u64,
    /// How long its pieces are together.
    pub(super) bytes: u64,
}

impl StageState {
    /// The state that was complete at a cut.
    pub(super) fn complete(cut: SavedCut) -> Self {
        Self { cuts: vec![cut] }
    }

    /// The state when `changes` has followed.
    pub(super) fn followed_by(&self, changes: SavedCut) -> Self {
        Self { cuts: self.cuts.iter().cloned().chain([changes]).collect() }
    }

    /// Closes its files: how many bytes it has is still known.
    pub(super) fn close(&mut self) {
        self.cuts.iter_mut().for_each(|cut| cut.file = None);
    }

    /// How many bytes it has, those that were replaced since included: so many are read by a run that goes on from it.
    pub fn bytes(&self) -> u64 {
        self.cuts.iter().map(|cut| cut.bytes).sum()
    }

    /// The pieces of the complete cut, then those of each one that followed, as they were written.
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
