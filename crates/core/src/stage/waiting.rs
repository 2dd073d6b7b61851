//! What stages share that keep records until others have come.

use crate::batch::Batch;
use crate::error::{Error, Result};

/// Bytes of text that may wait. Text is addressed with 32 bits: what waits must leave room for one more chunk.
pub(super) const ROOM: usize = 2 << 30;

/// Checks that the text of `store` is less than `room` bytes, and that its rows can be numbered with `more` of them. `waiting` says in the
/// error which records these are, `help` what to do.
///
/// # Errors
/// A data error: input that would all have to wait is an error, not the end of the memory.
pub(super) fn check_room(store: &Batch, more: usize, room: usize, waiting: &str, help: &str) -> Result<()> {
    if store.text.len() < room && u32::try_from(store.len() + more).is_ok() {
        return Ok(());
    }
    let message =
        format!("there is no room for more than {waiting}: their text has {} MiB", store.text.len() >> 20);
    Err(Error::data(message).with_help(help))
}

/// The records at `rows` of `store`, with text of their own: while a batch is under way that shares the store's, the store cannot grow
/// without being copied.
pub(super) fn detached(store: &Batch, rows: &[u32]) -> Batch {
    let mut detached = Batch::empty(store.schema().clone());
    detached.append(&store.take(rows));
    detached
}
