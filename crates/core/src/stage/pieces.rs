//! What a stage keeps, piece by piece: a million sensors keep more than should be in memory twice.

use crate::error::Result;

/// What a stage keeps, in the order in which it is written. Whoever makes them says where one may end.
pub type Pieces = Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>;

/// A state in one piece, where there is any.
pub fn in_one_piece(state: Vec<u8>) -> Pieces {
    Box::new((!state.is_empty()).then_some(Ok(state)).into_iter())
}
