//! The subset of big integers needed for exact variances: operations skip limbs of zeros, of which ordinary values have many.

use super::wide::{Wide, borrowing};

/// The limbs kept from the top of a number: after two divisions by 64 bits they still exceed the precision of a float.
const TOP: usize = 4;

/// An unsigned integer, least significant limb first, followed below by `start` limbs of zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Magnitude {
    limbs: Vec<u64>,
    start: usize,
}

impl Magnitude {
    /// Without zero limbs at both ends.
    fn trimmed(limbs: &[u64], start: usize) -> Self {
        let is_set = |limb: &u64| *limb != 0;
        let first = limbs.iter().position(is_set).unwrap_or(limbs.len());
        let end = limbs.iter().rposition(is_set).map_or(first, |last| last + 1);
        Self { limbs: limbs[first..end].to_vec(), start: start + first }
    }

    /// The absolute value of a wide number.
    pub(super) fn of(wide: &Wide) -> Self {
        match wide.is_negative() {
            false => Self::trimmed(wide.limbs(), 0),
            true => Self::trimmed(&wide.magnitude().1, 0),
        }
    }

    /// `units` · 2^`shift`.
    pub(super) fn from_units(units: u128, shift: u32) -> Self {
        let (start, bits) = ((shift / 64) as usize, shift % 64);
        let low = units << bits;
        let high = if bits == 0 { 0 } else { (units >> (128 - bits)) as u64 };
        Self::trimmed(&[low as u64, (low >> 64) as u64, high], start)
    }

    /// The product with `factor`.
    pub(super) fn times(&self, factor: u64) -> Self {
        let mut carry = 0u128;
        let step = |&limb: &u64| {
            carry += u128::from(limb) * u128::from(factor);
            let limb = carry as u64;
            carry >>= 64;
            limb
        };
        let mut limbs: Vec<u64> = self.limbs.iter().map(step).collect();
        limbs.push(carry as u64);
        Self { limbs, start: self.start }
    }

    /// The square.
    pub(super) fn squared(&self) -> Self {
        let length = self.limbs.len();
        let mut limbs = vec![0; 2 * length];
        for (at, &x) in self.limbs.iter().enumerate() {
            let mut carry = 0;
            for (place, &y) in limbs[at..].iter_mut().zip(&self.limbs) {
                let sum = u128::from(x) * u128::from(y) + u128::from(*place) + carry;
                *place = sum as u64;
                carry = sum >> 64;
            }
            limbs[at + length] = carry as u64;
        }
        Self { limbs, start: 2 * self.start }
    }

    /// The difference with `other`, which is not greater.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let start = self.start.min(other.start);
        let end = self.end().max(other.end());
        let mut borrow = false;
        let mut step = |place: usize| {
            let (difference, next) = borrowing(self.limb(place), other.limb(place), borrow);
            borrow = next;
            difference
        };
        Self { limbs: (start..end).map(&mut step).collect(), start }
    }

    fn end(&self) -> usize {
        self.start + self.limbs.len()
    }

    /// The limb at a position, counting zero limbs at the lower end.
    fn limb(&self, place: usize) -> u64 {
        place.checked_sub(self.start).and_then(|at| self.limbs.get(at)).copied().unwrap_or(0)
    }

    /// Its highest limbs, and the number of limbs below them (negative if it is short); the last bit is set if any of those is not zero, so
    /// that it rounds like the whole number. `None` for zero.
    pub(super) fn top(&self) -> Option<([u64; TOP], i32)> {
        let last = self.limbs.iter().rposition(|&limb| limb != 0)?;
        let (rest, top) = self.limbs[..=last].split_at((last + 1).saturating_sub(TOP));
        let mut limbs = [0; TOP];
        limbs[TOP - top.len()..].copy_from_slice(top);
        limbs[0] |= u64::from(rest.iter().any(|&limb| limb != 0));
        Some((limbs, (self.start + last + 1) as i32 - TOP as i32))
    }
}

/// Divides `limbs` by `divisor` in place; returns whether there was a remainder.
pub(super) fn divide(limbs: &mut [u64], divisor: u64) -> bool {
    let mut remainder = 0u128;
    for limb in limbs.iter_mut().rev() {
        let part = remainder << 64 | u128::from(*limb);
        *limb = (part / u128::from(divisor)) as u64;
        remainder = part % u128::from(divisor);
    }
    remainder != 0
}

#[cfg(test)]
mod tests {
    use num_bigint::{BigInt, BigUint};
    use proptest::prelude::*;

    use super::*;

    fn big(number: &Magnitude) -> BigInt {
        let limbs = number.limbs.iter().flat_map(|limb| [*limb as u32, (limb >> 32) as u32]).collect();
        BigInt::from(BigUint::new(limbs)) << (64 * number.start)
    }

    /// Numbers with zeros at either end and in the middle.
    fn any_magnitude() -> impl Strategy<Value = Magnitude> {
        let limb = prop_oneof![2 => any::<u64>(), 1 => Just(0), 1 => Just(u64::MAX)];
        (proptest::collection::vec(limb, 0..9), 0..5usize)
            .prop_map(|(limbs, start)| Magnitude::trimmed(&limbs, start))
    }

    proptest! {
        #[test]
        fn products_and_differences_are_those_of_big_integers(a in any_magnitude(), b in any_magnitude(), factor in any::<u64>()) {
            prop_assert_eq!(big(&a.times(factor)), big(&a) * factor);
            prop_assert_eq!(big(&a.squared()), big(&a) * big(&a));
            let (more, less) = if big(&a) < big(&b) { (b, a) } else { (a, b) };
            prop_assert_eq!(big(&more.minus(&less)), big(&more) - big(&less));
        }

        #[test]
        fn units_are_shifted(units in any::<u128>(), few in 0..128u32, shift in 0..300u32) {
            prop_assert_eq!(big(&Magnitude::from_units(units >> few, shift)), BigInt::from(units >> few) << shift);
        }

        #[test]
        fn the_top_rounds_as_the_whole_does(number in any_magnitude(), divisor in 1..u64::MAX) {
            let Some((mut top, below)) = number.top() else {
                prop_assert_eq!(big(&number), BigInt::ZERO);
                return Ok(());
            };
            let is_inexact = divide(&mut top, divisor);
            top[0] |= u64::from(is_inexact);
            let top = big(&Magnitude { limbs: top.to_vec(), start: 0 });
            // In units of the top's last bit: the floor, with an odd last bit if it is inexact.
            let (dividend, divisor) = match below {
                0.. => (big(&number), BigInt::from(divisor) << (64 * below)),
                _ => (big(&number) << (-64 * below), BigInt::from(divisor)),
            };
            let (floor, rest) = (&dividend / &divisor, &dividend % &divisor);
            prop_assert_eq!(top, if rest == BigInt::ZERO { floor } else { floor | BigInt::from(1) });
        }
    }
}
