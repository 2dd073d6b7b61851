//! The saved state of a stage in pieces: with a million sensors, a second copy would take too much memory.

use crate::error::Result;

/// The saved state of a stage, in the order in which it is written. The producer decides where a piece ends.
pub type Pieces = Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>;

/// How much of a state a cut has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutKind {
    /// All of it.
    Complete,
    /// What may have changed since the cut before: that one, with this put over it, is the complete state.
    Changes,
}

/// A state as it is at a cut.
pub struct Cut {
    /// How much of it this is.
    pub kind: CutKind,
    /// Its bytes.
    pub pieces: Pieces,
}

impl Cut {
    /// A complete state.
    pub fn complete(pieces: Pieces) -> Self {
        Self { kind: CutKind::Complete, pieces }
    }
}

/// A saved state as a single piece; none if it is empty.
pub fn in_one_piece(state: Vec<u8>) -> Pieces {
    Box::new((!state.is_empty()).then_some(Ok(state)).into_iter())
}
