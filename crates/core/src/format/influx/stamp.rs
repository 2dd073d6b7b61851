//! Timestamps of line protocol, parsed eight digits at a time.

use crate::kernel::digits::{ZEROS, eight};

/// The integer at `start` of `text`, and the position after it, as [`integer`]; fast if it has `digits` digits and ends a line.
#[inline]
pub(super) fn time_of(text: &[u8], start: usize, digits: usize) -> Option<(i64, usize)> {
    let end = start + digits;
    let expected = (text.get(end) == Some(&b'\n')).then(|| of_16_to_19(&text[start..end])).flatten();
    match expected {
        Some(value) => Some((value, end)),
        None => integer(text, start),
    }
}

/// The value of 16 to 19 digits, which are times in microseconds or nanoseconds; `None` if `text` is anything else, or does not fit.
#[inline]
fn of_16_to_19(text: &[u8]) -> Option<i64> {
    let (head, low) = text.split_last_chunk()?;
    let (head, middle) = head.split_last_chunk()?;
    let top = head.iter().fold(ZEROS, |chunk, &byte| chunk >> 8 | u64::from(byte) << 56);
    let [top, middle, low] = [top, u64::from_le_bytes(*middle), u64::from_le_bytes(*low)].map(eight);
    let is_number = top.1 & middle.1 & low.1 & (head.len() <= 3);
    let value = (top.0 * 100_000_000 + middle.0).checked_mul(100_000_000)?.checked_add(low.0)?;
    i64::try_from(value).ok().filter(|_| is_number)
}

/// The integer at `start` of `text`, with an optional minus, and the position after it. `None` if there is none, or if it has more
/// than eighteen digits and does not fit.
#[inline]
fn integer(text: &[u8], start: usize) -> Option<(i64, usize)> {
    let is_negative = text.get(start) == Some(&b'-');
    let first = start + usize::from(is_negative);
    let (mut at, mut value) = (first, 0i64);
    while at < first + 16
        && let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk)
        && let (eight, true) = eight(u64::from_le_bytes(*bytes))
    {
        value = value * 100_000_000 + eight as i64;
        at += 8;
    }
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
        at += 1;
    }
    (at > first).then_some((if is_negative { -value } else { value }, at))
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
            for digits in 0..22 {
                prop_assert_eq!(time_of(&all, before.len(), digits), got, "{} digits expected", digits);
            }
        }

        #[test]
        fn times_at_the_end_of_a_line_are_those_of_the_language(text in "[0-9]{15,20}|[0-9]{8}[/:a]?[0-9]{8,10}", rest in "[0-9\n]{0,9}") {
            let all = format!("{text}\n{rest}");
            let expected = integer(all.as_bytes(), 0);
            for digits in 0..22 {
                prop_assert_eq!(time_of(all.as_bytes(), 0, digits), expected, "{} digits expected", digits);
            }
        }
    }
}
