//! Windows of integers that f64 cannot all represent: the same statistics as of floats, exact in all digits. Such integers are rare;
//! without any, the windows of floats give the same results, faster.

use std::collections::VecDeque;
use std::marker::PhantomData;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::exact_sum::{ExactSquares, ExactSum, deviation, halves};
use super::extreme::End;

/// The result of a statistic over integers.
#[derive(Clone, Copy, Debug, PartialEq)]
// Exhaustive: a statistic is one of its integers or a quotient or root, which is a float.
pub enum Outcome {
    /// One of the integers.
    Integer(i128),
    /// A float.
    Float(f64),
}

/// A statistic over the integers of the window of one series, updated as they enter and leave. Calls come from one thread at a time.
pub trait OfIntegers: Default {
    /// As [`Aggregate::Options`](super::window::Aggregate::Options).
    type Options: Copy;

    /// Adds the newest integer.
    fn enter(&mut self, value: i128);

    /// Removes the oldest one.
    fn leave(&mut self, value: i128);

    /// The result over all `samples` of them, at least one.
    fn result(&self, samples: u64, options: Self::Options) -> Outcome;
}

/// The records of a window, the oldest first, some of them null, and the statistic over them.
#[derive(Clone, Debug, Default)]
pub struct IntegerWindow<A> {
    slots: VecDeque<Option<i128>>,
    samples: u64,
    /// The number of integers that f64 cannot represent.
    inexact: usize,
    statistic: A,
}

/// Whether f64 represents an integer exactly.
#[inline]
pub fn is_float(value: i128) -> bool {
    (value as f64) as i128 == value
}

impl<A: OfIntegers> IntegerWindow<A> {
    /// Adds the next record.
    pub fn enter(&mut self, value: Option<i128>) {
        self.slots.push_back(value);
        if let Some(value) = value {
            self.samples += 1;
            self.inexact += usize::from(!is_float(value));
            self.statistic.enter(value);
        }
    }

    /// Removes the oldest record, if there is one.
    pub fn leave(&mut self) {
        if let Some(Some(value)) = self.slots.pop_front() {
            self.samples -= 1;
            self.inexact -= usize::from(!is_float(value));
            self.statistic.leave(value);
        }
    }

    /// The records, the oldest first.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Option<i128>> + '_ {
        self.slots.iter().copied()
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether f64 represents all integers exactly.
    pub fn has_floats(&self) -> bool {
        self.inexact == 0
    }

    /// The number of integers.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The result; `None` without integers.
    pub fn result(&self, options: A::Options) -> Option<Outcome> {
        (self.samples > 0).then(|| self.statistic.result(self.samples, options))
    }
}

/// Only the records are serialised: everything else is derived from them.
impl<A> Serialize for IntegerWindow<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.slots)
    }
}

impl<'de, A: OfIntegers> Deserialize<'de> for IntegerWindow<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut window = Self::default();
        for value in Vec::<Option<i128>>::deserialize(deserializer)? {
            // Saved values are validated: with more than 64 bits, sums could overflow.
            let is_sound = value.is_none_or(|value| (i64::MIN.into()..=u64::MAX.into()).contains(&value));
            if !is_sound {
                return Err(D::Error::custom("an integer of more than 64 bits"));
            }
            window.enter(value);
        }
        Ok(window)
    }
}

/// The correctly rounded sum, divided by the number of values.
#[derive(Clone, Debug, Default)]
pub struct IntegerMean(i128);

impl OfIntegers for IntegerMean {
    type Options = ();

    fn enter(&mut self, value: i128) {
        self.0 += value;
    }

    fn leave(&mut self, value: i128) {
        self.0 -= value;
    }

    fn result(&self, samples: u64, (): ()) -> Outcome {
        Outcome::Float(self.0 as f64 / samples as f64)
    }
}

/// The exact sums of the halves h and l of x = h·2^32 + l, of their squares and products.
#[derive(Clone, Debug, Default)]
pub struct IntegerDeviation {
    sum: i128,
    squares: [i128; 3],
}

impl IntegerDeviation {
    fn change(&mut self, value: i128, sign: i128) {
        let (high, low) = halves(value);
        self.sum += sign * value;
        for (sum, product) in self.squares.iter_mut().zip([high * high, high * low, low * low]) {
            *sum += sign * product;
        }
    }
}

impl OfIntegers for IntegerDeviation {
    type Options = u32;

    fn enter(&mut self, value: i128) {
        self.change(value, 1);
    }

    fn leave(&mut self, value: i128) {
        self.change(value, -1);
    }

    fn result(&self, samples: u64, freedom: u32) -> Outcome {
        let mut squares = ExactSquares::new();
        squares.add_halves(self.squares);
        Outcome::Float(deviation(&ExactSum::from_units(self.sum, 0), &squares, samples, freedom.into()))
    }
}

/// The minimum or maximum: keeps the integers that are more extreme than all later ones.
#[derive(Clone, Debug)]
pub struct IntegerExtreme<E> {
    best: VecDeque<i128>,
    end: PhantomData<E>,
}

impl<E> Default for IntegerExtreme<E> {
    fn default() -> Self {
        Self { best: VecDeque::new(), end: PhantomData }
    }
}

impl<E: End> OfIntegers for IntegerExtreme<E> {
    type Options = ();

    fn enter(&mut self, value: i128) {
        while self.best.pop_back_if(|worse| E::is_better(value, *worse)).is_some() {}
        self.best.push_back(value);
    }

    fn leave(&mut self, value: i128) {
        self.best.pop_front_if(|best| *best == value);
    }

    fn result(&self, _samples: u64, (): ()) -> Outcome {
        Outcome::Integer(self.best.front().copied().unwrap_or_default())
    }
}

/// The median; for an even number, the correctly rounded mean of the two middle values.
#[derive(Clone, Debug, Default)]
pub struct IntegerMedian(Vec<i128>);

impl OfIntegers for IntegerMedian {
    type Options = ();

    fn enter(&mut self, value: i128) {
        self.0.insert(self.0.partition_point(|&other| other < value), value);
    }

    fn leave(&mut self, value: i128) {
        if let Ok(at) = self.0.binary_search(&value) {
            self.0.remove(at);
        }
    }

    fn result(&self, _samples: u64, (): ()) -> Outcome {
        let count = self.0.len();
        let (lower, upper) = (self.0[(count - 1) / 2], self.0[count / 2]);
        Outcome::Float((lower + upper) as f64 / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::deviation::Deviation;
    use super::super::extreme::{Greatest, High, Least, Low};
    use super::super::mean::Mean;
    use super::super::median::Median;
    use super::super::window::{Aggregate, NonFinite, Window};
    use super::*;

    /// Over integers that f64 represents, both kinds of windows give the same results.
    fn check<A: Aggregate, I: OfIntegers<Options = A::Options>>(
        values: &[Option<i64>],
        rows: usize,
        options: A::Options,
    ) -> Result<(), TestCaseError> {
        let (mut floats, mut integers) = (Window::<A>::default(), IntegerWindow::<I>::default());
        for value in values {
            if floats.len() == rows {
                floats.leave();
                integers.leave();
            }
            floats.enter(value.map(|value| value as f64), rows);
            integers.enter(value.map(i128::from));
            let expected = floats.result(NonFinite::Skip, options);
            let got = integers.result(options).map(|outcome| match outcome {
                Outcome::Float(value) => value,
                Outcome::Integer(value) => value as f64,
            });
            prop_assert_eq!(got.map(f64::to_bits), expected.map(f64::to_bits));
            prop_assert!(integers.has_floats());
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn integers_that_are_floats_give_what_floats_give(
            values in proptest::collection::vec(
                proptest::option::of(prop_oneof![-9..9i64, -(1i64 << 53)..=1i64 << 53]), 1..80,
            ),
            rows in 1..20usize,
        ) {
            check::<Mean, IntegerMean>(&values, rows, ())?;
            check::<Median, IntegerMedian>(&values, rows, ())?;
            check::<Least, IntegerExtreme<Low>>(&values, rows, ())?;
            check::<Greatest, IntegerExtreme<High>>(&values, rows, ())?;
            check::<Deviation, IntegerDeviation>(&values, rows, 0)?;
        }
    }

    #[test]
    fn integers_beyond_floats_keep_their_digits() {
        let mut least = IntegerWindow::<IntegerExtreme<Low>>::default();
        let mut deviation = IntegerWindow::<IntegerDeviation>::default();
        let mut mean = IntegerWindow::<IntegerMean>::default();
        for value in [u64::MAX, u64::MAX - 2] {
            least.enter(Some(value.into()));
            deviation.enter(Some(value.into()));
            mean.enter(Some(value.into()));
        }
        assert_eq!(least.result(()), Some(Outcome::Integer(i128::from(u64::MAX - 2))));
        assert_eq!(deviation.result(0), Some(Outcome::Float(1.0)));
        assert_eq!(mean.result(()), Some(Outcome::Float((u64::MAX - 1) as f64)));
        assert!(!least.has_floats());
    }
}
