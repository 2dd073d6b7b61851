//! Who has fallen silent, as the records alone say (clause 22).
//!
//! Everything here follows from the records, one after the other: no clock on the wall, no batches. A stage tells a
//! [`Reached`](super::Reached) of each record; [`quiet_at`] says from when on a sensor is quiet, and [`Deadlines`] which sensors have
//! become so.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Timestamp, Watermark};

/// The watermark at which a sensor is quiet: `bound` nanoseconds past its `newest` time, and past `seen`, the watermark when it last
/// reported. So a sensor that merely lags behind is not quiet as long as it reports. `None` if that is beyond all times.
#[inline]
#[must_use]
pub fn quiet_at(newest: Timestamp, seen: Watermark, bound: i64) -> Option<Timestamp> {
    seen.get().map_or(newest, |seen| seen.max(newest)).checked_add(bound)
}

/// Looks after sensors that may fall quiet, with one deadline each. Deadlines move on with every record, so they are brought up to date
/// only when they come near: until then a sensor is in a drawer with others of about its time, and it is put into another one
/// without being sorted.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    /// Nanoseconds that a drawer is for.
    width: i64,
    /// By the ordinal of their time.
    drawers: BTreeMap<i64, Vec<K>>,
    /// The last drawer that was opened; those who were in it, or would be, and have still some time.
    opened: i64,
    near: BinaryHeap<Reverse<(Timestamp, K)>>,
    /// When to look again.
    next: Option<Timestamp>,
}

/// How many drawers there are for the bound by which sensors are quiet.
const DRAWERS: i64 = 8;

impl<K: Copy + Ord> Deadlines<K> {
    /// For sensors that are quiet by about `bound` nanoseconds.
    #[must_use]
    pub fn new(bound: i64) -> Self {
        let (width, opened) = ((bound / DRAWERS).max(1), i64::MIN);
        Self { width, drawers: BTreeMap::new(), opened, near: BinaryHeap::new(), next: None }
    }

    /// Looks after `sensor`, which is not looked after yet, from `deadline` on.
    pub fn set(&mut self, deadline: Timestamp, sensor: K) {
        let drawer = deadline.as_nanos().div_euclid(self.width);
        let look = if drawer <= self.opened {
            self.near.push(Reverse((deadline, sensor)));
            deadline
        } else {
            self.drawers.entry(drawer).or_default().push(sensor);
            self.start(drawer)
        };
        self.next = Some(self.next.map_or(look, |next| next.min(look)));
    }

    /// Whether it is time to look who is quiet.
    #[inline]
    #[must_use]
    pub fn is_due(&self, watermark: Watermark) -> bool {
        self.next.is_some_and(|next| watermark.has_reached(next))
    }

    /// Appends all sensors that are quiet to `quiet`, in no particular order, and looks after them no longer. `deadline` gives a sensor's
    /// deadline as it is now, which is no earlier than it was; `None` where it need not be looked after any more.
    pub fn take_quiet(
        &mut self,
        watermark: Watermark,
        mut deadline: impl FnMut(K) -> Option<Timestamp>,
        quiet: &mut Vec<K>,
    ) {
        let mut look = |all: &mut Self, sensor| match deadline(sensor) {
            Some(deadline) if watermark.has_reached(deadline) => quiet.push(sensor),
            Some(deadline) => all.set(deadline, sensor),
            None => {}
        };
        while let Some(&Reverse((deadline, sensor))) = self.near.peek()
            && watermark.has_reached(deadline)
        {
            self.near.pop();
            look(self, sensor);
        }
        while let Some(drawer) = self.drawers.first_entry().filter(|drawer| {
            watermark.has_reached(Timestamp::from_nanos(drawer.key().saturating_mul(self.width)))
        }) {
            self.opened = *drawer.key();
            drawer.remove().into_iter().for_each(|sensor| look(self, sensor));
        }
        let drawer = self.drawers.keys().next().map(|&drawer| self.start(drawer));
        let near = self.near.peek().map(|Reverse((deadline, _))| *deadline);
        self.next = drawer.into_iter().chain(near).min();
    }

    /// The time from which on a drawer is opened: no later than any deadline in it.
    fn start(&self, drawer: i64) -> Timestamp {
        Timestamp::from_nanos(drawer.saturating_mul(self.width))
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
    fn clause_22_nobody_is_quiet_beyond_the_end_of_time() {
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
        fn clause_22_the_quiet_are_those_whose_deadline_has_come(
            steps in proptest::collection::vec((0..5usize, 0..9i64, 1..40i64), 1..80), bound in 0..50i64,
        ) {
            let (mut times, mut now) = ([None; 5], 0);
            let (mut deadlines, mut watermark) = (Deadlines::new(bound), Watermark::new());
            for (sensor, step, wait) in steps {
                now += step;
                watermark.advance(at(now));
                let is_new = times[sensor].is_none();
                times[sensor] = times[sensor].max(Some(now + wait));
                if is_new {
                    deadlines.set(at(now + wait), sensor);
                }
                let mut quiet = Vec::new();
                let is_due = deadlines.is_due(watermark);
                deadlines.take_quiet(watermark, |sensor| times[sensor].map(at), &mut quiet);
                prop_assert!(!deadlines.is_due(watermark));
                quiet.sort();
                let expected: Vec<usize> =
                    (0..5).filter(|&sensor| times[sensor].is_some_and(|deadline| deadline <= now)).collect();
                prop_assert_eq!(&quiet, &expected);
                prop_assert!(is_due || quiet.is_empty());
                quiet.into_iter().for_each(|sensor| times[sensor] = None);
            }
        }
    }
}
