//! The states of a stage's series, split into shards of sensors, saved while workers continue.
//!
//! A cut itself costs next to nothing: every block of sensors is marked as unsaved. Then one thread serialises and writes block by block; a
//! worker that is about to change an unsaved block serialises it first, and leaves the bytes to that thread. So the state at the cut is
//! written, block by block in any order; nobody waits for the disk, unless too many bytes are pending.
//!
//! From the first cut on, workers mark the sensors whose state they change, a bit each: of the next cut, only these need to be written. Without cuts nothing is
//! marked.

mod cut;
mod restore;
mod saving;
#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use self::saving::{Mask, Saving, SinceCut, runs};
use super::groups::Deal;
use crate::error::Result;
use crate::sensor::{PerSensor, SensorId};
use crate::stage::state;
use crate::stage::{CutKind, SensorStates};

/// Sensors per block, with a single column: few, so that serialising one does not delay a worker; a power of two, and no more than a [`Mask`] has bits.
const BLOCK: usize = 16;

/// The maximum number of pending bytes serialised by workers, over all shards; beyond it, workers wait.
const MOST: usize = 16 << 20;

/// The states of all shards.
pub(in crate::stage) struct Table<T, W> {
    seats: Box<[Seat<T, W>]>,
    deal: Deal,
    /// The binary logarithm of the number of sensors of a shard in a block.
    block_bits: u32,
    /// The maximum number of pending bytes of a shard.
    most: usize,
}

struct Seat<T, W> {
    shard: Mutex<Shard<T, W>>,
    /// Signalled when blocks have been taken for writing, and when the shard has been saved.
    is_written: Condvar,
}

/// The states of a shard's series.
pub(in crate::stage) struct Shard<T, W> {
    /// By column, then by sensor, at its [index](Deal::place).
    pub(in crate::stage) states: Vec<PerSensor<T>>,
    /// Additional state of its worker, which is not saved.
    pub(in crate::stage) own: W,
    /// `None` before the first cut, and after one that was cancelled.
    since: Option<SinceCut>,
}

impl<T, W> Table<T, W> {
    /// A table of `columns` columns without series, in at least `shards` shards, each with the result of `own`.
    pub(in crate::stage) fn new(columns: usize, shards: usize, own: impl Fn() -> W) -> Self {
        let deal = Deal::among(shards);
        let seat = || {
            let states = (0..columns).map(|_| PerSensor::default()).collect();
            let shard = Shard { states, own: own(), since: None };
            Seat { shard: Mutex::new(shard), is_written: Condvar::new() }
        };
        let block_bits = (BLOCK / columns.max(1)).max(1).ilog2();
        let seats = (0..deal.shards()).map(|_| seat()).collect();
        Self { seats, deal, block_bits, most: MOST / deal.shards() }
    }

    pub(in crate::stage) fn deal(&self) -> Deal {
        self.deal
    }

    pub(in crate::stage) fn columns(&self) -> usize {
        self.lock(0).states.len()
    }

    /// Locks a shard. A worker that panicked ends the run: its partial changes are never used.
    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard<T, W>> {
        self.seats[shard].shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until pending bytes of a shard have been written.
    fn wait<'a>(&self, shard: usize, guard: MutexGuard<'a, Shard<T, W>>) -> MutexGuard<'a, Shard<T, W>> {
        self.seats[shard].is_written.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// The block of the sensor at index `place` of its shard, and its bit there.
    #[inline]
    fn block(&self, place: SensorId) -> (usize, Mask) {
        let within = place.index() & ((1 << self.block_bits) - 1);
        (place.index() >> self.block_bits, 1 << within)
    }
}

impl<T: Serialize, W> Table<T, W> {
    /// Locks a shard to change the states of `sensors`, all of them its own.
    #[inline]
    pub(in crate::stage) fn change(
        &self,
        shard: usize,
        sensors: impl Iterator<Item = SensorId>,
    ) -> MutexGuard<'_, Shard<T, W>> {
        self.change_more(shard, self.lock(shard), sensors)
    }

    /// The same for a shard that is locked already.
    #[inline]
    pub(in crate::stage) fn change_more<'a>(
        &self,
        shard: usize,
        guard: MutexGuard<'a, Shard<T, W>>,
        sensors: impl Iterator<Item = SensorId>,
    ) -> MutexGuard<'a, Shard<T, W>> {
        if guard.since.is_none() { guard } else { self.mark(shard, guard, sensors) }
    }

    /// Marks `sensors` as changed since the last cut; what that has of them is serialised first.
    fn mark<'a>(
        &self,
        shard: usize,
        mut guard: MutexGuard<'a, Shard<T, W>>,
        sensors: impl Iterator<Item = SensorId>,
    ) -> MutexGuard<'a, Shard<T, W>> {
        for sensor in sensors {
            let (block, bit) = self.block(self.deal.place(sensor));
            // What is marked has been saved.
            if guard.since.as_ref().is_some_and(|since| since.is_marked(block, bit)) {
                continue;
            }
            if guard.is_due(block) {
                guard = self.save_before(shard, guard, block);
            }
            if let Some(since) = &mut guard.since {
                since.mark(block, bit);
            }
        }
        guard
    }

    /// Serialises a block that is unsaved since the cut.
    #[cold]
    fn save_before<'a>(
        &self,
        shard: usize,
        mut guard: MutexGuard<'a, Shard<T, W>>,
        block: usize,
    ) -> MutexGuard<'a, Shard<T, W>> {
        while guard.is_due(block) && guard.saving().is_some_and(|saving| saving.bytes >= self.most) {
            guard = self.wait(shard, guard);
        }
        let Shard { states, since: Some(SinceCut { saving: Some(saving), .. }), .. } = &mut *guard else {
            return guard;
        };
        let due = saving.begin(block);
        if let Some(piece) = self.piece(shard, states, block, due, saving.kind).transpose() {
            saving.bytes += piece.as_ref().map_or(0, Vec::len);
            saving.waiting.push(piece);
        }
        guard
    }

    /// The bytes of the sensors `due` of a block; `None` if there is nothing to be said of them.
    fn piece(
        &self,
        shard: usize,
        states: &[PerSensor<T>],
        block: usize,
        due: Mask,
        kind: CutKind,
    ) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        for (first, count) in runs(due) {
            let first = (block << self.block_bits) + first;
            let of = |states| match kind {
                CutKind::Complete => lasting(part(states, first, count)),
                CutKind::Changes => part(states, first, count),
            };
            let columns: Vec<&[Option<T>]> = states.iter().map(|states| of(states.as_slice())).collect();
            if columns.iter().any(|states| !states.is_empty()) {
                let first = self.deal.sensor(shard, SensorId(first as u32)).0;
                bytes = state::append_bytes(bytes, &(first, self.deal.bits(), columns))?;
            }
        }
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// What is kept of each sensor: by column.
    pub(in crate::stage) fn save_sensors(&self) -> Result<SensorStates> {
        let mut all = SensorStates::default();
        for shard in 0..self.seats.len() {
            let states = &self.lock(shard).states;
            let places = states.iter().map(|states| states.as_slice().len()).max().unwrap_or(0);
            for place in (0..places).map(|place| SensorId(place as u32)) {
                let columns: Vec<Option<&T>> = states.iter().map(|states| states.get(place)).collect();
                if columns.iter().any(Option::is_some) {
                    all.push(self.deal.sensor(shard, place), &columns)?;
                }
            }
        }
        Ok(all)
    }
}

/// Up to `count` states from `first` on.
fn part<T>(states: &[Option<T>], first: usize, count: usize) -> &[Option<T>] {
    let behind = states.get(first..).unwrap_or_default();
    &behind[..count.min(behind.len())]
}

/// Those states without trailing empty ones.
fn lasting<T>(states: &[Option<T>]) -> &[Option<T>] {
    &states[..states.iter().rposition(Option::is_some).map_or(0, |last| last + 1)]
}

impl<T, W> Shard<T, W> {
    fn saving(&self) -> Option<&Saving> {
        self.since.as_ref()?.saving.as_ref()
    }

    /// Whether a block is unsaved since the cut.
    fn is_due(&self, block: usize) -> bool {
        self.saving().is_some_and(|saving| saving.due.get(block).is_some_and(|&due| due != 0))
    }

    /// Begins to save it, with `all` as the sensors of a block.
    fn begin(&mut self, kind: CutKind, blocks: usize, all: Mask) {
        let since = self.since.get_or_insert_default();
        let changed = std::mem::replace(&mut since.changed, vec![0; blocks]);
        let due = match kind {
            CutKind::Complete => vec![all; blocks],
            CutKind::Changes => changed,
        };
        since.saving = Some(Saving { kind, due, next: 0, waiting: Vec::new(), bytes: 0 });
    }
}
