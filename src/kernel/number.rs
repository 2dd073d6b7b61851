//! Text to `f64`, bit for bit as `str::parse` (clause 3).

/// The powers of ten that an `f64` holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The most digits whose integer is surely below 2^53.
const EXACT_DIGITS: usize = 15;

/// Parses `text` as `str::parse::<f64>` does: `None` where it gives an error.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    plain_decimal(text, b'.').or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// The same, with the comma as decimal mark; a point is refused.
pub fn parse_decimal_comma(text: &[u8]) -> Option<f64> {
    if let Some(value) = plain_decimal(text, b',') {
        return Some(value);
    }
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('.'))?;
    text.replacen(',', ".", 1).parse().ok()
}

/// `-?[0-9]*mark?[0-9]*` with 1 to 15 digits: an integer m < 2^53 and s ≤ 15 decimals. Both m and 10^s are
/// exact, so the one division m / 10^s is correctly rounded (Clinger, "How to read floating point
/// numbers accurately", 1990). `None` says nothing about other texts.
fn plain_decimal(text: &[u8], mark: u8) -> Option<f64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.len() > EXACT_DIGITS + 1 {
        return None;
    }
    let (mut mantissa, mut decimals, mut seen_mark) = (0u64, 0, false);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa * 10 + u64::from(digit);
            decimals += usize::from(seen_mark);
        } else if byte == mark && !seen_mark {
            seen_mark = true;
        } else {
            return None;
        }
    }
    let count = digits.len() - usize::from(seen_mark);
    if count == 0 || count > EXACT_DIGITS {
        return None;
    }
    let value = mantissa as f64 / POWERS[decimals];
    Some(if is_negative { -value } else { value })
}

/// The number that stands at `start..end` of `text`, if it is `-?[0-9]*mark?[0-9]*` of at most eight bytes with at least
/// one digit; `None` says nothing about other texts. All digits are read at once.
///
/// Eight digits in eight bytes, the first in the lowest: pairs, then fours, then all are put together by one multiplication each
/// (Lemire, "Number parsing at a gigabyte per second", 2021). The division is exact as in `plain_decimal`.
#[inline]
pub fn parse_short(text: &[u8], start: usize, end: usize, mark: u8) -> Option<f64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    const ZEROS: u64 = ONES * b'0' as u64;
    let len = end.wrapping_sub(start);
    if len.wrapping_sub(1) >= 8 {
        return None;
    }
    let word = u64::from_le_bytes(text.get(start..start + 8)?.try_into().ok()?);
    // The last byte goes to the top; those in front of the first become zeros.
    let shift = 64 - 8 * len as u32;
    let is_negative = word as u8 == b'-';
    let word = (word ^ if is_negative { u64::from(b'-' ^ b'0') } else { 0 }) << shift;
    let word = word | (ZEROS >> (8 * (len - 1))) >> 8;
    let marks = word ^ (ONES * u64::from(mark));
    let marks = marks.wrapping_sub(ONES) & !marks & HIGH;
    let (digits, decimals, signs) = if marks == 0 {
        (word, 0, usize::from(is_negative))
    } else {
        // What stands in front of the mark moves up by one, over it.
        let place = marks.trailing_zeros() & !7;
        let front = word & ((1 << place) - 1);
        let behind = (word >> place >> 8) << place << 8;
        (front << 8 | behind | u64::from(b'0'), 7 - (place / 8) as usize, 1 + usize::from(is_negative))
    };
    let digits = digits ^ ZEROS;
    let has_others = (digits.wrapping_add(ONES * 0x76) | digits) & HIGH != 0;
    if has_others || len == signs {
        return None;
    }
    const PAIRS: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits * 10 + (digits >> 8);
    let mantissa = ((pairs & PAIRS).wrapping_mul(100 + (1_000_000 << 32)))
        .wrapping_add(((pairs >> 16) & PAIRS).wrapping_mul(1 + (10_000 << 32)))
        >> 32;
    let value = mantissa as f64 / POWERS[decimals];
    Some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &[u8]) -> Result<(), TestCaseError> {
        let expected = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
        let got = parse_f64(text);
        prop_assert_eq!(
            got.map(f64::to_bits),
            expected.map(f64::to_bits),
            "{:?}",
            String::from_utf8_lossy(text)
        );
        let comma: Vec<u8> = text.iter().map(|&b| if b == b'.' { b',' } else { b }).collect();
        let expected = if text.contains(&b',') { None } else { expected };
        let got = parse_decimal_comma(&comma);
        if !text.contains(&b',') {
            prop_assert_eq!(
                got.map(f64::to_bits),
                expected.map(f64::to_bits),
                "{:?}",
                String::from_utf8_lossy(&comma)
            );
        }
        Ok(())
    }

    #[test]
    fn clause_3_nasty_numerals_parse_as_the_language_does() {
        let nasty = "|-|.|-.|1.|.5|-.5|+1|+|1e400|-1e400|inf|-Infinity|+inf|nan|NaN|-nan|1_0|0x1|00001.50|1e|1e5|1E-5|1.2.3|12 |\
            9007199254740993|123456789012345|1234567890123456|0.1234567890123456|999999999999999.9|-0|-0.0|5e-324|2e-324|1,5|\
            0.000000000000001|179769313486231570000000000000|1e-400|infin|--1|1-|١";
        nasty.split('|').try_for_each(|text| check(text.as_bytes())).expect("as str::parse");
    }

    proptest! {
        #[test]
        fn clause_3_short_numerals_parse_as_the_language_does(
            text in "-?[0-9]{0,6}[.]?[0-9]{0,5}|[-.0-9+e/:,]{0,9}", before in "[0-9]{0,3}", after in "[,0-9]{0,9}",
        ) {
            let all = format!("{before}{text}{after}");
            let (start, end) = (before.len(), before.len() + text.len());
            let got = parse_short(all.as_bytes(), start, end, b'.');
            let plain = text.trim_start_matches('-').bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
            let expected = if plain { text.parse::<f64>().ok() } else { None };
            let is_short = (1..=8).contains(&text.len()) && start + 8 <= all.len();
            prop_assert!(got.is_none() || got.map(f64::to_bits) == expected.map(f64::to_bits), "{} {:?}", text, got);
            prop_assert!(!is_short || got.is_some() == expected.is_some(), "{}", text);
            let comma = all.replace('.', ",");
            prop_assert!(text.contains(',') || parse_short(comma.as_bytes(), start, end, b',').map(f64::to_bits) == got.map(f64::to_bits));
        }
    }

    #[test]
    fn clause_3_a_decimal_comma_refuses_the_point() {
        assert_eq!(parse_decimal_comma(b"1,5"), Some(1.5));
        assert_eq!(parse_decimal_comma(b"1,5e3"), Some(1500.0));
        assert_eq!(parse_decimal_comma(b"1.5"), None);
        assert_eq!(parse_decimal_comma(b"1.000,5"), None);
        assert_eq!(parse_decimal_comma(b"1,000,5"), None);
    }

    proptest! {
        #[test]
        fn clause_3_numerals_parse_as_the_language_does(text in "[-+]?[0-9]{0,20}\\.?[0-9]{0,20}([eE][-+]?[0-9]{1,3})?") {
            check(text.as_bytes())?;
        }

        #[test]
        fn clause_3_any_float_reads_back(bits in any::<u64>()) {
            check(f64::from_bits(bits).to_string().as_bytes())?;
        }

        #[test]
        fn clause_3_garbage_parses_as_the_language_does(text in proptest::collection::vec(
            proptest::sample::select(&b"0123456789.-+eEinfa ,_\xff"[..]), 0..24)) {
            check(&text)?;
        }
    }
}
