//! Exact sums (clause 16): values are added and removed without rounding; only the result is rounded, once. So a sum depends only on its
//! values, not on its history.

use serde::{Deserialize, Serialize};

use super::magnitude::{Magnitude, divide};
use super::root::root;
use super::wide::{SQUARE_LIMBS, SUM_LIMBS, Wide, decompose, round};

/// Free bits below the first value, for smaller values that follow.
const ROOM_BELOW: i32 = 40;
/// The maximum left shift of a value: 53 + 70 bits leave room for the sign and carries, which are checked.
const MAX_SHIFT: i32 = 70;
/// The exponents of the last bit of the smallest subnormal and of the largest number.
const LEAST_EXPONENT: i32 = -1074;
const GREATEST_EXPONENT: i32 = 971;
/// The exponent of an empty sum.
const UNSET: i32 = i32::MAX;

/// An exact sum of finite `f64`s.
///
/// Ordinary values lie within 100 powers of two: their sum is an `i128` in units of `2^exponent`. A value outside that range converts it to
/// a wide sum, until [`ExactSum::rebuild`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "SavedSum")]
pub struct ExactSum {
    narrow: i128,
    exponent: i32,
    wide: Option<Box<Wide>>,
}

/// The serialised form of a sum; validated when it is read.
#[derive(Deserialize)]
struct SavedSum {
    narrow: i128,
    exponent: i32,
    wide: Option<Box<Wide>>,
}

impl TryFrom<SavedSum> for ExactSum {
    type Error = &'static str;

    fn try_from(SavedSum { narrow, exponent, wide }: SavedSum) -> Result<Self, Self::Error> {
        let is_unit = (LEAST_EXPONENT - ROOM_BELOW..=GREATEST_EXPONENT).contains(&exponent);
        if !is_unit && (exponent, narrow) != (UNSET, 0) {
            return Err("the unit of a sum is out of range");
        }
        match wide.as_ref().is_none_or(|wide| wide.has(SUM_LIMBS)) {
            true => Ok(Self { narrow, exponent, wide }),
            false => Err("a sum has the wrong number of limbs"),
        }
    }
}

impl Default for ExactSum {
    fn default() -> Self {
        Self::new()
    }
}

impl ExactSum {
    /// An empty sum.
    pub const fn new() -> Self {
        Self { narrow: 0, exponent: UNSET, wide: None }
    }

    /// A sum of `units` · 2^`exponent`.
    pub(super) const fn from_units(units: i128, exponent: i32) -> Self {
        Self { narrow: units, exponent, wide: None }
    }

    /// Adds a 64-bit integer.
    pub fn add_integer(&mut self, value: i128) {
        let (high, low) = halves(value);
        self.add(high as f64 * 4_294_967_296.0);
        self.add(low as f64);
    }

    /// Adds a finite value.
    pub fn add(&mut self, value: f64) {
        debug_assert!(value.is_finite(), "{value} cannot be summed exactly");
        let (is_negative, mantissa, exponent) = decompose(value);
        if mantissa == 0 {
            return;
        }
        if let Some(wide) = &mut self.wide {
            return wide.add(u128::from(mantissa), (exponent + 1074) as u32, is_negative);
        }
        if self.exponent == UNSET {
            self.exponent = exponent - ROOM_BELOW;
        }
        let term = if is_negative { -i128::from(mantissa) } else { i128::from(mantissa) };
        let shift = exponent - self.exponent;
        let sum = (0..=MAX_SHIFT).contains(&shift).then(|| self.narrow.checked_add(term << shift)).flatten();
        match sum {
            Some(sum) => self.narrow = sum,
            None => self.widen().add(u128::from(mantissa), (exponent + 1074) as u32, is_negative),
        }
    }

    /// Removes a value that was added before.
    pub fn remove(&mut self, value: f64) {
        self.add(-value);
    }

    /// Adds the values of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.wide.is_none() && other.narrow == 0 {
            return;
        }
        match self.narrow_merge(other) {
            Some(merged) => *self = merged,
            None => self.widen().add_wide(&other.as_wide()),
        }
    }

    /// The sum of both if both are narrow and the result is too: in the finer of the two units.
    fn narrow_merge(&self, other: &Self) -> Option<Self> {
        if self.is_wide() || other.is_wide() {
            return None;
        }
        if self.narrow == 0 {
            return Some(other.clone());
        }
        let exponent = self.exponent.min(other.exponent);
        let in_unit = |sum: &Self| {
            let shift = u32::try_from(sum.exponent - exponent).ok().filter(|&shift| shift < 127)?;
            sum.narrow.checked_mul(1 << shift)
        };
        let narrow = in_unit(self)?.checked_add(in_unit(other)?)?;
        Some(Self { narrow, exponent, wide: None })
    }

    /// Whether a value outside the ordinary range made it wide, and therefore slower.
    pub fn is_wide(&self) -> bool {
        self.wide.is_some()
    }

    /// Replaces its content by `values`, in a unit that suits them; it is wide only if they require it.
    pub fn rebuild(&mut self, values: impl Iterator<Item = f64> + Clone) {
        let least = values.clone().filter(|&value| value != 0.0).map(|value| decompose(value).2).min();
        *self = Self { exponent: least.unwrap_or(UNSET), ..Self::new() };
        values.for_each(|value| self.add(value));
    }

    /// The correctly rounded sum: the nearest `f64`, ties to even (as Python's `math.fsum`); +0 for an empty sum; infinite on overflow.
    pub fn round(&self) -> f64 {
        self.round_scaled(0)
    }

    /// The correctly rounded quotient of the sum and `count`. The sum itself never overflows: the result is infinite only if the mean is
    /// too large.
    pub fn mean(&self, count: u64) -> f64 {
        let sum = self.round();
        if sum.is_finite() {
            return sum / count as f64;
        }
        self.round_scaled(-128) / count as f64 * 2f64.powi(128)
    }

    /// sum · 2^power, correctly rounded, for sums far from the subnormals.
    fn round_scaled(&self, power: i32) -> f64 {
        let (is_negative, rounded) = match &self.wide {
            Some(wide) => {
                let (is_negative, magnitude) = wide.magnitude();
                (is_negative, round(&magnitude, -1074 + power))
            }
            None if self.narrow == 0 => return 0.0,
            // The conversion is correctly rounded, and scaling by a power of two is exact within the normal range.
            None if (-1000..800).contains(&(self.exponent + power)) => {
                let scale = f64::from_bits(((self.exponent + power + 1023) as u64) << 52);
                return self.narrow as f64 * scale;
            }
            None => {
                let magnitude = self.narrow.unsigned_abs();
                let limbs = [magnitude as u64, (magnitude >> 64) as u64];
                (self.narrow < 0, round(&limbs, self.exponent + power))
            }
        };
        if is_negative { -rounded } else { rounded }
    }

    fn widen(&mut self) -> &mut Wide {
        let wide = self.as_wide();
        self.wide.insert(Box::new(wide))
    }

    /// Its absolute value, in units of 2^−1074.
    fn magnitude(&self) -> Magnitude {
        match &self.wide {
            Some(wide) => Magnitude::of(wide),
            None => {
                let (magnitude, shift) = self.narrow_units();
                Magnitude::from_units(magnitude, shift)
            }
        }
    }

    /// The absolute value of the narrow sum, and the left shift that converts it to units of 2^−1074.
    fn narrow_units(&self) -> (u128, u32) {
        if self.narrow == 0 {
            return (0, 0);
        }
        // Units below the smallest subnormal have no bits set: every value is a multiple of 2^−1074.
        let (magnitude, shift) = (self.narrow.unsigned_abs(), self.exponent + 1074);
        if shift < 0 { (magnitude >> -shift, 0) } else { (magnitude, shift as u32) }
    }

    fn as_wide(&self) -> Wide {
        if let Some(wide) = &self.wide {
            return (**wide).clone();
        }
        let mut wide = Wide::zero(SUM_LIMBS);
        let (magnitude, shift) = self.narrow_units();
        wide.add(magnitude, shift, self.narrow < 0);
        wide
    }
}

/// An exact sum of the squares of finite `f64`s.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Wide")]
pub struct ExactSquares(Wide);

impl TryFrom<Wide> for ExactSquares {
    type Error = &'static str;

    fn try_from(wide: Wide) -> Result<Self, Self::Error> {
        if wide.has(SQUARE_LIMBS) {
            Ok(Self(wide))
        } else {
            Err("a sum of squares has the wrong number of limbs")
        }
    }
}

impl Default for ExactSquares {
    fn default() -> Self {
        Self::new()
    }
}

impl ExactSquares {
    /// An empty sum.
    pub fn new() -> Self {
        Self(Wide::zero(SQUARE_LIMBS))
    }

    /// Adds `value²`, exactly.
    pub fn add(&mut self, value: f64) {
        self.change(value, false);
    }

    /// Removes the square of a value that was added before.
    pub fn remove(&mut self, value: f64) {
        self.change(value, true);
    }

    /// Adds the square of a 64-bit integer, exactly.
    pub fn add_integer(&mut self, value: i128) {
        let (high, low) = halves(value);
        self.add_halves([high * high, high * low, low * low]);
    }

    /// Adds the squares of integers, given Σh², Σh·l and Σl² of their halves h·2^32 + l.
    pub(super) fn add_halves(&mut self, [high, mixed, low]: [i128; 3]) {
        self.add_units(high, 64);
        self.add_units(mixed, 33);
        self.add_units(low, 0);
    }

    /// Adds `units` · 2^`exponent`.
    pub(super) fn add_units(&mut self, units: i128, exponent: i32) {
        self.0.add(units.unsigned_abs(), (exponent + 2148) as u32, units < 0);
    }

    /// Adds the values of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.0.add_wide(&other.0);
    }

    fn change(&mut self, value: f64, is_negative: bool) {
        let (_, mantissa, exponent) = decompose(value);
        let square = u128::from(mantissa) * u128::from(mantissa);
        self.0.add(square, (2 * exponent + 2148) as u32, is_negative);
    }
}

/// Splits a 64-bit integer into high·2^32 + low, with low ≥ 0.
pub(super) fn halves(value: i128) -> (i128, i128) {
    (value >> 32, value & 0xffff_ffff)
}

/// The population deviation of `count` values: [`deviation`] with freedom 0.
pub fn population_deviation(sum: &ExactSum, squares: &ExactSquares, count: u64) -> f64 {
    deviation(sum, squares, count, 0)
}

/// The deviation of n = `count` values: √((n·Σx² − (Σx)²) / (n·(n − `freedom`))); the radicand is computed exactly and rounded once, and
/// the root is rounded once more. No intermediate result overflows. `freedom` is less than `count`.
pub fn deviation(sum: &ExactSum, squares: &ExactSquares, count: u64, freedom: u64) -> f64 {
    // In units of 2^−2148, those of squares.
    let spread = Magnitude::of(&squares.0).times(count).minus(&sum.magnitude().squared());
    let Some((mut top, limbs)) = spread.top() else { return 0.0 };
    let is_inexact = divide(&mut top, count) | divide(&mut top, count - freedom);
    top[0] |= u64::from(is_inexact);
    // Scaled by an even power of two to the middle of the range, so that rounding is not affected by the limits of the exponent.
    let variance = round(&top, -192);
    root(variance, (64 * limbs + 192 - 2148) / 2)
}

#[cfg(test)]
#[path = "exact_sum_tests.rs"]
mod tests;
