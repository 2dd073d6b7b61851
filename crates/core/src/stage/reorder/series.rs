//! The state of one sensor: its buffered records, and its progress.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::sensor::SensorId;
use crate::stage::moving::late_by;
use crate::time::{Deadlines, Timestamp, Watermark, quiet_at};

/// A buffered record: its time, its ordinal in the input, and its row in the store.
pub(super) type Waiting = (Timestamp, u64, u32);

/// The progress of a series: its newest time, the watermark when it last reported, and the newest time when it was last quiet.
pub(super) type Progress = (Timestamp, Watermark, Timestamp);

/// The state of one sensor.
pub(super) struct Series {
    newest: Timestamp,
    /// The watermark when it last reported.
    seen: Watermark,
    /// The newest time when it was last quiet: all records up to then have been emitted.
    left: Timestamp,
    waiting: Queue,
    /// Whether it has a deadline.
    is_looked_after: bool,
}

/// Records ordered by time, then by input order. Records in that order, as most are, are appended to a queue; others go to a heap.
#[derive(Default)]
struct Queue {
    in_order: VecDeque<Waiting>,
    others: BinaryHeap<Reverse<Waiting>>,
}

impl Queue {
    #[inline]
    fn push(&mut self, record: Waiting) {
        match self.in_order.back() {
            Some(last) if *last > record => self.others.push(Reverse(record)),
            _ => self.in_order.push_back(record),
        }
    }

    /// Removes the first record, if it is not after `due`.
    #[inline]
    fn pop_until(&mut self, due: Timestamp) -> Option<Waiting> {
        let front = self.in_order.front();
        if let Some(Reverse(other)) = self.others.peek()
            && front.is_none_or(|front| other < front)
        {
            return if other.0 <= due { self.others.pop().map(|Reverse(other)| other) } else { None };
        }
        if front?.0 <= due { self.in_order.pop_front() } else { None }
    }

    fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.others.is_empty()
    }
}

impl From<Progress> for Series {
    /// The state without buffered records.
    fn from((newest, seen, left): Progress) -> Self {
        Self { newest, seen, left, waiting: Queue::default(), is_looked_after: false }
    }
}

impl Series {
    pub(super) fn new() -> Self {
        Self::from((Timestamp::MIN, Watermark::new(), Timestamp::MIN))
    }

    pub(super) fn progress(&self) -> Progress {
        (self.newest, self.seen, self.left)
    }

    /// Processes the time of a record, after which the watermark is `watermark`; returns the time up to which records may be emitted now.
    #[inline]
    pub(super) fn note(&mut self, time: Timestamp, watermark: Watermark, disorder: i64) -> Option<Timestamp> {
        self.newest = self.newest.max(time);
        self.seen = watermark;
        self.newest.checked_sub(disorder)
    }

    /// Whether a record at `time` is late, if all up to `due` may have been emitted.
    #[inline]
    pub(super) fn is_late(&self, time: Timestamp, due: Option<Timestamp>) -> bool {
        time < self.left || due.is_some_and(|due| time < due)
    }

    /// Why it is late.
    #[cold]
    pub(super) fn lateness(&self, time: Timestamp, due: Option<Timestamp>) -> String {
        match due {
            Some(due) if time < due => late_by(self.newest.as_nanos(), time.as_nanos()),
            _ => format!("late: its sensor was quiet, so the records up to {} have been emitted", self.left),
        }
    }

    /// Buffers a record.
    #[inline]
    pub(super) fn push(&mut self, record: Waiting) {
        self.waiting.push(record);
    }

    /// Removes the records up to `due`, in order; returns their number.
    #[inline]
    pub(super) fn release(&mut self, due: Option<Timestamp>, leaving: &mut Vec<u32>) -> usize {
        let (Some(due), before) = (due, leaving.len()) else { return 0 };
        while let Some((_, _, place)) = self.waiting.pop_until(due) {
            leaving.push(place);
        }
        leaving.len() - before
    }

    /// All buffered records, in no particular order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        let others = self.waiting.others.iter().map(|Reverse(record)| record);
        self.waiting.in_order.iter().chain(others)
    }

    /// Removes all buffered records.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiting> + '_ {
        let others = self.waiting.others.drain().map(|Reverse(record)| record);
        self.waiting.in_order.drain(..).chain(others)
    }

    /// Removes all buffered records because the sensor is quiet.
    pub(super) fn drain_quiet(&mut self) -> impl Iterator<Item = Waiting> + '_ {
        (self.left, self.is_looked_after) = (self.newest, false);
        self.drain()
    }

    /// Updates the rows of the buffered records in the store.
    pub(super) fn move_places(&mut self, mut place: impl FnMut(u32) -> u32) {
        self.waiting.in_order.iter_mut().for_each(|record| record.2 = place(record.2));
        let others = std::mem::take(&mut self.waiting.others).into_iter();
        let moved = others.map(|Reverse((time, ordinal, at))| Reverse((time, ordinal, place(at))));
        self.waiting.others = moved.collect();
    }

    /// Sets a deadline if records are buffered and none is set.
    #[inline]
    pub(super) fn look_after(
        &mut self,
        sensor: SensorId,
        disorder: i64,
        deadlines: &mut Deadlines<SensorId>,
    ) {
        if !self.is_looked_after {
            let deadline = self.deadline(disorder);
            deadline.into_iter().for_each(|deadline| deadlines.set(deadline, sensor));
        }
    }

    /// The watermark at which it becomes quiet, if records are buffered and that is possible; marks it as having a deadline.
    pub(super) fn deadline(&mut self, disorder: i64) -> Option<Timestamp> {
        let quiet_at = quiet_at(self.newest, self.seen, disorder).filter(|_| !self.waiting.is_empty());
        self.is_looked_after = quiet_at.is_some();
        quiet_at
    }
}
