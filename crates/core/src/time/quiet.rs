//! Detects sensors that no longer report, from the records alone (clause 22).
//!
//! Everything here is a function of the records in order: no wall clock, no batches. A stage passes each record to
//! [`Reached`](super::Reached); [`quiet_at`] gives the watermark at which a sensor is quiet, and [`Deadlines`] the sensors that have become
//! quiet.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Timestamp, Watermark};

/// The watermark at which a sensor is quiet: `bound` nanoseconds after its `newest` time, and after `seen`, the watermark when it last
/// reported. So a sensor that merely lags is not quiet as long as it reports. `None` if that exceeds the range of timestamps.
#[inline]
#[must_use]
pub fn quiet_at(newest: Timestamp, seen: Watermark, bound: i64) -> Option<Timestamp> {
    seen.get().map_or(newest, |seen| seen.max(newest)).checked_add(bound)
}

/// Tracks one deadline for each sensor that may become quiet. Deadlines advance with every record, so they are updated lazily, when they
/// come near: until then a sensor is in an unsorted bucket of about its time.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    /// The width of a bucket in nanoseconds.
    width: i64,
    /// The buckets by the ordinal of their time.
    buckets: BTreeMap<i64, Vec<K>>,
    /// The last bucket that was opened; its sensors, and later ones for it, that have time left.
    opened: i64,
    near: BinaryHeap<Reverse<(Timestamp, K)>>,
    /// When to check again.
    next: Option<Timestamp>,
}

/// The number of buckets per bound of quietness.
const BUCKETS: i64 = 8;

impl<K: Copy + Ord> Deadlines<K> {
    /// For sensors that are quiet after about `bound` nanoseconds.
    #[must_use]
    pub fn new(bound: i64) -> Self {
        let (width, opened) = ((bound / BUCKETS).max(1), i64::MIN);
        Self { width, buckets: BTreeMap::new(), opened, near: BinaryHeap::new(), next: None }
    }

    /// Starts tracking `sensor`, which is not tracked yet, with `deadline`.
    pub fn set(&mut self, deadline: Timestamp, sensor: K) {
        let bucket = deadline.as_nanos().div_euclid(self.width);
        let look = if bucket <= self.opened {
            self.near.push(Reverse((deadline, sensor)));
            deadline
        } else {
            self.buckets.entry(bucket).or_default().push(sensor);
            self.start(bucket)
        };
        self.next = Some(self.next.map_or(look, |next| next.min(look)));
    }

    /// Whether it is time to check for quiet sensors.
    #[inline]
    #[must_use]
    pub fn is_due(&self, watermark: Watermark) -> bool {
        self.next.is_some_and(|next| watermark.has_reached(next))
    }

    /// The watermark at which it is time to check again: no later than any deadline.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// Appends all quiet sensors to `quiet`, in no particular order, and stops tracking them. `deadline` returns a sensor's current
    /// deadline, which is no earlier than before; `None` to stop tracking it.
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
        while let Some(bucket) = self.buckets.first_entry().filter(|bucket| {
            watermark.has_reached(Timestamp::from_nanos(bucket.key().saturating_mul(self.width)))
        }) {
            self.opened = *bucket.key();
            bucket.remove().into_iter().for_each(|sensor| look(self, sensor));
        }
        let bucket = self.buckets.keys().next().map(|&bucket| self.start(bucket));
        let near = self.near.peek().map(|Reverse((deadline, _))| *deadline);
        self.next = bucket.into_iter().chain(near).min();
    }

    /// The time at which a bucket is opened: no later than any deadline in it.
    fn start(&self, bucket: i64) -> Timestamp {
        Timestamp::from_nanos(bucket.saturating_mul(self.width))
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
                let next = times.iter().flatten().copied().filter(|&deadline| deadline > now).min();
                prop_assert!(next.is_none_or(|next| deadlines.next().is_some_and(|look| look <= at(next))));
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
