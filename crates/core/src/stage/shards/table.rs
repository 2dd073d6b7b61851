//! The states of the series of a stage, split over shards of sensors, and how they are saved while workers go on with them.
//!
//! A cut costs next to nothing where it is made: it is but noted that every block of sensors is still to be saved. Then one thread goes
//! through the blocks and writes them; a worker that is about to change a block which has not been saved yet saves it first, and leaves the
//! bytes to that thread. So what is written is what was there at the cut, block by block in any order; nobody waits for the disk, unless more
//! bytes are left to that thread than are to be in memory.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::groups::Deal;
use crate::error::{Error, Result};
use crate::sensor::{PerSensor, SensorId, Sensors};
use crate::stage::Pieces;
use crate::stage::state;

/// Sensors in a block, where there is one column: few, so that a worker that has to save one is not held up.
const BLOCK: usize = 16;

/// Bytes of blocks that workers have saved, of all shards, behind which they wait until some are written.
const MOST: usize = 16 << 20;

/// The states of all shards.
pub(in crate::stage) struct Table<T, W> {
    seats: Box<[Seat<T, W>]>,
    deal: Deal,
    /// How many sensors of a shard are saved together.
    block: usize,
    /// Bytes of a shard that workers have saved, behind which they wait.
    most: usize,
}

struct Seat<T, W> {
    shard: Mutex<Shard<T, W>>,
    /// Told when blocks have been taken to be written, and when the shard has been saved.
    is_written: Condvar,
}

/// The states of a shard's series.
pub(in crate::stage) struct Shard<T, W> {
    /// By column, then by sensor, in its [place](Deal::place).
    pub(in crate::stage) states: Vec<PerSensor<T>>,
    /// What its worker has besides, which is not saved.
    pub(in crate::stage) own: W,
    /// What is left to be saved since a cut.
    saving: Option<Saving>,
}

/// How far a shard has been saved.
struct Saving {
    /// By block.
    is_saved: Vec<bool>,
    /// All blocks before this one are.
    next: usize,
    /// Those that workers have saved and that are not written yet.
    waiting: Vec<Result<Vec<u8>>>,
    bytes: usize,
}

/// The states of a block's sensors: the first of these (the others come behind it in steps of two to the power of the second number), then by
/// column and by sensor, up to the last one that has a state.
type Saved<T> = (u32, u32, Vec<Vec<Option<T>>>);

impl<T, W> Table<T, W> {
    /// Of `columns` columns without series, in at least `shards` shards, each with what `own` gives.
    pub(in crate::stage) fn new(columns: usize, shards: usize, own: impl Fn() -> W) -> Self {
        let deal = Deal::among(shards);
        let seat = || {
            let states = (0..columns).map(|_| PerSensor::default()).collect();
            let shard = Shard { states, own: own(), saving: None };
            Seat { shard: Mutex::new(shard), is_written: Condvar::new() }
        };
        let block = (BLOCK / columns.max(1)).max(1);
        Self { seats: (0..deal.shards()).map(|_| seat()).collect(), deal, block, most: MOST / deal.shards() }
    }

    pub(in crate::stage) fn deal(&self) -> Deal {
        self.deal
    }

    pub(in crate::stage) fn columns(&self) -> usize {
        self.lock(0).states.len()
    }

    /// A shard. A worker that panicked ends the run: nobody looks at what it left.
    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard<T, W>> {
        self.seats[shard].shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something of a shard has been written.
    fn wait<'a>(&self, shard: usize, guard: MutexGuard<'a, Shard<T, W>>) -> MutexGuard<'a, Shard<T, W>> {
        self.seats[shard].is_written.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the saving of a shard, however far it is.
    fn end_saving(&self, shard: usize) {
        self.lock(shard).saving = None;
        self.seats[shard].is_written.notify_all();
    }
}

impl<T: Serialize, W> Table<T, W> {
    /// A shard in which the states of `sensors`, all of them its own, are about to change.
    #[inline]
    pub(in crate::stage) fn change(
        &self,
        shard: usize,
        sensors: impl Iterator<Item = SensorId>,
    ) -> MutexGuard<'_, Shard<T, W>> {
        self.change_more(shard, self.lock(shard), sensors)
    }

    /// The same, of a shard that was taken for others before.
    #[inline]
    pub(in crate::stage) fn change_more<'a>(
        &self,
        shard: usize,
        guard: MutexGuard<'a, Shard<T, W>>,
        sensors: impl Iterator<Item = SensorId>,
    ) -> MutexGuard<'a, Shard<T, W>> {
        if guard.saving.is_none() { guard } else { self.save_before(shard, guard, sensors) }
    }

    /// Saves the blocks of `sensors` that have not been since the cut.
    #[cold]
    fn save_before<'a>(
        &self,
        shard: usize,
        mut guard: MutexGuard<'a, Shard<T, W>>,
        sensors: impl Iterator<Item = SensorId>,
    ) -> MutexGuard<'a, Shard<T, W>> {
        for sensor in sensors {
            let block = self.deal.place(sensor).index() / self.block;
            while guard
                .saving
                .as_ref()
                .is_some_and(|saving| saving.is_due(block) && saving.bytes >= self.most)
            {
                guard = self.wait(shard, guard);
            }
            if guard.saving.as_mut().is_some_and(|saving| saving.begin(block)) {
                let piece = self.piece(shard, &guard.states, block).transpose();
                if let (Some(saving), Some(piece)) = (&mut guard.saving, piece) {
                    saving.bytes += piece.as_ref().map_or(0, Vec::len);
                    saving.waiting.push(piece);
                }
            }
        }
        guard
    }

    /// The bytes of a block; `None` where it has no states.
    fn piece(&self, shard: usize, states: &[PerSensor<T>], block: usize) -> Result<Option<Vec<u8>>> {
        let first = block * self.block;
        let columns: Vec<&[Option<T>]> =
            states.iter().map(|states| lasting(states.as_slice(), first, self.block)).collect();
        if columns.iter().all(|states| states.is_empty()) {
            return Ok(None);
        }
        let first = self.deal.sensor(shard, SensorId(first as u32)).0;
        state::to_bytes(&(first, self.deal.bits(), columns)).map(Some)
    }

    /// What is to be written next of a shard, all of which is saved where that is nothing.
    fn take(&self, shard: usize) -> Vec<Result<Vec<u8>>> {
        let mut guard = self.lock(shard);
        let Shard { states, saving, .. } = &mut *guard;
        let Some(going_on) = saving else { return Vec::new() };
        let mut pieces = std::mem::take(&mut going_on.waiting);
        going_on.bytes = 0;
        while pieces.is_empty()
            && let Some(block) = going_on.next_due()
        {
            pieces.extend(self.piece(shard, states, block).transpose());
        }
        if pieces.is_empty() {
            *saving = None;
        }
        drop(guard);
        self.seats[shard].is_written.notify_all();
        pieces
    }
}

/// Up to `most` states from `first` on, without those behind the last that there is.
fn lasting<T>(states: &[Option<T>], first: usize, most: usize) -> &[Option<T>] {
    let behind = states.get(first..).unwrap_or_default();
    let block = &behind[..most.min(behind.len())];
    &block[..block.iter().rposition(Option::is_some).map_or(0, |last| last + 1)]
}

impl Saving {
    fn of(blocks: usize) -> Self {
        Self { is_saved: vec![false; blocks], next: 0, waiting: Vec::new(), bytes: 0 }
    }

    /// Whether a block is still to be saved. One that has come since the cut is not.
    fn is_due(&self, block: usize) -> bool {
        self.is_saved.get(block) == Some(&false)
    }

    /// Whether a block was still to be saved; from now on it is not.
    fn begin(&mut self, block: usize) -> bool {
        self.is_saved.get_mut(block).is_some_and(|is_saved| !std::mem::replace(is_saved, true))
    }

    /// A block that was still to be saved.
    fn next_due(&mut self) -> Option<usize> {
        self.next += self.is_saved[self.next..].iter().position(|is_saved| !is_saved)?;
        self.is_saved[self.next] = true;
        Some(self.next)
    }
}

/// The pieces of a cut, shard by shard in turn, so that no worker waits for long.
struct Cut<T, W> {
    table: Arc<Table<T, W>>,
    /// Shards of which something is left.
    left: Vec<usize>,
    /// Whose turn it is among them.
    turn: usize,
    ready: std::vec::IntoIter<Result<Vec<u8>>>,
}

impl<T: Serialize + Send + 'static, W: Send + 'static> Table<T, W> {
    /// All states as they are now, whatever becomes of them before they are written. To be called when every shard has been through the same
    /// batches. Waits until an earlier cut has been written.
    pub(in crate::stage) fn cut(self: &Arc<Self>) -> Pieces {
        for shard in 0..self.seats.len() {
            let mut guard = self.lock(shard);
            while guard.saving.is_some() {
                guard = self.wait(shard, guard);
            }
            let sensors = guard.states.iter().map(|states| states.as_slice().len()).max();
            guard.saving = Some(Saving::of(sensors.unwrap_or(0).div_ceil(self.block)));
        }
        let left = (0..self.seats.len()).collect();
        Box::new(Cut { table: Arc::clone(self), left, turn: 0, ready: Vec::new().into_iter() })
    }
}

impl<T: Serialize, W> Iterator for Cut<T, W> {
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

/// Nobody saves anything any more for a cut that nobody writes.
impl<T, W> Drop for Cut<T, W> {
    fn drop(&mut self) {
        self.left.iter().for_each(|&shard| self.table.end_saving(shard));
    }
}

impl<T: DeserializeOwned, W> Table<T, W> {
    /// Takes over what pieces of a cut say, whatever shards that was made of.
    ///
    /// # Errors
    /// A data error where they are none, of as many columns and of `sensors`.
    pub(in crate::stage) fn restore(&mut self, mut pieces: &[u8], sensors: &Sensors) -> Result<()> {
        while !pieces.is_empty() {
            let (saved, rest) = state::take_from_bytes(pieces)?;
            self.put(saved, sensors)?;
            pieces = rest;
        }
        Ok(())
    }

    /// All states of column `column` by sensor, to be changed, with what their shard has besides.
    pub(in crate::stage) fn for_each_mut(
        &mut self,
        column: usize,
        mut visit: impl FnMut(SensorId, &mut T, &mut W),
    ) {
        let deal = self.deal;
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let Shard { states, own, .. } = seat.shard.get_mut().unwrap_or_else(PoisonError::into_inner);
            let all = states[column].enumerate_mut();
            all.for_each(|(place, state)| visit(deal.sensor(at, place), state, own));
        }
    }

    fn put(&mut self, (first, bits, columns): Saved<T>, sensors: &Sensors) -> Result<()> {
        let due = self.columns();
        if columns.len() != due {
            return Err(Error::data(format!("the saved state has {} columns, not {due}", columns.len())));
        }
        for (column, states) in columns.into_iter().enumerate() {
            for (at, state) in (0u64..).zip(states) {
                let sensor = at.checked_shl(bits).and_then(|behind| behind.checked_add(first.into()));
                let sensor = sensor.filter(|&sensor| sensor < sensors.len() as u64);
                let sensor =
                    sensor.ok_or_else(|| Error::data("the saved state is of more sensors than there are"))?;
                let Some(state) = state else { continue };
                let (sensor, deal) = (SensorId(sensor as u32), self.deal);
                let shard =
                    self.seats[deal.shard(sensor)].shard.get_mut().unwrap_or_else(PoisonError::into_inner);
                shard.states[column].get_or_insert_with(deal.place(sensor), || state);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(shards: usize, sensors: usize) -> Arc<Table<u64, ()>> {
        let table = Table::new(2, shards, || ());
        change(&table, 0..sensors, |sensor, column| (sensor + column) as u64);
        Arc::new(table)
    }

    /// As a worker would.
    fn change(
        table: &Table<u64, ()>,
        sensors: impl Iterator<Item = usize>,
        to: impl Fn(usize, usize) -> u64,
    ) {
        for sensor in sensors {
            let (id, deal) = (SensorId(sensor as u32), table.deal());
            let mut shard = table.change(deal.shard(id), [id].into_iter());
            for (column, states) in shard.states.iter_mut().enumerate() {
                *states.get_or_insert_with(deal.place(id), || 0) = to(sensor, column);
            }
        }
    }

    fn known(sensors: usize) -> Sensors {
        let mut known = Sensors::default();
        (0..sensors).for_each(|sensor| assert!(known.id(&sensor.to_string()).is_ok()));
        known
    }

    /// What the pieces say, in one shard and by column.
    fn restored(pieces: impl Iterator<Item = Result<Vec<u8>>>, sensors: usize) -> Vec<Vec<Option<u64>>> {
        let mut all = Table::new(2, 1, || ());
        pieces.for_each(|piece| all.restore(&piece.expect("saved"), &known(sensors)).expect("restored"));
        let shard = all.lock(0);
        shard.states.iter().map(|states| states.as_slice().to_vec()).collect()
    }

    fn expected(sensors: usize) -> Vec<Vec<Option<u64>>> {
        (0..2).map(|column| (0..sensors).map(|sensor| Some((sensor + column) as u64)).collect()).collect()
    }

    #[test]
    fn a_cut_is_what_was_there_whatever_workers_do_meanwhile() {
        for (shards, sensors) in [(1, 0), (1, 1), (1, 200), (4, 3), (4, 203), (8, 1000)] {
            for behind in [0, 1, 3, 20] {
                let table = table(shards, sensors);
                let mut cut = table.cut();
                let mut pieces: Vec<_> = cut.by_ref().take(behind).collect();
                // New sensors too, among and behind those of the last block.
                change(&table, (0..sensors + 100).rev(), |_, _| 7);
                (0..sensors).step_by(3).for_each(|sensor| {
                    let (id, deal) = (SensorId(sensor as u32), table.deal());
                    let mut shard = table.change(deal.shard(id), [id].into_iter());
                    shard
                        .states
                        .iter_mut()
                        .for_each(|states| assert!(states.remove(deal.place(id)).is_some()));
                });
                pieces.extend(cut);
                assert_eq!(
                    restored(pieces.into_iter(), sensors),
                    expected(sensors),
                    "{shards}, {sensors}, {behind}"
                );
            }
        }
    }

    /// Bytes of a state, and of so many blocks that some of them wait.
    const LARGE: usize = 100;
    const MOST: usize = 4 * BLOCK * LARGE;

    #[test]
    fn workers_wait_for_what_writes_and_not_for_what_writes_no_more() {
        let table: Arc<Table<Vec<u8>, ()>> = Arc::new(Table { most: MOST, ..Table::new(1, 1, || ()) });
        let large = |table: &Table<Vec<u8>, ()>, sensor: u32| {
            let mut shard = table.change(0, [SensorId(sensor)].into_iter());
            *shard.states[0].get_or_insert_with(SensorId(sensor), Vec::new) = vec![0; LARGE];
        };
        let sensors = 40 * BLOCK as u32;
        (0..sensors).for_each(|sensor| large(&table, sensor));
        for is_written in [true, false] {
            let cut = table.cut();
            std::thread::scope(|scope| {
                let work = scope.spawn(|| (0..sensors).for_each(|sensor| large(&table, sensor)));
                if is_written {
                    // Only so much of all that is in memory at any time.
                    let pieces =
                        cut.inspect(|_| assert!(waiting(&table) <= 2 * MOST, "{} bytes", waiting(&table)));
                    let bytes: usize = pieces.map(|piece| piece.expect("saved").len()).sum();
                    assert!(bytes > sensors as usize * LARGE);
                } else {
                    drop(cut);
                }
                work.join().expect("the worker goes on");
            });
        }
        // The next cut waits for nobody.
        assert_eq!(table.cut().count(), sensors as usize / BLOCK);
    }

    fn waiting(table: &Table<Vec<u8>, ()>) -> usize {
        table.lock(0).saving.as_ref().map_or(0, |saving| saving.bytes)
    }

    #[test]
    fn another_cut_waits_for_the_one_before() {
        let table = table(2, 100);
        let first = table.cut();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| restored(table.cut(), 100));
            assert_eq!(restored(first, 100), expected(100));
            assert_eq!(second.join().expect("saved"), expected(100));
        });
    }
}
