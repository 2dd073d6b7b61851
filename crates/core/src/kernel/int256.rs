//! The subset of 256-bit integers needed for exact variances.

/// A non-negative integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct U256 {
    high: u128,
    low: u128,
}

impl U256 {
    /// Σ term · 2^shift, for shifts below 128; the sum must not be negative.
    #[inline]
    pub(super) fn sum(terms: [(i128, u32); 3]) -> Self {
        let mut sum = Self { high: 0, low: 0 };
        for (term, shift) in terms {
            let (low, carry) = sum.low.overflowing_add((term as u128) << shift);
            // The bits shifted out at the top, including the sign; in two steps, as a shift by 128 would overflow.
            let high = term >> (127 - shift) >> 1;
            sum = Self { high: sum.high.wrapping_add(high as u128).wrapping_add(u128::from(carry)), low };
        }
        sum
    }

    /// This divided by `divisor`, as `quotient` · 2^`exponent` with at least 61 bits; the last one is set if others were cut off, so that
    /// it rounds like the exact quotient.
    #[inline]
    pub(super) fn divided(self, divisor: u64) -> (u64, i32) {
        let bits = match self.high {
            0 => 128 - self.low.leading_zeros() as i32,
            high => 256 - high.leading_zeros() as i32,
        };
        // Shifted so that the quotient has 62 or 63 bits.
        let exponent = bits - 62 - (64 - divisor.leading_zeros() as i32);
        let (dividend, is_cut) = self.shifted_down(exponent);
        let quotient = (dividend / u128::from(divisor)) as u64;
        let is_inexact = is_cut || u128::from(quotient) * u128::from(divisor) != dividend;
        (quotient | u64::from(is_inexact), exponent)
    }

    /// This divided by 2^`shift`, if that has at most 128 bits, and whether bits were lost.
    #[inline]
    fn shifted_down(self, shift: i32) -> (u128, bool) {
        let Self { high, low } = self;
        match shift {
            ..=0 => (low << -shift, false),
            1..128 => (high << (128 - shift) | low >> shift, low << (128 - shift) != 0),
            128 => (high, low != 0),
            _ => (high >> (shift - 128), low != 0 || high << (256 - shift) != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    fn big(number: U256) -> BigInt {
        (BigInt::from(number.high) << 128) + number.low
    }

    proptest! {
        #[test]
        fn sums_are_those_of_big_integers(terms in any::<[(i64, u64); 3]>(), shifts in [0..128u32, 0..128, 0..128]) {
            let terms: [_; 3] = std::array::from_fn(|at| {
                let (high, low) = terms[at];
                (i128::from(high) << 62 | i128::from(low >> 2), shifts[at])
            });
            let exact: BigInt = terms.iter().map(|&(term, shift)| BigInt::from(term) << shift).sum();
            // If the sum is negative, negate all terms.
            let (terms, exact) = if exact < BigInt::ZERO { (terms.map(|(t, s)| (-t, s)), -exact) } else { (terms, exact) };
            prop_assert_eq!(big(U256::sum(terms)), exact);
        }

        #[test]
        fn quotients_are_rounded_by_their_last_bit(
            high in any::<u128>(), low in any::<u128>(), drop in 0..256u32, divisor in any::<u64>(), few in 0..64u32,
        ) {
            let divisor = (divisor >> few).max(1);
            let (high, low) = if drop < 128 { (high >> drop, low) } else { (0, low >> (drop - 128)) };
            let number = U256 { high, low };
            let (quotient, exponent) = number.divided(divisor);
            if (high, low) == (0, 0) {
                prop_assert_eq!(quotient, 0);
                return Ok(());
            }
            prop_assert!(quotient >> 61 != 0 && quotient >> 63 == 0);
            // floor(2·N / (d·2^e)) / 2; an odd result represents anything up to the next even one.
            let (numerator, denominator) = match exponent {
                0.. => (big(number), BigInt::from(divisor) << exponent),
                _ => (big(number) << -exponent, BigInt::from(divisor)),
            };
            let (floor, rest) = (&numerator / &denominator, &numerator % &denominator);
            let expected = if rest == BigInt::ZERO { floor } else { floor | BigInt::from(1) };
            prop_assert_eq!(BigInt::from(quotient), expected);
        }
    }
}
