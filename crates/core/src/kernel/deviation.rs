//! The standard deviation of a window, from exact sums.

use super::exact_sum::{ExactSquares, ExactSum, deviation};
use super::grid::{Grid, LOW_BITS, Rounder, STEPS, power};
use super::int256::U256;
use super::ring::Ring;
use super::tiers::{General, Quick, Tiers};
use super::window::{Aggregate, Counts};

/// √((n·Σx² − (Σx)²) / (n·(n − d))) of n values, where d is the option: the radicand is computed exactly and rounded once, and the root is
/// rounded once more.
#[derive(Clone, Debug, Default)]
pub struct Deviation(Tiers<GridMoments>);

/// The maximum number of values on the grid, so that no integer below overflows.
const MOST: u32 = (1 << 19) - 1;

/// The exact sums of numbers x = high·2^45 + low on a grid, of their squares and of their products, all in units of the grid.
#[derive(Clone, Debug)]
struct GridMoments {
    /// Σ high², Σ high·low, Σ low²: each term is at most 2^88.
    squares: [i128; 3],
    /// Σ high, Σ low: each term is at most 2^44.
    sums: [i64; 2],
    count: u32,
    grid: Grid,
}

/// Splits numbers on a grid into the integers `high` and `low`.
#[derive(Clone, Copy)]
struct Splitter {
    rounder: Rounder,
    high_units: f64,
    low_units: f64,
}

impl Splitter {
    fn new(grid: Grid) -> Self {
        let (high_units, low_units) = (power(-grid.unit() - LOW_BITS), power(-grid.unit()));
        Self { rounder: grid.high(), high_units, low_units }
    }

    #[inline]
    fn split(self, x: f64) -> [i64; 2] {
        let high = self.rounder.round(x);
        [(high * self.high_units) as i64, ((x - high) * self.low_units) as i64]
    }
}

impl GridMoments {
    #[inline]
    fn change(&mut self, [high, low]: [i64; 2], sign: i64) {
        self.sums[0] += sign * high;
        self.sums[1] += sign * low;
        self.squares[0] += product(sign * high, high);
        self.squares[1] += product(sign * high, low);
        self.squares[2] += product(sign * low, low);
    }

    /// Replaces one number by another.
    #[inline]
    fn exchange(&mut self, new: [i64; 2], old: [i64; 2]) {
        let [high, low] = [new[0] - old[0], new[1] - old[1]];
        self.sums[0] += high;
        self.sums[1] += low;
        // a² − b² = (a − b)(a + b) saves a product.
        self.squares[0] += product(high, new[0] + old[0]);
        self.squares[1] += product(new[0], new[1]) - product(old[0], old[1]);
        self.squares[2] += product(low, new[1] + old[1]);
    }

    /// The deviation of the numbers with the divisor n·(n − `freedom`).
    #[inline]
    fn deviation(&self, freedom: u32) -> f64 {
        let n = i128::from(self.count);
        let [high, low] = self.sums;
        let [hh, hl, ll] = self.squares;
        // n·Σx² − (Σx)² in units of 2^(2·unit); each term is less than 2^126.
        let terms = [n * hh - product(high, high), n * hl - product(high, low), n * ll - product(low, low)];
        let spread =
            U256::sum([(terms[0], 2 * LOW_BITS as u32), (terms[1], LOW_BITS as u32 + 1), (terms[2], 0)]);
        let divisor = u64::from(self.count) * u64::from(self.count - freedom);
        let (quotient, exponent) = spread.divided(divisor);
        if quotient == 0 {
            return 0.0;
        }
        // Halving the exponent must give a power of two, so it has to be even. Below 2^63, so a signed conversion is enough.
        let exponent = exponent + 2 * self.grid.unit();
        let variance = quotient as i64 as f64 * if exponent % 2 == 0 { 1.0 } else { 2.0 };
        variance.sqrt() * power(exponent.div_euclid(2))
    }
}

#[inline]
fn product(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

impl Quick for GridMoments {
    type General = ExactMoments;

    fn on(grid: Grid) -> Self {
        Self { squares: [0; 3], sums: [0; 2], count: 0, grid }
    }

    #[inline]
    fn grid(&self) -> Grid {
        self.grid
    }

    #[inline]
    fn has_room(&self) -> bool {
        self.count <= MOST - STEPS as u32
    }

    #[inline]
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.change(Splitter::new(self.grid).split(value), 1);
    }

    #[inline]
    fn remove(&mut self, value: f64) {
        self.count -= 1;
        self.change(Splitter::new(self.grid).split(value), -1);
    }
}

/// The same sums for any finite numbers.
#[derive(Clone, Debug)]
struct ExactMoments {
    sum: ExactSum,
    squares: ExactSquares,
}

impl General<GridMoments> for ExactMoments {
    fn from_quick(quick: &GridMoments) -> Self {
        let unit = quick.grid.unit();
        let [high, low] = quick.sums.map(i128::from);
        let [hh, hl, ll] = quick.squares;
        let mut squares = ExactSquares::new();
        for (term, shift) in [(hh, 2 * LOW_BITS), (hl, LOW_BITS + 1), (ll, 0)] {
            squares.add_units(term, 2 * unit + shift);
        }
        Self { sum: ExactSum::from_units((high << LOW_BITS) + low, unit), squares }
    }

    fn add(&mut self, value: f64) {
        self.sum.add(value);
        self.squares.add(value);
    }

    fn remove(&mut self, value: f64) {
        self.sum.remove(value);
        self.squares.remove(value);
    }

    fn settle(&mut self, values: impl Iterator<Item = f64> + Clone) {
        if self.sum.is_wide() {
            self.sum.rebuild(values);
        }
    }
}

impl Aggregate for Deviation {
    /// Degrees of freedom subtracted from n in the divisor: fewer than the number of samples.
    type Options = u32;

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

    fn finite(&self, _slots: &Ring<f64>, samples: u64, freedom: u32) -> f64 {
        match &self.0 {
            Tiers::Quick { sums, .. } => sums.deviation(freedom),
            Tiers::General { sums, .. } => deviation(&sums.sum, &sums.squares, samples, freedom.into()),
        }
    }

    /// As in IEEE 754: NaN.
    fn unusual(&self, _slots: &Ring<f64>, _counts: &Counts, _freedom: u32) -> f64 {
        f64::NAN
    }

    fn slide(&mut self, slots: &mut Ring<f64>, entering: &[f64], freedom: u32, results: &mut Vec<f64>) {
        for part in entering.chunks(STEPS) {
            let Some(sums) = self.0.quick_for(part) else {
                self.slide_singly(slots, part, freedom, results);
                continue;
            };
            let splitter = Splitter::new(sums.grid);
            for (entering, leaving) in slots.exchanges(part) {
                results.extend(entering.iter().zip(leaving).map(|(&new, &old)| {
                    sums.exchange(splitter.split(new), splitter.split(old));
                    sums.deviation(freedom)
                }));
            }
            slots.slide(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{any_pieces, any_series, check_windows, rational, variance};
    use super::*;
    use proptest::prelude::*;

    /// The oracle: exact sums of these values only, which are tested against rationals themselves.
    fn plain(values: &[f64], freedom: u32) -> f64 {
        if values.iter().any(|value| !value.is_finite()) {
            return f64::NAN;
        }
        let (mut sum, mut squares) = (ExactSum::new(), ExactSquares::new());
        for &value in values {
            sum.add(value);
            squares.add(value);
        }
        deviation(&sum, &squares, values.len() as u64, freedom.into())
    }

    #[test]
    fn a_deviation_has_no_trace_of_the_level() {
        // Values a millionth apart at a billion: a running sum of squares would have no correct digit.
        let values: Vec<_> = (0..300).map(|n| Some(1e9 + f64::from(n % 2) / 1048576.0)).collect();
        check_windows::<Deviation>(&values, 20, &[50], (0, 1), |values| plain(values, 0)).expect("exact");
        let ten: Vec<f64> = values[..10].iter().copied().flatten().collect();
        assert_eq!(plain(&ten, 0), 0.5 / 1048576.0);
    }

    #[test]
    fn sums_stay_exact_as_far_as_a_grid_goes() {
        let largest = 2f64.powi(25) - 2f64.powi(-28);
        for values in [[largest; 2], [-largest, largest], [2f64.powi(24) + 2f64.powi(-20), -largest]] {
            let values: Vec<_> = (0..600).map(|n| Some(values[n % 2])).collect();
            check_windows::<Deviation>(&values, 150, &[128, 9], (0, 1), |values| plain(values, 0))
                .expect("exact");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn a_deviation_depends_on_the_content_alone(
            values in any_series(80), rows in 1..40usize, pieces in any_pieces(), freedom in 0..3u32,
        ) {
            let least = freedom as usize + 1;
            check_windows::<Deviation>(&values, rows, &pieces, (freedom, least), |values| plain(values, freedom))?;
        }

        #[test]
        fn a_deviation_is_the_root_of_the_exact_variance(
            values in proptest::collection::vec(-1e6..1e6f64, 2..60), level in -1e7..1e7f64, freedom in 0..2u32,
        ) {
            let values: Vec<f64> = values.iter().map(|value| value + level).collect();
            let mut window = super::super::window::Window::<Deviation>::default();
            values.iter().for_each(|&value| window.enter(Some(value), 60));
            let got = window.result(Default::default(), freedom).expect("a result");
            // √(1 ± 2^−53), rounded: within 1.5 units in the last place.
            let (low, high) = (rational(got) * rational(1.0 - 2.3e-16), rational(got) * rational(1.0 + 2.3e-16));
            let variance = variance(&values, freedom);
            prop_assert!(&low * &low <= variance && variance <= &high * &high, "{} for {:?}", got, values);
        }
    }
}
