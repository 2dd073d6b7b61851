//! A cut of a table, and the pieces that one thread writes while workers continue.

use std::sync::Arc;

use serde::Serialize;

use super::saving::{Mask, SinceCut};
use super::{Shard, Table};
use crate::error::Result;
use crate::stage::{Cut, CutKind};

/// The pieces of a cut, shard by shard in turn, so that no worker waits for long.
struct CutPieces<T, W> {
    table: Arc<Table<T, W>>,
    /// The shards that are not completely saved.
    left: Vec<usize>,
    /// The index of the next one among them.
    turn: usize,
    ready: std::vec::IntoIter<Result<Vec<u8>>>,
}

impl<T: Serialize + Send + 'static, W: Send + 'static> Table<T, W> {
    /// The current states, regardless of later changes; with [`CutKind::Changes`] those that may have changed since the last cut, unless that was cancelled or there is none.
    /// Must be called when every shard has processed the same batches. Waits until an earlier cut has been written.
    pub(in crate::stage) fn cut(self: &Arc<Self>, kind: CutKind) -> Cut {
        let kind = if self.await_last_cut() { kind } else { CutKind::Complete };
        let all = ((1u32 << (1 << self.block_bits)) - 1) as Mask;
        for shard in 0..self.seats.len() {
            let mut guard = self.lock(shard);
            let sensors = guard.states.iter().map(|states| states.as_slice().len()).max();
            guard.begin(kind, sensors.unwrap_or(0).div_ceil(1 << self.block_bits), all);
        }
        let left = (0..self.seats.len()).collect();
        let pieces = CutPieces { table: Arc::clone(self), left, turn: 0, ready: Vec::new().into_iter() };
        Cut { kind, pieces: Box::new(pieces) }
    }

    /// Waits until the last cut has been written or cancelled; returns whether all of it was written.
    fn await_last_cut(&self) -> bool {
        let mut is_written = true;
        for shard in 0..self.seats.len() {
            let mut guard = self.lock(shard);
            while guard.saving().is_some() {
                guard = self.wait(shard, guard);
            }
            is_written &= guard.since.is_some();
        }
        is_written
    }
}

impl<T: Serialize, W> Iterator for CutPieces<T, W> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        loop {
            if let Some(piece) = self.ready.next() {
                return Some(piece);
            }
            self.turn = if self.turn < self.left.len() { self.turn } else { 0 };
            let pieces = self.table.take(*self.left.get(self.turn)?);
            if pieces.is_empty() {
                self.left.remove(self.turn);
            } else {
                self.turn += 1;
            }
            self.ready = pieces.into_iter();
        }
    }
}

/// If the writer is dropped, saving is cancelled.
impl<T, W> Drop for CutPieces<T, W> {
    fn drop(&mut self) {
        self.left.iter().for_each(|&shard| self.table.cancel(shard));
    }
}

impl<T: Serialize, W> Table<T, W> {
    /// The next pieces of a shard to be written; none if all is saved.
    fn take(&self, shard: usize) -> Vec<Result<Vec<u8>>> {
        let mut guard = self.lock(shard);
        let Shard { states, since: Some(SinceCut { saving, .. }), .. } = &mut *guard else {
            return Vec::new();
        };
        let Some(going_on) = saving else { return Vec::new() };
        let mut pieces = std::mem::take(&mut going_on.waiting);
        going_on.bytes = 0;
        while pieces.is_empty()
            && let Some((block, due)) = going_on.next_due()
        {
            pieces.extend(self.piece(shard, states, block, due, going_on.kind).transpose());
        }
        if pieces.is_empty() {
            *saving = None;
        }
        drop(guard);
        self.seats[shard].is_written.notify_all();
        pieces
    }
}

impl<T, W> Table<T, W> {
    /// Ends the saving of a shard, at any progress: a later cut cannot go by it.
    fn cancel(&self, shard: usize) {
        self.lock(shard).since = None;
        self.seats[shard].is_written.notify_all();
    }
}
