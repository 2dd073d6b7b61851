//! The median of a window.

use super::order::{key_of, value_of};
use super::ring::Ring;
use super::sorted::Sorted;
use super::window::{Aggregate, Counts};

/// Whether the batch is so small, and the window so long, that the accessed memory is in no cache: then prefetching all of it at once pays
/// off.
fn is_brief(entering: &[f64], slots: &Ring<f64>) -> bool {
    entering.len() * 64 < slots.len()
}

/// The median; for an even number of values, the mean of the two middle ones. −0 is less than +0.
#[derive(Clone, Debug, Default)]
pub struct Median(Sorted);

/// The mean of two numbers: their correctly rounded sum, halved, without overflow.
fn mean(a: f64, b: f64) -> f64 {
    let sum = a + b;
    // If the sum overflows, halving first is exact. The mean of zeros of any sign is +0.
    if sum.is_finite() { (sum + 0.0) / 2.0 } else { a / 2.0 + b / 2.0 }
}

impl Aggregate for Median {
    type Options = ();

    fn enter(&mut self, value: f64, _slots: &mut Ring<f64>) {
        self.0.insert(key_of(value));
    }

    fn leave(&mut self, slot: f64, _slots: &mut Ring<f64>) {
        if slot.is_finite() {
            self.0.remove(key_of(slot));
        }
    }

    fn fill(
        &mut self,
        slots: &mut Ring<f64>,
        most: usize,
        entering: &[f64],
        options: (),
        medians: &mut Vec<f64>,
    ) {
        if is_brief(entering, slots) {
            self.0.prefetch(entering.iter().copied().map(key_of));
        }
        self.fill_singly(slots, most, entering, options, medians);
    }

    fn slide(&mut self, slots: &mut Ring<f64>, entering: &[f64], options: (), medians: &mut Vec<f64>) {
        if is_brief(entering, slots) {
            let leaving = slots.iter().take(entering.len());
            self.0.prefetch(leaving.chain(entering.iter().copied()).map(key_of));
        }
        self.slide_singly(slots, entering, options, medians);
    }

    fn finite(&self, _slots: &Ring<f64>, samples: u64, _options: ()) -> f64 {
        let (lower, upper) = self.0.middle();
        if samples % 2 == 1 { value_of(lower) } else { mean(value_of(lower), value_of(upper)) }
    }

    /// NaN if the window contains one; infinities are compared like other values.
    fn unusual(&self, _slots: &Ring<f64>, counts: &Counts, _options: ()) -> f64 {
        if counts.nan > 0 {
            return f64::NAN;
        }
        let below = counts.minus_infinity as usize;
        let samples = below + counts.finite as usize + counts.plus_infinity as usize;
        let value = |rank: usize| match rank.checked_sub(below) {
            None => f64::NEG_INFINITY,
            Some(rank) => self.0.get(rank).map_or(f64::INFINITY, value_of),
        };
        let (lower, upper) = (value((samples - 1) / 2), value(samples / 2));
        if samples % 2 == 1 { lower } else { mean(lower, upper) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::exact_sum::ExactSum;
    use super::super::testing::{any_pieces, any_series, check_windows};
    use super::*;
    use proptest::prelude::*;

    /// The oracle: sorts the values, and adds the two middle ones exactly.
    fn plain(values: &[f64]) -> f64 {
        if values.iter().any(|value| value.is_nan()) {
            return f64::NAN;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (lower, upper) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        match sorted.len() % 2 {
            1 => lower,
            _ if !lower.is_finite() || !upper.is_finite() => lower + upper,
            _ => {
                let mut sum = ExactSum::new();
                sum.add(lower);
                sum.add(upper);
                sum.mean(2)
            }
        }
    }

    #[test]
    fn the_middle_of_known_values() {
        assert_eq!(plain(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(mean(1.0, 2.0), 1.5);
        assert_eq!(mean(f64::MAX, f64::MAX), f64::MAX);
        assert_eq!(mean(-0.0, -0.0).to_bits(), 0);
        assert!(mean(f64::NEG_INFINITY, f64::INFINITY).is_nan());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn medians_are_those_of_the_sorted_content(
            values in any_series(200), rows in 1..150usize, pieces in any_pieces(),
        ) {
            check_windows::<Median>(&values, rows, &pieces, ((), 1), plain)?;
        }

    }

    proptest! {
        // Sorting long windows repeatedly is slow.
        #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

        #[test]
        fn medians_of_long_windows(values in any_series(900), rows in 300..700usize, pieces in any_pieces()) {
            let values: Vec<_> = values.into_iter().take(1500).collect();
            check_windows::<Median>(&values, rows, &pieces, ((), 1), plain)?;
        }
    }
}
