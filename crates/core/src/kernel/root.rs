//! The square root, rounded once over the whole range.

use super::wide::decompose;

/// √`square` · 2^`power`, correctly rounded: also for subnormal results, where rounding the root and then shifting it would round twice.
pub(super) fn root(square: f64, power: i32) -> f64 {
    let (root, halves) = (square.sqrt(), [power / 2, power - power / 2]);
    let rounded = halves.iter().fold(root, |root, &half| root * 2f64.powi(half));
    if rounded >= 2.0 * f64::MIN_POSITIVE || square == 0.0 {
        return rounded;
    }
    let (_, mantissa, exponent) = decompose(square);
    // In units of the smallest subnormal number.
    f64::from_bits(integer_root(mantissa, exponent + 2 * power + 2 * 1074))
}

/// √(`mantissa` · 2^`shift`) rounded to an integer, ties to even; for roots of at most 2^54.
fn integer_root(mantissa: u64, shift: i32) -> u64 {
    // Scaled by four, the square of the next half-integer is an integer too.
    let (floor, rounds_up) = match shift {
        0.. => {
            let square = u128::from(mantissa) << shift;
            let floor = square.isqrt();
            (floor, square > floor * floor + floor)
        }
        // Less than a half.
        ..-60 => (0, false),
        _ => {
            let floor = u128::from(mantissa >> -shift).isqrt();
            let half = (2 * floor + 1).pow(2) << -shift;
            let square = u128::from(mantissa) << 2;
            (floor, square > half || square == half && floor % 2 == 1)
        }
    };
    (floor + u128::from(rounds_up)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_go_to_the_even_number() {
        // √(1/4), √(9/4), √(25/4).
        assert_eq!([1, 9, 25].map(|square| integer_root(square, -2)), [0, 2, 2]);
        assert_eq!([2, 3].map(|square| integer_root(square, -2)), [1, 1]);
        assert_eq!([0, 1, 2, 3, 6, 7].map(|square| integer_root(square, 0)), [0, 1, 1, 2, 2, 3]);
        assert_eq!(integer_root(u64::MAX >> 11, -200), 0);
    }

    #[test]
    fn a_root_that_is_no_subnormal_number_is_scaled() {
        assert_eq!(root(4.0, 10), 2048.0);
        assert_eq!(root(4.0, -1023), f64::MIN_POSITIVE);
        assert_eq!(root(1.0, -1074), f64::from_bits(1));
        assert_eq!(root(0.0, 5), 0.0);
        assert_eq!(root(4.0, 1023), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn an_integer_root_is_the_nearest_integer(mantissa in 0..1u64 << 53, shift in -60..50i32) {
            let root = u128::from(integer_root(mantissa, shift));
            // (2·root ± 1)² · 2^shift enclose 4 · mantissa.
            let (up, down) = (shift.max(0) as u32, (-shift).max(0) as u32);
            let four = u128::from(mantissa) << (2 + up);
            prop_assert!(four <= (2 * root + 1).pow(2) << down);
            prop_assert!(root == 0 || four >= (2 * root - 1).pow(2) << down);
        }
    }
}
