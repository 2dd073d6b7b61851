//! An integer times a power of ten, correctly rounded to `f64`.

/// The largest power of ten whose factor is a float: 10^22 = 2^22 · 5^22, and 5^22 is below 2^53.
const MAX_POWER: i32 = 22;

/// The powers of ten that f64 represents exactly.
const EXACT: [f64; MAX_POWER as usize + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Up to here, every integer is a float.
const INTEGERS: u64 = 1 << 53;

/// 5^−22 to 5^22, each as the upper and lower half of the 128 bits from its highest one on: those of positive powers are exact, those of negative ones rounded up.
const FIVES: [(u64, u64); 2 * MAX_POWER as usize + 1] = fives();

/// Bits of a mantissa behind the first one.
const MANTISSA: u32 = 52;

/// `mantissa` · 10^`power`, correctly rounded; `None` if `power` is not from −22 to 22.
///
/// The product or quotient of two floats that are exact is correctly rounded (Clinger, "How to read floating point numbers accurately", 1990). Larger integers are multiplied
/// by 128 bits of the power of five, which decides in all these cases (Lemire, "Number parsing at a gigabyte per second", 2021, sections 6 to 8).
#[inline]
pub(super) fn scaled(mantissa: u64, power: i32) -> Option<f64> {
    let ten = EXACT.get(power.unsigned_abs() as usize)?;
    Some(match (mantissa <= INTEGERS, power) {
        (true, ..0) => mantissa as f64 / ten,
        (true, _) => mantissa as f64 * ten,
        (false, _) => by_five(mantissa, power),
    })
}

/// The same for an integer that may not be a float, and is not 0.
fn by_five(mantissa: u64, power: i32) -> f64 {
    let shift = mantissa.leading_zeros();
    let (high, low) = product(mantissa << shift, FIVES[(power + MAX_POWER) as usize]);
    // Two bits behind the mantissa are kept, or one: the product of two numbers has 127 or 128 bits.
    let upper = (high >> 63) as u32;
    let dropped = upper + 64 - MANTISSA - 3;
    let mut kept = high >> dropped;
    // Exactly between two floats, which only short powers can be, the even one is nearest.
    let is_between = low <= 1 && (-4..=23).contains(&power) && kept & 3 == 1 && kept << dropped == high;
    kept = if is_between { kept & !1 } else { kept };
    let mut rounded = (kept + (kept & 1)) >> 1;
    // floor(log2(10^power)), by 217706 / 2^16 for log2(10).
    let mut exponent = ((power * 217_706) >> 16) + 63 + 1023 + upper as i32 - shift as i32;
    if rounded >= 2 << MANTISSA {
        (rounded, exponent) = (1 << MANTISSA, exponent + 1);
    }
    f64::from_bits((rounded & ((1 << MANTISSA) - 1)) | (exponent as u64) << MANTISSA)
}

/// The upper 128 bits of `factor` times 128 bits, as upper and lower half: the lower half of those counts only where the upper one does not decide.
#[inline]
fn product(factor: u64, (upper, lower): (u64, u64)) -> (u64, u64) {
    const UNDECIDED: u64 = u64::MAX >> (MANTISSA + 3);
    let wide = u128::from(factor) * u128::from(upper);
    let wide = match (wide >> 64) as u64 & UNDECIDED {
        UNDECIDED => wide + ((u128::from(factor) * u128::from(lower)) >> 64),
        _ => wide,
    };
    ((wide >> 64) as u64, wide as u64)
}

const fn fives() -> [(u64, u64); 2 * MAX_POWER as usize + 1] {
    let mut all = [(0, 0); 2 * MAX_POWER as usize + 1];
    let (mut power, mut five) = (0, 1_u128);
    while power <= MAX_POWER as usize {
        all[MAX_POWER as usize + power] = halves(five << five.leading_zeros());
        all[MAX_POWER as usize - power] = halves(if power == 0 { 1 << 127 } else { reciprocal(five) });
        (power, five) = (power + 1, five * 5);
    }
    all
}

const fn halves(bits: u128) -> (u64, u64) {
    ((bits >> 64) as u64, bits as u64)
}

/// The 128 bits of 1 / `divisor` from the highest one on, rounded up: by long division, one bit at a time.
const fn reciprocal(divisor: u128) -> u128 {
    let (mut quotient, mut rest) = (0_u128, 1_u128);
    while quotient >> 127 == 0 {
        rest <<= 1;
        quotient <<= 1;
        if rest >= divisor {
            (rest, quotient) = (rest - divisor, quotient | 1);
        }
    }
    quotient + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(mantissa: u64, power: i32) -> Result<(), TestCaseError> {
        let expected: f64 = format!("{mantissa}e{power}").parse().expect("a number");
        prop_assert_eq!(
            scaled(mantissa, power).map(f64::to_bits),
            Some(expected.to_bits()),
            "{}e{}",
            mantissa,
            power
        );
        Ok(())
    }

    #[test]
    fn clause_3_integers_beside_and_between_floats_are_rounded_as_the_language_does() {
        let bounds = [
            INTEGERS - 1,
            INTEGERS,
            INTEGERS + 1,
            INTEGERS + 2,
            INTEGERS + 3,
            u64::MAX - 1,
            u64::MAX,
            1 << 63,
            (1 << 63) + 1024,
        ];
        let fives = (0..28).map(|power| 5_u64.pow(power));
        let near = |number: u64| [number.saturating_sub(1), number, number.saturating_add(1)];
        let tens = (0..20).map(|power| 10_u64.pow(power));
        for mantissa in bounds.into_iter().chain(fives).chain(tens).flat_map(near) {
            (-MAX_POWER..=MAX_POWER).try_for_each(|power| check(mantissa, power)).expect("as the language");
        }
    }

    proptest! {
        #[test]
        fn clause_3_scaled_integers_are_rounded_as_the_language_does(mantissa in any::<u64>(), bits in 0..64u32, power in -MAX_POWER..=MAX_POWER) {
            check(mantissa >> bits, power)?;
        }

        #[test]
        fn clause_3_halfway_between_floats_the_even_one_is_taken(float in (1_u64 << 52)..(1 << 53), shift in 1..11u32, fives in 0..5u32, off in -1..2i64) {
            // Divided by 10^fives, that is half of the way between two floats too.
            let half = ((u128::from(float) * 2 + 1) << (shift - 1)) * 5_u128.pow(fives);
            if let Ok(mantissa) = u64::try_from(half) {
                for power in [0, -(fives as i32)] {
                    check(mantissa.saturating_add_signed(off), power)?;
                }
            }
        }
    }
}
