//! The minimum or maximum of a window, in constant time per record: a queue of two stacks (Tangwongsan, Hirzel and Schneider, "Low-latency
//! sliding-window aggregation in worst-case constant time", 2017, section 2) that needs no memory besides the window's.

use std::fmt::Debug;
use std::marker::PhantomData;

use super::order::{greater, lesser};
use super::ring::Ring;
use super::window::{Aggregate, Counts};

/// The minimum; −0 is less than +0.
pub type Least = Extreme<Low>;
/// The maximum; +0 is greater than −0.
pub type Greatest = Extreme<High>;

/// Which extreme is computed.
pub trait End: Clone + Debug + Default {
    /// The infinity that any value improves on.
    const WORST: f64;

    /// Whether the first of two integers is the more extreme one.
    fn is_better(a: i128, b: i128) -> bool;

    /// The more extreme of two numbers.
    fn better(a: f64, b: f64) -> f64;

    /// The number of infinities at this extreme.
    fn best(counts: &Counts) -> u32;
}

/// The minimum.
#[derive(Clone, Debug, Default)]
pub struct Low;

/// The maximum.
#[derive(Clone, Debug, Default)]
pub struct High;

impl End for Low {
    const WORST: f64 = f64::INFINITY;

    fn is_better(a: i128, b: i128) -> bool {
        a < b
    }

    #[inline]
    fn better(a: f64, b: f64) -> f64 {
        lesser(a, b)
    }

    fn best(counts: &Counts) -> u32 {
        counts.minus_infinity
    }
}

impl End for High {
    const WORST: f64 = f64::NEG_INFINITY;

    fn is_better(a: i128, b: i128) -> bool {
        a > b
    }

    #[inline]
    fn better(a: f64, b: f64) -> f64 {
        greater(a, b)
    }

    fn best(counts: &Counts) -> u32 {
        counts.plus_infinity
    }
}

/// The minimum or maximum of a window.
///
/// The oldest `old` records are *settled*: the slot of each finite one holds the extreme of its own value and of all settled ones after it.
/// A value less extreme than a later one can never be the result again, so overwriting it changes no result, now or after a restart. Of the
/// remaining, younger records, only the extreme value is kept. When the last settled record leaves, the whole window is settled again:
/// amortised one step per record.
#[derive(Clone, Debug)]
pub struct Extreme<E> {
    old: u32,
    /// The index of the first finite settled record; `old` if there is none.
    first: u32,
    /// The extreme of the younger records.
    young: f64,
    end: PhantomData<E>,
}

impl<E: End> Default for Extreme<E> {
    fn default() -> Self {
        Self { old: 0, first: 0, young: E::WORST, end: PhantomData }
    }
}

impl<E: End> Extreme<E> {
    fn settle(&mut self, slots: &mut Ring<f64>) {
        let mut best = E::WORST;
        let (first, second) = slots.as_mut_slices();
        for slot in first.iter_mut().chain(second).rev().filter(|slot| slot.is_finite()) {
            best = E::better(best, *slot);
            *slot = best;
        }
        (self.old, self.young) = (slots.len() as u32, E::WORST);
        self.find_first(slots);
    }

    fn find_first(&mut self, slots: &Ring<f64>) {
        let is_finite = |at: u32| slots.get(at as usize).is_some_and(f64::is_finite);
        self.first = (0..self.old).find(|&at| is_finite(at)).unwrap_or(self.old);
    }

    /// The extreme of the settled values.
    #[inline]
    fn settled(&self, slots: &Ring<f64>) -> f64 {
        if self.first < self.old { slots.get(self.first as usize).unwrap_or(E::WORST) } else { E::WORST }
    }
}

impl<E: End> Aggregate for Extreme<E> {
    type Options = ();

    #[inline]
    fn enter(&mut self, value: f64, _slots: &mut Ring<f64>) {
        self.young = E::better(self.young, value);
    }

    #[inline]
    fn leave(&mut self, _slot: f64, slots: &mut Ring<f64>) {
        if self.old == 0 {
            return self.settle(slots);
        }
        self.old -= 1;
        match self.first {
            0 => self.find_first(slots),
            _ => self.first -= 1,
        }
    }

    #[inline]
    fn finite(&self, slots: &Ring<f64>, _samples: u64, _options: ()) -> f64 {
        E::better(self.young, self.settled(slots))
    }

    /// NaN if the window contains one; infinities are compared like other values.
    fn unusual(&self, slots: &Ring<f64>, counts: &Counts, _options: ()) -> f64 {
        match () {
            () if counts.nan > 0 => f64::NAN,
            () if E::best(counts) > 0 => -E::WORST,
            () if counts.finite > 0 => self.finite(slots, counts.finite.into(), ()),
            () => E::WORST,
        }
    }

    fn fill(&mut self, slots: &mut Ring<f64>, most: usize, entering: &[f64], _: (), results: &mut Vec<f64>) {
        let settled = self.settled(slots);
        let mut young = self.young;
        results.extend(entering.iter().map(|&value| {
            young = E::better(young, value);
            E::better(young, settled)
        }));
        self.young = young;
        slots.extend(entering, most);
    }

    fn slide(&mut self, slots: &mut Ring<f64>, entering: &[f64], options: (), results: &mut Vec<f64>) {
        let mut entering = entering;
        while let Some((&next, rest)) = entering.split_first() {
            // The first one makes the last settled record leave, or settles the window.
            if self.old <= 1 {
                self.slide_singly(slots, &[next], options, results);
                entering = rest;
                continue;
            }
            // Each of these makes a settled record leave while another one remains after it, in contiguous memory.
            let settled = &slots.as_slices().0[1..];
            let count = entering.len().min(self.old as usize - 1).min(settled.len());
            if count == 0 {
                self.slide_singly(slots, &[next], options, results);
                entering = rest;
                continue;
            }
            let (part, rest) = entering.split_at(count);
            let mut young = self.young;
            results.extend(part.iter().zip(settled).map(|(&value, &settled)| {
                young = E::better(young, value);
                E::better(young, settled)
            }));
            self.young = young;
            self.old -= count as u32;
            slots.slide(part);
            entering = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{any_pieces, any_series, check_windows};
    use super::*;
    use proptest::prelude::*;

    /// The oracle: compares all values; −0 is less than +0.
    fn plain(values: &[f64], better: fn(f64, f64) -> bool) -> f64 {
        let nan = values.iter().copied().find(|value| value.is_nan());
        let best = values.iter().copied().reduce(|a, b| if better(b, a) { b } else { a });
        nan.or(best).expect("a value")
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn extremes_are_those_of_the_content(
            values in any_series(200), rows in 1..150usize, pieces in any_pieces(),
        ) {
            check_windows::<Least>(&values, rows, &pieces, ((), 1), |values| plain(values, |a, b| a.total_cmp(&b).is_lt()))?;
            check_windows::<Greatest>(&values, rows, &pieces, ((), 1), |values| plain(values, |a, b| a.total_cmp(&b).is_gt()))?;
        }

        #[test]
        fn extremes_of_few_distinct_values(
            values in proptest::collection::vec(proptest::sample::select(&[-1.0, -0.0, 0.0, 1.0][..]), 0..300),
            rows in 1..40usize, pieces in any_pieces(),
        ) {
            let values: Vec<_> = values.into_iter().map(Some).collect();
            check_windows::<Least>(&values, rows, &pieces, ((), 1), |values| plain(values, |a, b| a.total_cmp(&b).is_lt()))?;
            check_windows::<Greatest>(&values, rows, &pieces, ((), 1), |values| plain(values, |a, b| a.total_cmp(&b).is_gt()))?;
        }
    }
}
