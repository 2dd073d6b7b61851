//! The exact mean of a window (clause 16).

use super::exact_sum::ExactSum;
use super::grid::{Grid, STEPS};
use super::ring::Ring;
use super::tiers::{General, Quick, Tiers};
use super::window::{Aggregate, Counts};

/// The correctly rounded sum of the values, divided by their number.
#[derive(Clone, Debug, Default)]
pub struct Mean(Tiers<GridSum>);

/// The exact sum of numbers on a grid, as two floats: adding them gives the correctly rounded sum.
#[derive(Clone, Copy, Debug)]
struct GridSum {
    high: f64,
    low: f64,
    grid: Grid,
}

impl GridSum {
    /// Carries whole high units from the low sum to the high one.
    #[inline]
    fn carry(&mut self) {
        debug_assert!(self.grid.is_exact(self.high, self.low), "{self:?}");
        if self.low.abs() >= self.grid.low_limit() {
            let carried = self.grid.high().round(self.low);
            self.high += carried;
            self.low -= carried;
        }
    }

    /// Replaces the numbers `leaving` by as many `entering`; the mean of `count` numbers after each.
    #[inline]
    fn slide(&mut self, entering: &[f64], leaving: &[f64], count: f64, means: &mut Vec<f64>) {
        let rounder = self.grid.high();
        let Self { mut high, mut low, .. } = *self;
        means.extend(entering.iter().zip(leaving).map(|(&new, &old)| {
            let (new_high, old_high) = (rounder.round(new), rounder.round(old));
            high += new_high - old_high;
            low += (new - new_high) - (old - old_high);
            (high + low) / count
        }));
        (self.high, self.low) = (high, low);
    }

    /// Adds `entering`; the mean of all numbers after each, starting with `count` earlier ones.
    fn fill(&mut self, entering: &[f64], mut count: f64, means: &mut Vec<f64>) {
        let rounder = self.grid.high();
        let Self { mut high, mut low, .. } = *self;
        means.extend(entering.iter().map(|&new| {
            let new_high = rounder.round(new);
            high += new_high;
            low += new - new_high;
            count += 1.0;
            (high + low) / count
        }));
        (self.high, self.low) = (high, low);
    }
}

impl Quick for GridSum {
    type General = ExactSum;

    fn on(grid: Grid) -> Self {
        Self { high: 0.0, low: 0.0, grid }
    }

    #[inline]
    fn grid(&self) -> Grid {
        self.grid
    }

    #[inline]
    fn has_room(&self) -> bool {
        self.high.abs() < self.grid.high_limit()
    }

    #[inline]
    fn add(&mut self, value: f64) {
        let high = self.grid.high().round(value);
        self.high += high;
        self.low += value - high;
        self.carry();
    }

    #[inline]
    fn remove(&mut self, value: f64) {
        self.add(-value);
    }
}

impl General<GridSum> for ExactSum {
    fn from_quick(quick: &GridSum) -> Self {
        let mut sum = Self::new();
        sum.add(quick.high);
        sum.add(quick.low);
        sum
    }

    fn add(&mut self, value: f64) {
        self.add(value);
    }

    fn remove(&mut self, value: f64) {
        self.remove(value);
    }

    fn settle(&mut self, values: impl Iterator<Item = f64> + Clone) {
        if self.is_wide() {
            self.rebuild(values);
        }
    }
}

impl Mean {
    /// A slide of a single step: with many sensors, runs are short, and setting up the loop would cost more than the step.
    fn slide_once(&mut self, slots: &mut Ring<f64>, value: f64, means: &mut Vec<f64>) {
        let count = slots.len() as f64;
        match self.0.quick_for(&[value]) {
            None => self.slide_singly(slots, &[value], (), means),
            Some(sums) => {
                let oldest = slots.exchange(value).unwrap_or(value);
                sums.slide(&[value], &[oldest], count, means);
                sums.carry();
                self.0.keep_room(slots);
            }
        }
    }
}

impl Aggregate for Mean {
    type Options = ();

    #[inline]
    fn enter(&mut self, value: f64, slots: &mut Ring<f64>) {
        self.0.enter(value, slots);
    }

    #[inline]
    fn leave(&mut self, slot: f64, slots: &mut Ring<f64>) {
        if slot.is_finite() {
            self.0.leave(slot, slots);
        }
    }

    #[inline]
    fn finite(&self, _slots: &Ring<f64>, samples: u64, _options: ()) -> f64 {
        match &self.0 {
            Tiers::Quick { sums, .. } => (sums.high + sums.low) / samples as f64,
            Tiers::General { sums, .. } => sums.mean(samples),
        }
    }

    /// As in IEEE 754.
    fn unusual(&self, _slots: &Ring<f64>, counts: &Counts, _options: ()) -> f64 {
        match (counts.nan, counts.plus_infinity, counts.minus_infinity) {
            (0, _, 0) => f64::INFINITY,
            (0, 0, _) => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    fn fill(
        &mut self,
        slots: &mut Ring<f64>,
        most: usize,
        entering: &[f64],
        options: (),
        means: &mut Vec<f64>,
    ) {
        for part in entering.chunks(STEPS) {
            let before = slots.len() as f64;
            match self.0.quick_for(part) {
                None => self.fill_singly(slots, most, part, options, means),
                Some(sums) => {
                    sums.fill(part, before, means);
                    sums.carry();
                    slots.extend(part, most);
                    self.0.keep_room(slots);
                }
            }
        }
    }

    fn slide(&mut self, slots: &mut Ring<f64>, entering: &[f64], options: (), means: &mut Vec<f64>) {
        if let [value] = *entering {
            return self.slide_once(slots, value, means);
        }
        let count = slots.len() as f64;
        for part in entering.chunks(STEPS) {
            match self.0.quick_for(part) {
                None => self.slide_singly(slots, part, options, means),
                Some(sums) => {
                    for (entering, leaving) in slots.exchanges(part) {
                        sums.slide(entering, leaving, count, means);
                    }
                    sums.carry();
                    slots.slide(part);
                    self.0.keep_room(slots);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{any_pieces, any_series, check_windows, mean};
    use super::*;
    use proptest::prelude::*;

    /// The oracle: an exact sum of these values only, which is tested against rationals itself.
    fn plain(values: &[f64]) -> f64 {
        let unusual = values.iter().copied().filter(|value| !value.is_finite()).reduce(|a, b| a + b);
        unusual.unwrap_or_else(|| {
            let mut sum = ExactSum::new();
            values.iter().for_each(|&value| sum.add(value));
            sum.mean(values.len() as u64)
        })
    }

    fn check(values: &[f64], rows: usize) -> Result<(), TestCaseError> {
        let values: Vec<_> = values.iter().copied().map(Some).collect();
        check_windows::<Mean>(&values, rows, &[128, 7, 300], ((), 1), plain)
    }

    #[test]
    fn a_mean_takes_little_room() {
        assert!(size_of::<Mean>() <= 32, "{}", size_of::<Mean>());
    }

    #[test]
    fn clause_16_sums_stay_exact_as_far_as_a_grid_goes() {
        // The largest number on the first grid, and the one with the largest low part: as many as a sum can hold, and more.
        let largest = 2f64.powi(25) - 2f64.powi(-28);
        let halfway = 2f64.powi(24) + 2f64.powi(-20);
        for value in [largest, -largest, halfway, -halfway] {
            for rows in [100, 127, 128, 129, 255, 1000] {
                let values: Vec<f64> = (0..1500).map(|n| if n % 7 == 6 { 0.1 } else { value }).collect();
                check(&values, rows).expect("exact");
                // From one extreme to the other within a window.
                let values: Vec<f64> =
                    (0..1500).map(|n| if n / rows % 2 == 0 { value } else { -value }).collect();
                check(&values, rows).expect("exact");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn clause_16_a_mean_depends_on_the_content_alone(
            values in any_series(200), rows in 1..150usize, pieces in any_pieces(),
        ) {
            check_windows::<Mean>(&values, rows, &pieces, ((), 1), plain)?;
        }

        #[test]
        fn clause_16_a_mean_is_the_correctly_rounded_sum_divided(
            values in any_series(20), rows in 1..12usize, pieces in any_pieces(),
        ) {
            let values: Vec<_> = values.into_iter().filter(|v| v.is_none_or(f64::is_finite)).collect();
            check_windows::<Mean>(&values, rows, &pieces, ((), 1), mean)?;
        }
    }
}
