//! The window of a moving stage: the last records of a series.

use std::fmt::Debug;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ring::Ring;

/// How a window handles NaN and infinities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// They are skipped and not counted.
    #[default]
    Skip,
    /// They count; the result of a window that contains one follows IEEE 754.
    Propagate,
}

/// A statistic over the window of one series, updated as records enter and leave. `slots` has the records of the window, the oldest first: numbers, with a
/// special NaN for each missing one. Calls come from one thread at a time.
pub trait Aggregate: Default {
    /// Parameters of the result.
    type Options: Copy;

    /// Adds a finite value, which is already the newest of `slots`.
    fn enter(&mut self, value: f64, slots: &mut Ring<f64>);

    /// Updates after a record has left `slots`. A value that is not finite, or missing, was never added.
    fn leave(&mut self, slot: f64, slots: &mut Ring<f64>);

    /// The result over the window's finite values: `samples` of them, at least one.
    fn finite(&self, slots: &Ring<f64>, samples: u64, options: Self::Options) -> f64;

    /// The result of a window with NaN or infinities, if they count.
    fn unusual(&self, slots: &Ring<f64>, counts: &Counts, options: Self::Options) -> f64;

    /// Adds finite values without removing any; appends the result after each. All records are finite. There will be at most `most`
    /// records.
    fn fill(
        &mut self,
        slots: &mut Ring<f64>,
        most: usize,
        entering: &[f64],
        options: Self::Options,
        results: &mut Vec<f64>,
    ) {
        self.fill_singly(slots, most, entering, options, results);
    }

    /// Adds finite values, each of which replaces the oldest record; appends the result after each. All records are finite, and there is at
    /// least one.
    fn slide(
        &mut self,
        slots: &mut Ring<f64>,
        entering: &[f64],
        options: Self::Options,
        results: &mut Vec<f64>,
    ) {
        self.slide_singly(slots, entering, options, results);
    }

    /// [`Aggregate::fill`], value by value.
    fn fill_singly(
        &mut self,
        slots: &mut Ring<f64>,
        most: usize,
        entering: &[f64],
        options: Self::Options,
        results: &mut Vec<f64>,
    ) {
        for &value in entering {
            slots.push(value, most);
            self.enter(value, slots);
            results.push(self.finite(slots, slots.len() as u64, options));
        }
    }

    /// [`Aggregate::slide`], value by value.
    fn slide_singly(
        &mut self,
        slots: &mut Ring<f64>,
        entering: &[f64],
        options: Self::Options,
        results: &mut Vec<f64>,
    ) {
        for &value in entering {
            if let Some(oldest) = slots.pop() {
                self.leave(oldest, slots);
            }
            slots.push(value, 0);
            self.enter(value, slots);
            results.push(self.finite(slots, slots.len() as u64, options));
        }
    }
}

/// The number of values of each kind in a window; missing ones have no kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Finite values.
    pub finite: u32,
    /// NaN.
    pub nan: u32,
    /// Positive infinity.
    pub plus_infinity: u32,
    /// Negative infinity.
    pub minus_infinity: u32,
}

impl Counts {
    /// Adds `one` to the count of the slot's kind; minus one, wrapping, to remove it.
    #[inline]
    fn change(&mut self, slot: f64, one: u32) {
        let counter = match slot {
            _ if slot.is_finite() => &mut self.finite,
            _ if slot.to_bits() == NULL => return,
            f64::INFINITY => &mut self.plus_infinity,
            f64::NEG_INFINITY => &mut self.minus_infinity,
            _ => &mut self.nan,
        };
        *counter = counter.wrapping_add(one);
    }

    /// The number of values that are not finite.
    fn unusual(&self) -> u64 {
        [self.nan, self.plus_infinity, self.minus_infinity].map(u64::from).iter().sum()
    }
}

/// The slot of a missing value: a NaN that no arithmetic produces.
const NULL: u64 = 0x7ff8_dead_0000_0001;

/// A number or a missing one, in eight bytes.
#[inline]
fn slot(value: Option<f64>) -> f64 {
    match value {
        None => f64::from_bits(NULL),
        Some(value) if value.is_nan() => f64::NAN,
        Some(value) => value,
    }
}

/// The records of a series, including missing values, and the statistic over them.
#[derive(Clone, Debug, Default)]
pub struct Window<A> {
    slots: Ring<f64>,
    counts: Counts,
    aggregate: A,
}

impl<A: Aggregate> Window<A> {
    /// The number of records.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether all records are finite numbers.
    #[inline]
    pub fn is_finite(&self) -> bool {
        self.counts.finite as usize == self.slots.len()
    }

    /// The records, the oldest first; `None` for missing ones.
    pub fn values(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.slots.iter().map(|slot| (slot.to_bits() != NULL).then_some(slot))
    }

    /// Prefetches what the next `records` records will change.
    pub fn prefetch(&self, records: usize) {
        self.slots.prefetch(records);
    }

    /// Adds the next record. There will be at most `most`.
    pub fn enter(&mut self, value: Option<f64>, most: usize) {
        let slot = slot(value);
        self.slots.push(slot, most);
        self.counts.change(slot, 1);
        if slot.is_finite() {
            self.aggregate.enter(slot, &mut self.slots);
        }
    }

    /// Removes the oldest record, if there is one.
    pub fn leave(&mut self) {
        if let Some(slot) = self.slots.pop() {
            self.counts.change(slot, u32::MAX);
            self.aggregate.leave(slot, &mut self.slots);
        }
    }

    /// Adds finite values without removing any, and appends the result after each. All records must be finite; there will be at most
    /// `most`.
    pub fn fill(&mut self, most: usize, entering: &[f64], options: A::Options, results: &mut Vec<f64>) {
        self.aggregate.fill(&mut self.slots, most, entering, options, results);
        self.counts.finite += entering.len() as u32;
    }

    /// Adds finite values, each of which replaces the oldest record, and appends the result after each. All records must be finite, and
    /// there must be one.
    pub fn slide(&mut self, entering: &[f64], options: A::Options, results: &mut Vec<f64>) {
        self.aggregate.slide(&mut self.slots, entering, options, results);
    }

    /// The number of values that count.
    pub fn samples(&self, non_finite: NonFinite) -> u64 {
        let others = if non_finite == NonFinite::Propagate { self.counts.unusual() } else { 0 };
        u64::from(self.counts.finite) + others
    }

    /// The result over the values that count; `None` if there are none.
    pub fn result(&self, non_finite: NonFinite, options: A::Options) -> Option<f64> {
        if non_finite == NonFinite::Propagate && self.counts.unusual() > 0 {
            return Some(self.aggregate.unusual(&self.slots, &self.counts, options));
        }
        let samples = u64::from(self.counts.finite);
        (samples > 0).then(|| self.aggregate.finite(&self.slots, samples, options))
    }
}

/// Only the records are serialised: everything else is derived from them.
impl<A> Serialize for Window<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.slots.iter())
    }
}

impl<'de, A: Aggregate> Deserialize<'de> for Window<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let slots = Vec::<f64>::deserialize(deserializer)?;
        let mut window = Self::default();
        for &slot in &slots {
            window.enter((slot.to_bits() != NULL).then_some(slot), slots.len());
        }
        Ok(window)
    }
}
