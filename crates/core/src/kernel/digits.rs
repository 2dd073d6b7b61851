//! Decimal digits, eight at a time.

/// Eight times the digit zero.
pub(crate) const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// The number that the eight bytes of `chunk` write, the first of them in its lowest byte; and whether all are digits, without which the
/// number means nothing.
///
/// Neighbours are joined to pairs, those to fours, and those to the eight, by one multiplication each: a step holds for all of them, as
/// no sum leaves its place.
#[inline(always)]
pub(crate) fn eight(chunk: u64) -> (u64, bool) {
    let digits = chunk ^ ZEROS;
    // A digit is 0 to 9 now: its high half is zero, also after 6 is added.
    let is_number = (digits | digits.wrapping_add(0x0606_0606_0606_0606)) & 0xf0f0_f0f0_f0f0_f0f0 == 0;
    let pairs = (digits.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000 << 32 | 1) >> 32, is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn eight_digits_are_the_number_that_the_language_parses(bytes in prop_oneof![
            proptest::collection::vec(b'0'..=b'9', 8),
            proptest::collection::vec(b'.'..=b';', 8),
            proptest::collection::vec(any::<u8>(), 8),
        ]) {
            let chunk = u64::from_le_bytes(bytes.clone().try_into().expect("eight"));
            let all = bytes.iter().all(u8::is_ascii_digit);
            let expected: Option<u64> = std::str::from_utf8(&bytes).ok().filter(|_| all).map(|text| text.parse().expect("digits"));
            let (value, is_number) = eight(chunk);
            prop_assert_eq!(is_number.then_some(value), expected);
        }
    }
}
