//! Timestamps of line protocol, parsed eight digits at a time.

const ONES: u64 = 0x0101_0101_0101_0101;

/// The integer at `start` of `text`, with an optional minus, and the position after it. `None` if there is none, or if it has more than
/// eighteen digits and does not fit.
#[inline]
pub(super) fn integer(text: &[u8], start: usize) -> Option<(i64, usize)> {
    let is_negative = text.get(start) == Some(&b'-');
    let first = start + usize::from(is_negative);
    let (mut at, mut value) = (first, 0i64);
    while at < first + 16
        && let Some(eight) = text.get(at..at + 8).and_then(eight_digits)
    {
        value = value * 100_000_000 + eight;
        at += 8;
    }
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
        at += 1;
    }
    (at > first).then_some((if is_negative { -value } else { value }, at))
}

/// The value of eight bytes if all are digits: combined to pairs, then fours, then eight (Lemire, "Number parsing at a gigabyte per
/// second", 2021).
#[inline]
fn eight_digits(bytes: &[u8]) -> Option<i64> {
    let digits = u64::from_le_bytes(bytes.try_into().ok()?) ^ (ONES * u64::from(b'0'));
    if (digits.wrapping_add(ONES * 0x76) | digits) & (ONES << 7) != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let odd = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    Some((even.wrapping_add(odd) >> 32) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_are_those_of_the_language(before in "[0-9a-]{0,3}", text in "-?[0-9]{0,20}", after in "([, /:a].{0,3})?") {
            let all = [before.as_bytes(), text.as_bytes(), after.as_bytes()].concat();
            let length = text.len() + after.bytes().take_while(u8::is_ascii_digit).count();
            let expected: Option<i64> = std::str::from_utf8(&all[before.len()..before.len() + length]).expect("text").parse().ok();
            let got = integer(&all, before.len());
            prop_assert!(got.is_none() || got == expected.map(|value| (value, before.len() + length)));
            // All but the smallest one.
            prop_assert!(got.is_some() || expected.is_none_or(|value| value == i64::MIN));
        }
    }
}
