//! What records alone say about how far their source has come, and who has fallen silent meanwhile.
//!
//! Everything here follows from the records, one after the other: no clock on the wall, no batches. A [`Reached`]
//! is told of each record, and says of each sensor that waits for more when it is quiet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use super::{Timestamp, Watermark};

/// How far a source has come: its watermark is the newest time that two of its sensors have reached.
///
/// A clock that runs ahead moves nobody else: it takes a second one that agrees. With one sensor only there is no watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached<K> {
    /// The newest time of all, and whose it is.
    newest: Option<(Timestamp, K)>,
    /// The newest time of all others.
    watermark: Watermark,
}

impl<K: Copy + PartialEq> Default for Reached<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy + PartialEq> Reached<K> {
    /// Of a source that has not begun.
    #[must_use]
    pub const fn new() -> Self {
        Self { newest: None, watermark: Watermark::new() }
    }

    /// Takes note of a record of `sensor` at `time`; gives the watermark after it.
    #[inline]
    pub fn note(&mut self, sensor: K, time: Timestamp) -> Watermark {
        match self.newest {
            Some((newest, _)) if time <= newest && self.watermark.has_reached(time) => {}
            Some((newest, leader)) if time > newest => {
                if leader != sensor {
                    self.watermark.advance(newest);
                }
                self.newest = Some((time, sensor));
            }
            Some((_, leader)) if leader == sensor => {}
            Some(_) => {
                self.watermark.advance(time);
            }
            None => self.newest = Some((time, sensor)),
        }
        self.watermark
    }

    /// The newest time that two sensors have reached.
    #[must_use]
    pub const fn watermark(&self) -> Watermark {
        self.watermark
    }
}

/// The watermark at which a sensor is quiet: `bound` nanoseconds past its `newest` time, and past `seen`, the watermark when it last
/// reported. So a sensor that merely lags behind is not quiet as long as it reports. `None` if that is beyond all times.
#[inline]
#[must_use]
pub fn quiet_at(newest: Timestamp, seen: Watermark, bound: i64) -> Option<Timestamp> {
    seen.get().map_or(newest, |seen| seen.max(newest)).checked_add(bound)
}

/// Looks after sensors that may fall quiet: a heap with one deadline each, brought up to date only when it has come. Deadlines move
/// on with every record, so that would be a step of the heap a record otherwise.
#[derive(Clone, Debug)]
pub struct Deadlines<K>(BinaryHeap<Reverse<(Timestamp, K)>>);

impl<K: Copy + Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self(BinaryHeap::new())
    }
}

impl<K: Copy + Ord> Deadlines<K> {
    /// Looks after `sensor`, which is not looked after yet, from `deadline` on.
    pub fn set(&mut self, deadline: Timestamp, sensor: K) {
        self.0.push(Reverse((deadline, sensor)));
    }

    /// Whether the watermark has reached a deadline as it was set.
    #[inline]
    #[must_use]
    pub fn is_due(&self, watermark: Watermark) -> bool {
        self.0.peek().is_some_and(|Reverse((deadline, _))| watermark.has_reached(*deadline))
    }

    /// Appends all sensors that are quiet to `quiet`, in no particular order, and looks after them no longer. `deadline` gives a sensor's
    /// deadline as it is now; `None` where it need not be looked after any more.
    pub fn take_quiet(
        &mut self,
        watermark: Watermark,
        mut deadline: impl FnMut(K) -> Option<Timestamp>,
        quiet: &mut Vec<K>,
    ) {
        while self.is_due(watermark) {
            let Some(Reverse((_, sensor))) = self.0.pop() else { return };
            match deadline(sensor) {
                Some(deadline) if watermark.has_reached(deadline) => quiet.push(sensor),
                Some(deadline) => self.set(deadline, sensor),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn it_takes_two_to_move_the_watermark() {
        let mut reached = Reached::new();
        let mut note = |sensor: char, time| reached.note(sensor, at(time)).get().map(Timestamp::as_nanos);
        assert_eq!(note('a', 5), None);
        assert_eq!(note('a', 100), None);
        assert_eq!(note('b', 7), Some(7));
        assert_eq!(note('a', i64::MAX), Some(7), "a clock that runs ahead");
        assert_eq!(note('b', 8), Some(8));
        assert_eq!(note('c', 3), Some(8));
        assert_eq!(note('c', 9), Some(9));
        assert_eq!(note('b', i64::MAX), Some(i64::MAX));
    }

    #[test]
    fn nobody_is_quiet_beyond_the_end_of_time() {
        let mut seen = Watermark::new();
        assert_eq!(quiet_at(at(3), seen, 4), Some(at(7)));
        seen.advance(at(5));
        assert_eq!(quiet_at(at(3), seen, 4), Some(at(9)));
        seen.advance(at(i64::MAX));
        assert_eq!(quiet_at(at(3), seen, 4), None);
        assert_eq!(quiet_at(at(i64::MIN), Watermark::new(), 0), Some(at(i64::MIN)));
    }

    proptest! {
        #[test]
        fn the_watermark_is_the_second_largest_of_the_newest_times(
            records in proptest::collection::vec((0..4usize, prop_oneof![-9..9i64, any::<i64>()]), 0..60),
        ) {
            let (mut reached, mut newest) = (Reached::new(), [None; 4]);
            for (sensor, time) in records {
                newest[sensor] = newest[sensor].max(Some(time));
                let mut sorted = newest;
                sorted.sort();
                prop_assert_eq!(reached.note(sensor, at(time)).get(), sorted[2].map(at));
            }
        }

        #[test]
        fn the_quiet_are_those_whose_deadline_has_come(
            steps in proptest::collection::vec((0..5usize, 0..4i64, 1..3i64), 1..80),
        ) {
            let (mut deadlines, mut now) = ([None; 5], 0);
            let (mut heap, mut watermark) = (Deadlines::default(), Watermark::new());
            for (sensor, step, wait) in steps {
                now += step;
                watermark.advance(at(now));
                let is_new = deadlines[sensor].is_none();
                deadlines[sensor] = deadlines[sensor].max(Some(now + wait));
                if is_new {
                    heap.set(at(now + wait), sensor);
                }
                let mut quiet = Vec::new();
                heap.take_quiet(watermark, |sensor| deadlines[sensor].map(at), &mut quiet);
                quiet.sort();
                let expected: Vec<usize> =
                    (0..5).filter(|&sensor| deadlines[sensor].is_some_and(|deadline| deadline <= now)).collect();
                prop_assert_eq!(&quiet, &expected);
                quiet.into_iter().for_each(|sensor| deadlines[sensor] = None);
            }
        }
    }
}
