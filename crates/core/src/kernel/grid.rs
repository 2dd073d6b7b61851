//! A grid of numbers on which float sums are exact: the reproducible summation of Demmel and Nguyen ("Fast reproducible floating-point
//! summation", 2013), with two bins, both exact.

use super::wide::decompose;

/// Bits of the low part of a number on the grid.
pub(super) const LOW_BITS: i32 = 45;
/// Bits of the high part.
pub(super) const HIGH_BITS: i32 = 44;
/// Free powers of two above the values that a grid is chosen for.
const HEADROOM: i32 = 6;
/// Bits that either sum may have before a block of steps.
const SUM_BITS: i32 = 51;
/// The maximum number of steps in a block.
pub(super) const STEPS: usize = 128;

/// The multiples of 2^`unit` that are less than 2^(`unit` + 89) in magnitude: ordinary floats within 37 powers of two of each other, and
/// every number with fewer bits between them, including 0.
///
/// Each is the sum of a high part, a multiple of 2^(`unit` + 45) found by rounding, and a low part of at most half of that. In their own
/// units, 2^(`unit` + 45) and 2^`unit`, both are integers of at most 2^44. Floats represent all integers up to 2^53, so sums of high parts
/// and sums of low parts are exact up to that bound, which they never exceed:
///
/// - before a block of steps either sum is less than 2^51 units ([`Grid::high_limit`], [`Grid::low_limit`]);
/// - a step (one number in, one out) changes either by at most 2^45, and a block has at most [`STEPS`] = 128 = 2^7 of them;
/// - so in a block either sum stays below 2^51 + 2^7 · 2^45 = 2^51 + 2^52 < 2^53.
///
/// Larger sums are not kept on the grid. As both sums are exact, adding one to the other is the only rounding, and gives the correctly
/// rounded sum of the numbers: it is far from overflow, and addition is always exact near underflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    unit: i16,
}

/// Adding and subtracting this number rounds another to a multiple of a power of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounder(f64);

impl Rounder {
    /// To multiples of 2^`exponent`, for numbers less than 2^(`exponent` + 51).
    fn to(exponent: i32) -> Self {
        Self(1.5 * power(exponent + 52))
    }

    /// The nearest multiple, ties to even.
    #[inline]
    pub(super) fn round(self, x: f64) -> f64 {
        (x + self.0) - self.0
    }
}

/// 2^`exponent`, for normal numbers.
#[inline]
pub(super) fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

impl Default for Grid {
    /// Holds readings from 2^−12 to 2^25 in full precision.
    fn default() -> Self {
        Self { unit: -64 }
    }
}

impl Grid {
    /// A grid that holds all of `values` and their sum, with room for larger ones; `None` if they are too far from each other or from 1.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut lowest, mut highest, mut count) = (i32::MAX, i32::MIN, 0u64);
        for value in values.filter(|&value| value != 0.0) {
            let (_, mantissa, exponent) = decompose(value);
            lowest = lowest.min(exponent + mantissa.trailing_zeros() as i32);
            highest = highest.max(exponent + 64 - mantissa.leading_zeros() as i32);
            count += 1;
        }
        if count == 0 {
            return Some(Self::default());
        }
        // The sum of this many numbers is less than 2^(highest + bits).
        let bits = 64 - count.leading_zeros() as i32;
        let least = (highest - LOW_BITS - HIGH_BITS).max(highest + bits - LOW_BITS - SUM_BITS);
        let unit = lowest.min(least + HEADROOM);
        // All powers of two used below are normal, and so is the sum.
        (least <= unit && (-900..900).contains(&unit)).then_some(Self { unit: unit as i16 })
    }

    /// The unit of low parts, as a power of two.
    pub(super) fn unit(self) -> i32 {
        i32::from(self.unit)
    }

    /// The rounder that splits off the high part of a number on the grid; the rest is its low part.
    #[inline]
    pub(super) fn high(self) -> Rounder {
        Rounder::to(self.unit() + LOW_BITS)
    }

    /// Whether sums of high and low parts are exact: at most 2^53 of their units.
    pub(super) fn is_exact(self, high: f64, low: f64) -> bool {
        let limit = power(self.unit() + 53);
        low.abs() <= limit && high.abs() <= limit * power(LOW_BITS)
    }

    /// The bound on the sum of high parts before a block of steps.
    #[inline]
    pub(super) fn high_limit(self) -> f64 {
        power(self.unit() + LOW_BITS + SUM_BITS)
    }

    /// The bound on the sum of low parts before a block of steps.
    #[inline]
    pub(super) fn low_limit(self) -> f64 {
        power(self.unit() + SUM_BITS)
    }

    /// Whether it contains all of `values`.
    #[inline]
    pub(super) fn has_all(self, values: &[f64]) -> bool {
        // Most floats are recognised by their exponent; zeros and numbers with few bits need a closer test.
        self.has_exponents(values) || self.has_exactly(values)
    }

    fn has_exponents(self, values: &[f64]) -> bool {
        let lowest = ((self.unit() + 52 + 1023) as u32) << 20;
        let span = ((LOW_BITS + HIGH_BITS - 52) as u32) << 20;
        let is_outside =
            |value: f64| ((value.to_bits() >> 32) as u32 & 0x7fff_ffff).wrapping_sub(lowest) >= span;
        !values.iter().fold(false, |outside, &value| outside | is_outside(value))
    }

    #[cold]
    fn has_exactly(self, values: &[f64]) -> bool {
        let (high, unit) = (self.high(), Rounder::to(self.unit()));
        let limit = power(self.unit() + LOW_BITS + HIGH_BITS);
        let is_on = |value: f64| {
            let low = value - high.round(value);
            value.abs() < limit && unit.round(low) == low
        };
        values.iter().fold(true, |on, &value| on & is_on(value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{any_finite, at_the_edge, near_power, rational};
    use super::*;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;

    /// The value in units of 2^`exponent`.
    fn units(value: f64, exponent: i32) -> BigRational {
        let unit = BigRational::from_integer(BigInt::from(1) << exponent.unsigned_abs());
        if exponent < 0 { rational(value) * unit } else { rational(value) / unit }
    }

    /// Whether an integer number of units is at most 2^`bits`.
    fn fits(units: &BigRational, bits: u32) -> bool {
        let most = BigRational::from_integer(BigInt::from(1) << bits);
        units.is_integer() && *units <= most && *units >= -most
    }

    /// Checks a grid against its definition, for one number.
    fn check(grid: Grid, value: f64) -> Result<(), TestCaseError> {
        let in_units = units(value, grid.unit());
        let is_on = fits(&in_units, 89) && value.abs() < power(grid.unit() + 89);
        prop_assert_eq!(grid.has_all(&[value]), is_on, "{} on {:?}", value, grid);
        prop_assert_eq!(
            grid.has_all(&[0.5f64.powi(40), value, 1.0]),
            is_on && grid.has_all(&[0.5f64.powi(40), 1.0])
        );
        if is_on {
            let high = grid.high().round(value);
            let low = value - high;
            let (high_units, low_units) = (units(high, grid.unit() + LOW_BITS), units(low, grid.unit()));
            prop_assert_eq!(rational(high) + rational(low), rational(value));
            prop_assert!(fits(&high_units, 44), "{}", high_units);
            prop_assert!(fits(&low_units, 44), "{}", low_units);
            prop_assert!(grid.is_exact(high, low));
        }
        Ok(())
    }

    #[test]
    fn limits_leave_room_for_a_block_of_steps() {
        let grid = Grid::default();
        let step = power(1 + HIGH_BITS.max(LOW_BITS - 1));
        let low = grid.low_limit() + STEPS as f64 * step * power(grid.unit());
        let high = grid.high_limit() + STEPS as f64 * step * power(grid.unit() + LOW_BITS);
        assert!(grid.is_exact(high, low));
        assert!(!grid.is_exact(high * 2.0, low) && !grid.is_exact(high, low * 2.0));
    }

    proptest! {
        #[test]
        fn numbers_on_a_grid_have_two_short_parts(
            value in prop_oneof![any_finite(), at_the_edge(), (-130..40i32).prop_flat_map(near_power)],
        ) {
            check(Grid::default(), value)?;
        }

        #[test]
        fn a_grid_has_the_values_it_is_made_for(
            values in (-1074..970i32).prop_flat_map(|power| proptest::collection::vec(near_power(power), 0..20)),
        ) {
            match Grid::of(values.iter().copied()) {
                Some(grid) => {
                    prop_assert!(grid.has_all(&values));
                    values.iter().try_for_each(|&value| check(grid, value))?;
                }
                None => prop_assert!(values.iter().any(|value| !(1e-240..1e270).contains(&value.abs()) && *value != 0.0)),
            }
        }
    }
}
