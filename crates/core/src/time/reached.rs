//! Derives the watermark of a source from its records alone (clause 22).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Timestamp, Watermark};

/// The number of sensors that must have reached a time for the watermark to advance to it.
///
/// As long as fewer clocks than this run ahead, they do not affect other sensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Agreement {
    /// A tenth of the sensors seen so far, rounded up, and at least two.
    #[default]
    Tenth,
    /// This number, at least one.
    Sensors(usize),
    /// No number of sensors: the watermark comes from outside ([`Reached::advance_to`]), because other processes have other sensors of the same source.
    Given,
}

impl Agreement {
    /// What a stage that goes by the watermark depends on besides its own sensors, if anything.
    #[must_use]
    pub(crate) const fn goes_by(self) -> Option<&'static str> {
        match self {
            Self::Given => None,
            Self::Tenth | Self::Sensors(_) => Some("the watermark, which all sensors decide together"),
        }
    }

    /// The number needed if `seen` sensors have been seen.
    #[must_use]
    pub const fn needed(self, seen: usize) -> usize {
        match self {
            Self::Tenth if seen > 20 => seen.div_ceil(10),
            Self::Tenth => 2,
            Self::Sensors(0) => 1,
            Self::Sensors(sensors) => sensors,
            Self::Given => usize::MAX,
        }
    }
}

/// The progress of a source: its watermark is the newest time that the required number of its sensors have reached. It never decreases,
/// although the required number may grow as more sensors are seen.
///
/// A record costs a few comparisons while times are roughly in order, and otherwise the logarithm of the number of sensors.
#[derive(Clone, Debug)]
pub struct Reached {
    agreement: Agreement,
    watermark: Watermark,
    /// By sensor; the minimum time if it has not been seen.
    newest: Vec<Timestamp>,
    /// Sensors that have been seen, but only at the minimum time.
    at_beginning: BTreeSet<u32>,
    /// The number of sensors seen, and the number required.
    seen: usize,
    needed: usize,
    ahead: Ahead,
}

/// The sensors whose newest time is beyond the watermark: always fewer than required. Each has one entry, with a time that it had when
/// added; its newest time is looked up when that is the minimum.
#[derive(Clone, Debug, Default)]
struct Ahead {
    in_order: VecDeque<(Timestamp, u32)>,
    others: BinaryHeap<Reverse<(Timestamp, u32)>>,
}

impl Ahead {
    fn len(&self) -> usize {
        self.in_order.len() + self.others.len()
    }

    #[inline]
    fn push(&mut self, entry: (Timestamp, u32)) {
        match self.in_order.back() {
            Some(last) if *last > entry => self.others.push(Reverse(entry)),
            _ => self.in_order.push_back(entry),
        }
    }

    /// The minimum.
    #[inline]
    fn first(&self) -> Option<(Timestamp, u32)> {
        let (first, other) = (self.in_order.front().copied(), self.others.peek().map(|other| other.0));
        first.into_iter().chain(other).min()
    }

    /// Removes the minimum, which is `first`.
    #[inline]
    fn pop(&mut self, first: (Timestamp, u32)) {
        match self.in_order.front() {
            Some(front) if *front == first => drop(self.in_order.pop_front()),
            _ => drop(self.others.pop()),
        }
    }
}

impl Default for Reached {
    fn default() -> Self {
        Self::new(Agreement::default())
    }
}

impl Reached {
    /// For a source without records.
    #[must_use]
    pub fn new(agreement: Agreement) -> Self {
        Self {
            agreement,
            watermark: Watermark::new(),
            newest: Vec::new(),
            at_beginning: BTreeSet::new(),
            seen: 0,
            needed: agreement.needed(0),
            ahead: Ahead::default(),
        }
    }

    /// Restores the watermark and, by sensor, the newest time, `None` if it has not been seen.
    #[must_use]
    pub fn restored(
        agreement: Agreement,
        watermark: Watermark,
        newest: impl IntoIterator<Item = Option<Timestamp>>,
    ) -> Self {
        let mut reached = Self { watermark, ..Self::new(agreement) };
        let mut ahead = Vec::new();
        for (sensor, newest) in newest.into_iter().enumerate() {
            let sensor = sensor as u32;
            reached.newest.push(newest.unwrap_or(Timestamp::MIN));
            let Some(newest) = newest else { continue };
            reached.seen += 1;
            if newest == Timestamp::MIN {
                reached.at_beginning.insert(sensor);
            }
            if !watermark.has_reached(newest) {
                ahead.push((newest, sensor));
            }
        }
        ahead.sort_unstable();
        reached.ahead.in_order = ahead.into();
        reached.needed = agreement.needed(reached.seen);
        reached
    }

    /// Processes a record of sensor number `sensor` at `time`; returns the watermark after it.
    #[inline]
    pub fn note(&mut self, sensor: u32, time: Timestamp) -> Watermark {
        match self.newest.get(sensor as usize) {
            Some(&newest) if time <= newest && newest > Timestamp::MIN => {}
            Some(&newest) if newest > Timestamp::MIN => self.raise(sensor, Some(newest), time),
            _ => self.meet(sensor, time),
        }
        self.watermark
    }

    /// Processes a record of a sensor that has not been seen, or only at the minimum time.
    #[cold]
    fn meet(&mut self, sensor: u32, time: Timestamp) {
        if sensor as usize >= self.newest.len() {
            self.newest.resize(sensor as usize + 1, Timestamp::MIN);
        }
        let is_known = self.at_beginning.remove(&sensor);
        if time == Timestamp::MIN {
            self.at_beginning.insert(sensor);
        }
        if !is_known {
            self.seen += 1;
            self.needed = self.agreement.needed(self.seen);
        }
        self.raise(sensor, is_known.then_some(Timestamp::MIN), time);
    }

    /// Raises the newest time of `sensor` from `before` to `time`.
    #[inline]
    fn raise(&mut self, sensor: u32, before: Option<Timestamp>, time: Timestamp) {
        self.newest[sensor as usize] = time;
        let was_ahead = before.is_some_and(|before| !self.watermark.has_reached(before));
        if !was_ahead && !self.watermark.has_reached(time) {
            self.ahead.push((time, sensor));
        }
        if self.ahead.len() >= self.needed {
            self.advance();
        }
    }

    /// Enough sensors have reached a later time: advances the watermark to the minimum of their newest times.
    fn advance(&mut self) {
        while let Some((time, sensor)) = self.ahead.first() {
            let newest = self.newest[sensor as usize];
            let is_current = newest == time;
            if is_current && self.ahead.len() >= self.needed {
                self.watermark.advance(time);
            }
            if is_current && !self.watermark.has_reached(time) {
                break;
            }
            self.ahead.pop((time, sensor));
            if !is_current {
                self.ahead.push((newest, sensor));
            }
        }
    }

    /// Advances to `watermark`, which comes from outside; an earlier one has no effect. Returns the watermark after that.
    pub fn advance_to(&mut self, watermark: Watermark) -> Watermark {
        self.watermark = self.watermark.max(watermark);
        self.advance();
        self.watermark
    }

    /// Forgets `sensors`: they no longer count as seen.
    pub fn forget(&mut self, sensors: impl IntoIterator<Item = u32>) {
        let mut was_any_ahead = false;
        for sensor in sensors {
            if let Some(newest) = self.newest(sensor) {
                was_any_ahead |= !self.watermark.has_reached(newest);
                self.newest[sensor as usize] = Timestamp::MIN;
                self.at_beginning.remove(&sensor);
                self.seen -= 1;
            }
        }
        // Searching those ahead, up to a tenth of all, for sensors that have long been quiet would be too slow.
        if was_any_ahead {
            self.forget_ahead();
        }
        self.needed = self.agreement.needed(self.seen);
        if self.ahead.len() >= self.needed {
            self.advance();
        }
    }

    fn forget_ahead(&mut self) {
        let Self { newest, at_beginning, ahead, .. } = self;
        let is_known =
            |sensor: u32| newest[sensor as usize] > Timestamp::MIN || at_beginning.contains(&sensor);
        ahead.in_order.retain(|&(_, sensor)| is_known(sensor));
        ahead.others.retain(|&Reverse((_, sensor))| is_known(sensor));
    }

    /// The watermark.
    #[must_use]
    pub const fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// The newest time of sensor number `sensor`, if it has been seen.
    #[must_use]
    pub fn newest(&self, sensor: u32) -> Option<Timestamp> {
        let newest = *self.newest.get(sensor as usize)?;
        (newest > Timestamp::MIN || self.at_beginning.contains(&sensor)).then_some(newest)
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
    fn clause_22_it_takes_two_to_move_the_watermark_and_a_tenth_of_many() {
        let mut reached = Reached::default();
        let mut note = |sensor, time| reached.note(sensor, at(time)).get().map(Timestamp::as_nanos);
        assert_eq!(note(0, 5), None);
        assert_eq!(note(0, 100), None);
        assert_eq!(note(1, 7), Some(7));
        assert_eq!(note(0, i64::MAX), Some(7), "a clock that runs ahead");
        assert_eq!(note(1, 8), Some(8));
        assert_eq!(note(2, 3), Some(8));
        assert_eq!(note(2, 9), Some(9));
        (3..25).for_each(|sensor| assert_eq!(note(sensor, 9), Some(9)));
        assert_eq!(note(1, i64::MAX), Some(9), "two that run ahead, of 25");
        assert_eq!(note(3, 10), Some(10));
        let needed = [0, 2, 20, 21, 30, 31, 1_000_000].map(|seen| Agreement::Tenth.needed(seen));
        assert_eq!(needed, [2, 2, 2, 3, 3, 4, 100_000]);
    }

    #[test]
    fn a_million_sensors_cost_a_few_comparisons_each() {
        // 20 rounds of all sensors, some of which lag behind and some jump ahead: with a higher cost per record it would take hours.
        const SENSORS: u32 = 1_000_000;
        let mut reached = Reached::default();
        for round in 0..3_i64 {
            for sensor in 0..SENSORS {
                let apart = i64::from(sensor % 7) * 10 - if sensor % 11 == 0 { 50_000 } else { 0 };
                reached.note(sensor, at(round * 1_000_000 + i64::from(sensor) + apart));
            }
        }
        assert!(reached.watermark().get() > Some(at(2_800_000)));
        assert!(reached.ahead.len() < 100_000);
    }

    fn agreement() -> impl Strategy<Value = Agreement> {
        prop_oneof![Just(Agreement::Tenth), (1..6usize).prop_map(Agreement::Sensors)]
    }

    proptest! {
        #[test]
        fn clause_22_the_watermark_is_the_newest_time_that_enough_sensors_have_reached(
            agreement in agreement(),
            records in proptest::collection::vec((0..40u32, prop_oneof![-9..9i64, 0..1000i64, any::<i64>()]), 0..300),
            restart in 0..300usize, forgotten in proptest::collection::btree_map(0..300usize, 0..40u32, 0..20),
        ) {
            let (mut reached, mut newest, mut watermark) = (Reached::new(agreement), [None; 40], None);
            for (row, (sensor, time)) in records.into_iter().enumerate() {
                newest[sensor as usize] = newest[sensor as usize].max(Some(time));
                let mut sorted: Vec<i64> = newest.iter().flatten().copied().collect();
                sorted.sort_unstable_by(|a, b| b.cmp(a));
                watermark = watermark.max(sorted.get(agreement.needed(sorted.len()) - 1).copied());
                prop_assert_eq!(reached.note(sensor, at(time)).get(), watermark.map(at));
                if let Some(&gone) = forgotten.get(&row) {
                    newest[gone as usize] = None;
                    reached.forget([gone]);
                    let mut sorted: Vec<i64> = newest.iter().flatten().copied().collect();
                    sorted.sort_unstable_by(|a, b| b.cmp(a));
                    watermark = watermark.max(sorted.get(agreement.needed(sorted.len()) - 1).copied());
                    prop_assert_eq!(reached.watermark().get(), watermark.map(at));
                }
                prop_assert!(reached.ahead.len() < reached.needed);
                if row == restart {
                    let all: Vec<_> = (0..40).map(|sensor| reached.newest(sensor)).collect();
                    reached = Reached::restored(agreement, reached.watermark(), all);
                }
            }
        }
    }
}
