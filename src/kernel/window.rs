//! What a moving stage looks back on: the last `n` records of a series, or those of a duration.

use serde::{Deserialize, Serialize};

use super::exact_sum::ExactSum;
use super::ring::Ring;

/// What becomes of NaN and infinities in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// They are skipped, not counted.
    #[default]
    Skip,
    /// They count, and the mean of a window that contains one is what IEEE 754 makes of it.
    Propagate,
}

/// The slot of a missing value: a NaN that arithmetic does not give.
const NULL: u64 = 0x7ff8_dead_0000_0001;

/// A number or a missing one, in eight bytes.
fn slot(value: Option<f64>) -> u64 {
    match value {
        None => NULL,
        Some(value) if value.is_nan() => f64::NAN.to_bits(),
        Some(value) => value.to_bits(),
    }
}

/// Sum and counts of what is in a window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    sum: ExactSum,
    finite: u32,
    nan: u32,
    plus_infinity: u32,
    minus_infinity: u32,
    /// Steps until a wide sum may be rebuilt: once per wrap-around of the window.
    patience: u32,
}

impl Tally {
    fn enter(&mut self, slot: u64) {
        if let Some(value) = self.count(slot, 1) {
            self.sum.add(value);
        }
    }

    fn leave(&mut self, slot: u64) {
        if let Some(value) = self.count(slot, u32::MAX) {
            self.sum.remove(value);
        }
    }

    /// Adds `one` (or takes it away: minus one, wrapping) to the count of the slot's kind; gives a finite value.
    fn count(&mut self, slot: u64, one: u32) -> Option<f64> {
        let value = f64::from_bits(slot);
        let counter = match value {
            _ if slot == NULL => return None,
            f64::INFINITY => &mut self.plus_infinity,
            f64::NEG_INFINITY => &mut self.minus_infinity,
            _ if value.is_nan() => &mut self.nan,
            _ => &mut self.finite,
        };
        *counter = counter.wrapping_add(one);
        value.is_finite().then_some(value)
    }

    /// A value far out of range made the sum slow; when it has left, the window's content makes it fast again.
    fn settle(&mut self, len: usize, values: impl Iterator<Item = u64> + Clone) {
        if !self.sum.is_wide() {
            return;
        }
        self.patience = self.patience.saturating_sub(1);
        if self.patience == 0 {
            self.patience = len.max(16) as u32;
            self.sum.rebuild(values.map(f64::from_bits).filter(|value| value.is_finite()));
        }
    }

    /// How many values count.
    pub fn samples(&self, non_finite: NonFinite) -> u64 {
        let others = [self.nan, self.plus_infinity, self.minus_infinity].map(u64::from).iter().sum::<u64>();
        u64::from(self.finite) + if non_finite == NonFinite::Propagate { others } else { 0 }
    }

    /// The mean of the values that count: their correctly rounded sum divided by their number; `None` if there are none.
    pub fn mean(&self, non_finite: NonFinite) -> Option<f64> {
        let samples = self.samples(non_finite);
        if samples == 0 {
            return None;
        }
        if non_finite == NonFinite::Propagate {
            match (self.nan, self.plus_infinity, self.minus_infinity) {
                (0, 0, 0) => {}
                (0, _, 0) => return Some(f64::INFINITY),
                (0, 0, _) => return Some(f64::NEG_INFINITY),
                _ => return Some(f64::NAN),
            }
        }
        Some(self.sum.mean(samples))
    }
}

/// The last `n` records, missing values among them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RowsWindow {
    slots: Ring<u64>,
    tally: Tally,
}

impl RowsWindow {
    /// Takes in the next record; beyond `capacity` (at least 1) records the oldest leaves.
    pub fn push(&mut self, value: Option<f64>, capacity: usize) {
        let entering = slot(value);
        if let Some(leaving) = self.slots.push_within(entering, capacity) {
            self.tally.leave(leaving);
        }
        self.tally.enter(entering);
        self.tally.settle(self.slots.len(), self.slots.iter());
    }

    /// What is in the window.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// The records of the half-open interval (t − d, t], where t is the newest record's time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DurationWindow {
    slots: Ring<(i64, u64)>,
    tally: Tally,
    newest: Option<i64>,
}

impl DurationWindow {
    /// The time of the newest record, in nanoseconds.
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// Takes in a record of time `time`, not earlier than the newest; those at or before `time − duration` leave.
    pub fn push(&mut self, time: i64, value: Option<f64>, duration: i64) {
        self.newest = Some(time);
        // Saturation is right: at the lower end of time nothing lies before the window.
        let start = time.checked_sub(duration);
        while let Some((_, leaving)) =
            self.slots.front().filter(|&(at, _)| start.is_some_and(|start| at <= start))
        {
            self.slots.pop_front();
            self.tally.leave(leaving);
        }
        let entering = slot(value);
        self.slots.push_back((time, entering));
        self.tally.enter(entering);
        self.tally.settle(self.slots.len(), self.slots.iter().map(|(_, slot)| slot));
    }

    /// What is in the window.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            4 => (-1000..1000i32).prop_map(|v| Some(f64::from(v) / 8.0)),
            1 => prop_oneof![Just(None), Just(Some(f64::NAN)), Just(Some(f64::INFINITY)), Just(Some(f64::NEG_INFINITY))],
            1 => prop_oneof![Just(Some(1e300)), Just(Some(-1e17)), Just(Some(5e-324)), Just(Some(f64::from_bits(NULL)))],
        ]
    }

    /// What a window of these values should say, computed from nothing but them.
    fn plain(values: &[Option<f64>], non_finite: NonFinite) -> (u64, Option<f64>) {
        let counted: Vec<f64> = values
            .iter()
            .flatten()
            .copied()
            .filter(|v| v.is_finite() || non_finite == NonFinite::Propagate)
            .collect();
        let mean = if counted.is_empty() {
            None
        } else if counted.iter().all(|v| v.is_finite()) {
            let mut sum = ExactSum::new();
            counted.iter().for_each(|&v| sum.add(v));
            Some(sum.mean(counted.len() as u64))
        } else {
            Some(counted.iter().filter(|v| !v.is_finite()).sum())
        };
        (counted.len() as u64, mean)
    }

    fn same(tally: &Tally, content: &[Option<f64>]) -> Result<(), TestCaseError> {
        for non_finite in [NonFinite::Skip, NonFinite::Propagate] {
            let (samples, mean) = plain(content, non_finite);
            prop_assert_eq!(tally.samples(non_finite), samples);
            let bits =
                |mean: Option<f64>| mean.map(|m| if m.is_nan() { f64::NAN.to_bits() } else { m.to_bits() });
            prop_assert_eq!(bits(tally.mean(non_finite)), bits(mean), "{:?}", content);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn clause_15_a_window_of_records_is_its_content(values in proptest::collection::vec(any_value(), 1..120), n in 1..30usize) {
            let mut window = RowsWindow::default();
            for at in 0..values.len() {
                window.push(values[at], n);
                same(window.tally(), &values[(at + 1).saturating_sub(n)..=at])?;
            }
        }

        #[test]
        fn clause_15_a_window_of_a_duration_is_half_open(
            steps in proptest::collection::vec((0..4i64, any_value()), 1..120), duration in 1..12i64,
        ) {
            let mut window = DurationWindow::default();
            let mut seen: Vec<(i64, Option<f64>)> = Vec::new();
            for (step, value) in steps {
                let time = seen.last().map_or(i64::MIN, |last| last.0) + step;
                seen.push((time, value));
                window.push(time, value, duration);
                let content: Vec<_> = seen.iter().filter(|(at, _)| time - at < duration).map(|(_, v)| *v).collect();
                same(window.tally(), &content)?;
            }
        }
    }
}
