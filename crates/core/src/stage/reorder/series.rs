//! What is kept of one sensor: the records that wait, and how far it is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::sensor::SensorId;
use crate::stage::moving::late_by;
use crate::time::{Deadlines, Timestamp, Watermark, quiet_at};

/// A record that waits: its time, its ordinal in the input, and its row in the store.
pub(super) type Waiting = (Timestamp, u64, u32);

/// How far a series is: its newest time, the watermark when it last reported, and the newest time when it was last quiet.
pub(super) type Progress = (Timestamp, Watermark, Timestamp);

/// What is kept of one sensor.
pub(super) struct Series {
    newest: Timestamp,
    /// The watermark when it last reported.
    seen: Watermark,
    /// The newest time when it was last quiet: all up to then have left.
    left: Timestamp,
    waiting: Queue,
    /// Whether it is among the deadlines.
    is_looked_after: bool,
}

/// Records in the order of time, then of the input. One that comes in that order, as most do, is appended to the others; one that does not
/// goes to a heap beside them.
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

    /// Takes out the first record, if it is not after `due`.
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
    /// Without records that wait.
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

    /// Takes note of a record at `time`, after which the watermark is `watermark`; up to which time records may leave now.
    #[inline]
    pub(super) fn note(&mut self, time: Timestamp, watermark: Watermark, disorder: i64) -> Option<Timestamp> {
        self.newest = self.newest.max(time);
        self.seen = watermark;
        self.newest.checked_sub(disorder)
    }

    /// Whether a record at `time` is late, where all up to `due` may have left.
    #[inline]
    pub(super) fn is_late(&self, time: Timestamp, due: Option<Timestamp>) -> bool {
        time < self.left || due.is_some_and(|due| time < due)
    }

    /// Why it is.
    #[cold]
    pub(super) fn lateness(&self, time: Timestamp, due: Option<Timestamp>) -> String {
        match due {
            Some(due) if time < due => late_by(self.newest.as_nanos(), time.as_nanos()),
            _ => format!("late: its sensor was quiet, so that the records up to {} have left", self.left),
        }
    }

    /// Lets a record wait.
    #[inline]
    pub(super) fn push(&mut self, record: Waiting) {
        self.waiting.push(record);
    }

    /// Takes out the records up to `due`, in order; how many there were.
    #[inline]
    pub(super) fn release(&mut self, due: Option<Timestamp>, leaving: &mut Vec<u32>) -> usize {
        let (Some(due), before) = (due, leaving.len()) else { return 0 };
        while let Some((_, _, place)) = self.waiting.pop_until(due) {
            leaving.push(place);
        }
        leaving.len() - before
    }

    /// All records that wait, in no particular order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        let others = self.waiting.others.iter().map(|Reverse(record)| record);
        self.waiting.in_order.iter().chain(others)
    }

    /// Takes them out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiting> + '_ {
        let others = self.waiting.others.drain().map(|Reverse(record)| record);
        self.waiting.in_order.drain(..).chain(others)
    }

    /// Takes them out since the sensor is quiet.
    pub(super) fn drain_quiet(&mut self) -> impl Iterator<Item = Waiting> + '_ {
        (self.left, self.is_looked_after) = (self.newest, false);
        self.drain()
    }

    /// Gives the records that wait other places in the store.
    pub(super) fn move_places(&mut self, mut place: impl FnMut(u32) -> u32) {
        self.waiting.in_order.iter_mut().for_each(|record| record.2 = place(record.2));
        let others = std::mem::take(&mut self.waiting.others).into_iter();
        let moved = others.map(|Reverse((time, ordinal, at))| Reverse((time, ordinal, place(at))));
        self.waiting.others = moved.collect();
    }

    /// Sees to it that it has a deadline, if anything waits.
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

    /// The watermark at which it is quiet, if anything waits and that can be: it is looked after then.
    pub(super) fn deadline(&mut self, disorder: i64) -> Option<Timestamp> {
        let quiet_at = quiet_at(self.newest, self.seen, disorder).filter(|_| !self.waiting.is_empty());
        self.is_looked_after = quiet_at.is_some();
        quiet_at
    }
}
