//! The least or the greatest value of a window, in constant time a record: a queue of two stacks
//! (Tangwongsan, Hirzel and Schneider, "Low-latency sliding-window aggregation in worst-case constant time", 2017, section 2)
//! that needs no memory besides the window's.

use std::fmt::Debug;
use std::marker::PhantomData;

use super::order::{greater, lesser};
use super::window::{Aggregate, Counts, Slots};

/// The least value; −0 is less than +0.
pub type Least = Extreme<Low>;
/// The greatest value; +0 is greater than −0.
pub type Greatest = Extreme<High>;

/// Which end is looked for.
pub trait End: Clone + Debug + Default {
    /// The infinity that every value beats.
    const WORST: f64;

    /// Whether the first of two integers is nearer to this end.
    fn is_better(a: i128, b: i128) -> bool;

    /// The one of two numbers that is nearer to this end.
    fn better(a: f64, b: f64) -> f64;

    /// How many infinities of this end there are.
    fn best(counts: &Counts) -> u32;
}

/// The low end.
#[derive(Clone, Debug, Default)]
pub struct Low;

/// The high end.
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

/// The value of a window that is nearest to one end.
///
/// The oldest `old` records are *settled*: the slot of each finite one holds the best of its own value and all settled ones behind
/// it. A value that is worse than a later one never is the result again, so this changes no result, now or after a restart.
/// Of the records behind them, only the best value is kept. When the last settled record has left, the whole window is settled
/// anew: one step a record.
#[derive(Clone, Debug)]
pub struct Extreme<E> {
    old: u32,
    /// The place of the first finite settled record; `old` if there is none.
    first: u32,
    /// The best of the others.
    young: f64,
    end: PhantomData<E>,
}

impl<E: End> Default for Extreme<E> {
    fn default() -> Self {
        Self { old: 0, first: 0, young: E::WORST, end: PhantomData }
    }
}

impl<E: End> Extreme<E> {
    fn settle(&mut self, slots: &mut Slots) {
        let mut best = E::WORST;
        let (first, second) = slots.as_mut_slices();
        for slot in first.iter_mut().chain(second).rev().filter(|slot| slot.is_finite()) {
            best = E::better(best, *slot);
            *slot = best;
        }
        (self.old, self.young) = (slots.len() as u32, E::WORST);
        self.find_first(slots);
    }

    fn find_first(&mut self, slots: &Slots) {
        let is_finite = |at: u32| slots.get(at as usize).is_some_and(f64::is_finite);
        self.first = (0..self.old).find(|&at| is_finite(at)).unwrap_or(self.old);
    }

    /// The best of the settled values.
    #[inline]
    fn settled(&self, slots: &Slots) -> f64 {
        if self.first < self.old { slots.get(self.first as usize).unwrap_or(E::WORST) } else { E::WORST }
    }
}

impl<E: End> Aggregate for Extreme<E> {
    type Options = ();

    #[inline]
    fn enter(&mut self, value: f64, _slots: &mut Slots) {
        self.young = E::better(self.young, value);
    }

    #[inline]
    fn leave(&mut self, _slot: f64, slots: &mut Slots) {
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
    fn finite(&self, slots: &Slots, _samples: u64, _options: ()) -> f64 {
        E::better(self.young, self.settled(slots))
    }

    /// NaN if there is one; infinities are values like others.
    fn unusual(&self, slots: &Slots, counts: &Counts, _options: ()) -> f64 {
        match () {
            () if counts.nan > 0 => f64::NAN,
            () if E::best(counts) > 0 => -E::WORST,
            () if counts.finite > 0 => self.finite(slots, counts.finite.into(), ()),
            () => E::WORST,
        }
    }

    fn fill(&mut self, slots: &mut Slots, most: usize, entering: &[f64], _: (), results: &mut Vec<f64>) {
        let settled = self.settled(slots);
        let mut young = self.young;
        results.extend(entering.iter().map(|&value| {
            young = E::better(young, value);
            E::better(young, settled)
        }));
        self.young = young;
        slots.extend(entering, most);
    }

    fn slide(&mut self, slots: &mut Slots, entering: &[f64], options: (), results: &mut Vec<f64>) {
        let mut entering = entering;
        while let Some((&next, rest)) = entering.split_first() {
            // The first one makes the last settled record leave, or has the window settled.
            if self.old <= 1 {
                self.slide_singly(slots, &[next], options, results);
                entering = rest;
                continue;
            }
            // Each of these makes a settled record leave, and there is another one behind it, in one piece of memory.
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

    /// By looking at all values; −0 is below +0.
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
