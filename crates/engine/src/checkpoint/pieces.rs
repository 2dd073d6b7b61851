//! What a stage keeps, piece by piece: a million sensors keep more than should be in memory twice. It is made while it is written, and read
//! when somebody goes on from it.

use std::fmt;
use std::sync::Arc;

use super::reader::Reader;
use crate::error::Error;
use crate::files::FileHandle;
use crate::stage::Pieces;

/// What a stage kept at a checkpoint, in the file of that.
#[derive(Clone)]
pub struct StageState {
    file: Arc<dyn FileHandle>,
    /// Where its first piece begins, and where its last one ends.
    start: u64,
    end: u64,
    bytes: u64,
}

impl StageState {
    /// Pieces of `bytes` bytes together, which lie from `start` to `end` in `file`.
    pub(super) fn new(file: Arc<dyn FileHandle>, start: u64, end: u64, bytes: u64) -> Self {
        Self { file, start, end, bytes }
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its pieces, as they were written.
    pub fn pieces(&self) -> Pieces {
        let mut reader = Reader::between(&self.file, self.start, self.end);
        Box::new(std::iter::from_fn(move || match reader.piece() {
            Ok(piece) => piece.map(Ok),
            Err(error) => Some(Err(Error::data(format!("the checkpoint cannot be read again: {error}")))),
        }))
    }
}

impl fmt::Debug for StageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageState")
            .field("start", &self.start)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
