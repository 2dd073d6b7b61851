//! What a moving stage looks back on: the last records of a series.

use std::fmt::Debug;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ring::Ring;

/// The records of a window, the oldest first: numbers, and a NaN of its own kind for each missing one.
pub type Slots = Ring<f64>;

/// What becomes of NaN and infinities in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// They are skipped, not counted.
    #[default]
    Skip,
    /// They count, and the result of a window that contains one is what IEEE 754 makes of it.
    Propagate,
}

/// What is computed over a window, and kept up to date as records come and go.
pub trait Aggregate: Default {
    /// What the result depends on besides the values.
    type Options: Copy;

    /// Takes in a finite value; it is the newest of `slots` by now.
    fn enter(&mut self, value: f64, slots: &mut Slots);

    /// Notes that a record has left `slots`. One that is not finite, or missing, never entered.
    fn leave(&mut self, slot: f64, slots: &mut Slots);

    /// The result over the window's finite values: `samples` of them, at least one.
    fn finite(&self, slots: &Slots, samples: u64, options: Self::Options) -> f64;

    /// The result of a window with NaN or infinities, where they count.
    fn unusual(&self, slots: &Slots, counts: &Counts, options: Self::Options) -> f64;

    /// Takes in finite values, none of which makes another leave; appends the result after each. All records are finite.
    /// There will be at most `most` records.
    fn fill(
        &mut self,
        slots: &mut Slots,
        most: usize,
        entering: &[f64],
        options: Self::Options,
        results: &mut Vec<f64>,
    ) {
        self.fill_singly(slots, most, entering, options, results);
    }

    /// Takes in finite values, each of which makes the oldest record leave; appends the result after each. All records are
    /// finite, and there is at least one.
    fn slide(&mut self, slots: &mut Slots, entering: &[f64], options: Self::Options, results: &mut Vec<f64>) {
        self.slide_singly(slots, entering, options, results);
    }

    /// [`Aggregate::fill`], value by value.
    fn fill_singly(
        &mut self,
        slots: &mut Slots,
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
        slots: &mut Slots,
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

/// How many values of each kind are in a window; missing ones are of none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Finite numbers.
    pub finite: u32,
    /// NaN.
    pub nan: u32,
    /// Infinity.
    pub plus_infinity: u32,
    /// Minus infinity.
    pub minus_infinity: u32,
}

impl Counts {
    /// Adds `one` (or takes it away: minus one, wrapping) to the count of the slot's kind.
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

    /// How many are not finite.
    fn unusual(&self) -> u64 {
        [self.nan, self.plus_infinity, self.minus_infinity].map(u64::from).iter().sum()
    }
}

/// The slot of a missing value: a NaN that arithmetic does not give.
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

/// Records of a series, missing values among them, and what is computed over them.
#[derive(Clone, Debug, Default)]
pub struct Window<A> {
    slots: Slots,
    counts: Counts,
    aggregate: A,
}

impl<A: Aggregate> Window<A> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
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

    /// Asks the memory for what the next `records` records will change.
    pub fn prefetch(&self, records: usize) {
        self.slots.prefetch(records);
    }

    /// Takes in the next record. There will be at most `most`.
    pub fn enter(&mut self, value: Option<f64>, most: usize) {
        let slot = slot(value);
        self.slots.push(slot, most);
        self.counts.change(slot, 1);
        if slot.is_finite() {
            self.aggregate.enter(slot, &mut self.slots);
        }
    }

    /// Lets the oldest record go, if there is one.
    pub fn leave(&mut self) {
        if let Some(slot) = self.slots.pop() {
            self.counts.change(slot, u32::MAX);
            self.aggregate.leave(slot, &mut self.slots);
        }
    }

    /// Takes in finite values, none of which makes another leave, and appends the result after each.
    /// All records have to be finite; there will be at most `most`.
    pub fn fill(&mut self, most: usize, entering: &[f64], options: A::Options, results: &mut Vec<f64>) {
        self.aggregate.fill(&mut self.slots, most, entering, options, results);
        self.counts.finite += entering.len() as u32;
    }

    /// Takes in finite values, each of which makes the oldest record leave, and appends the result after each.
    /// All records have to be finite, and there has to be one.
    pub fn slide(&mut self, entering: &[f64], options: A::Options, results: &mut Vec<f64>) {
        self.aggregate.slide(&mut self.slots, entering, options, results);
    }

    /// How many values count.
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

/// A window is its records: whatever else it keeps follows from them.
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
