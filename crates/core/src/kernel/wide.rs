//! A wide fixed-point number that holds any sum of `f64`s, or of their squares, exactly: the
//! superaccumulator (Kulisch, "Very fast and exact accumulation of products", 2011).

use serde::{Deserialize, Serialize};

/// Limbs for sums of `f64`: 2^−1074 … 2^1024, a sign and 77 bits for carries.
pub(super) const SUM_LIMBS: usize = 34;
/// Limbs for sums of squares: 2^−2148 … 2^2048, a sign and 91 bits for carries.
pub(super) const SQUARE_LIMBS: usize = 67;

/// An integer in two's complement, least significant limb first. The caller defines its unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub(super) struct Wide(Box<[u64]>);

impl TryFrom<Vec<u64>> for Wide {
    type Error = &'static str;

    fn try_from(limbs: Vec<u64>) -> Result<Self, Self::Error> {
        match limbs.len() {
            SUM_LIMBS | SQUARE_LIMBS => Ok(Self(limbs.into())),
            _ => Err("a wide sum has a fixed number of limbs"),
        }
    }
}

impl From<Wide> for Vec<u64> {
    fn from(wide: Wide) -> Self {
        wide.0.into()
    }
}

impl Wide {
    pub(super) fn zero(limbs: usize) -> Self {
        Self(vec![0; limbs].into())
    }

    /// Whether it has this many limbs.
    pub(super) fn has(&self, limbs: usize) -> bool {
        self.0.len() == limbs
    }

    /// Adds `magnitude · 2^shift`, or subtracts it.
    pub(super) fn add(&mut self, magnitude: u128, shift: u32, is_negative: bool) {
        let (first, bits) = ((shift / 64) as usize, shift % 64);
        let low = magnitude << bits;
        let high = if bits == 0 { 0 } else { (magnitude >> (128 - bits)) as u64 };
        let terms = [low as u64, (low >> 64) as u64, high];
        let mut carry = false;
        for (at, limb) in self.0[first..].iter_mut().enumerate() {
            let term = terms.get(at).copied().unwrap_or(0);
            if at >= terms.len() && !carry {
                break;
            }
            (*limb, carry) =
                if is_negative { borrowing(*limb, term, carry) } else { carrying(*limb, term, carry) };
        }
    }

    /// Adds another number with the same number of limbs.
    pub(super) fn add_wide(&mut self, other: &Self) {
        let mut carry = false;
        for (limb, &term) in self.0.iter_mut().zip(&other.0) {
            (*limb, carry) = carrying(*limb, term, carry);
        }
    }

    /// Least significant first.
    pub(super) fn limbs(&self) -> &[u64] {
        &self.0
    }

    /// Whether it is negative.
    pub(super) fn is_negative(&self) -> bool {
        self.0.last().is_some_and(|&top| top >> 63 == 1)
    }

    /// Whether it is negative, and its absolute value.
    pub(super) fn magnitude(&self) -> (bool, Vec<u64>) {
        let is_negative = self.is_negative();
        let mut limbs = self.0.to_vec();
        if is_negative {
            let mut carry = true;
            for limb in &mut limbs {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        (is_negative, limbs)
    }
}

fn carrying(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first || second)
}

pub(super) fn borrowing(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = a.overflowing_sub(b);
    let (difference, second) = difference.overflowing_sub(u64::from(borrow));
    (difference, first || second)
}

/// A finite `f64` as sign, integer and power of two: `x = ±mantissa · 2^exponent`, −1074 ≤ exponent ≤ 971.
pub(super) fn decompose(x: f64) -> (bool, u64, i32) {
    let bits = x.to_bits();
    let (biased, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    let is_negative = bits >> 63 == 1;
    if biased == 0 {
        (is_negative, fraction, -1074)
    } else {
        (is_negative, fraction | 1 << 52, biased - 1075)
    }
}

/// The `f64` nearest to `magnitude · 2^exponent`, ties to even; infinity on overflow.
pub(super) fn round(magnitude: &[u64], exponent: i32) -> f64 {
    let Some(top) = magnitude.iter().rposition(|&limb| limb != 0) else { return 0.0 };
    let highest = top as i32 * 64 + 63 - magnitude[top].leading_zeros() as i32;
    // The weight of the result's last bit: 53 bits below the highest, but not below the smallest subnormal.
    let last = (exponent + highest - 52).max(-1074);
    let dropped = last - exponent;
    let mut mantissa = if dropped <= 0 {
        bits_from(magnitude, 0) << -dropped
    } else {
        let dropped = dropped as usize;
        let kept = if dropped > highest as usize { 0 } else { bits_from(magnitude, dropped) };
        kept + u64::from(rounds_up(magnitude, dropped, kept & 1 == 1))
    };
    let mut last = last;
    if mantissa >> 53 != 0 {
        mantissa >>= 1;
        last += 1;
    }
    match mantissa >> 52 {
        _ if last > 971 => f64::INFINITY,
        0 => f64::from_bits(mantissa),
        _ => f64::from_bits(((last + 1075) as u64) << 52 | mantissa & ((1 << 52) - 1)),
    }
}

/// The 64 bits from bit `from` upwards.
fn bits_from(magnitude: &[u64], from: usize) -> u64 {
    let (limb, bit) = (from / 64, from % 64);
    let low = magnitude[limb] >> bit;
    let high = magnitude.get(limb + 1).map_or(0, |next| if bit == 0 { 0 } else { next << (64 - bit) });
    low | high
}

/// Whether dropping the lowest `dropped` bits rounds up: above one half, or exactly one half and `is_odd`.
fn rounds_up(magnitude: &[u64], dropped: usize, is_odd: bool) -> bool {
    let half = dropped - 1;
    let (limb, bit) = (half / 64, half % 64);
    let Some(&at_half) = magnitude.get(limb) else { return false };
    let below = at_half & ((1 << bit) - 1) != 0 || magnitude[..limb].iter().any(|&limb| limb != 0);
    at_half >> bit & 1 == 1 && (below || is_odd)
}
