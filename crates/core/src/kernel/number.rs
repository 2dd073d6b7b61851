//! Text to `f64`, bit for bit as `str::parse` (clause 3).

use super::digits::{ZEROS, eight};
use super::scaled::scaled;

/// As many digits always fit into 64 bits.
const MAX_DIGITS: usize = 19;

/// Parses `text` like `str::parse::<f64>`: `None` where that fails.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    decimal(text, b'.').or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// The same with a comma as decimal mark; a point is invalid.
pub fn parse_decimal_comma(text: &[u8]) -> Option<f64> {
    if let Some(value) = decimal(text, b',') {
        return Some(value);
    }
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('.'))?;
    text.replacen(',', ".", 1).parse().ok()
}

/// `[-+]?[0-9]*mark?[0-9]*([eE][-+]?[0-9]{1,3})?` with 1 to 19 digits before the exponent, and a value whose power of ten is small. `None` for any other text, which may still
/// be a number.
fn decimal(text: &[u8], mark: u8) -> Option<f64> {
    let (is_negative, number) = sign(text);
    let mut mantissa = 0;
    let mut rest = digits(number, &mut mantissa);
    let (mut count, mut power) = (number.len() - rest.len(), 0);
    if let Some((_, decimals)) = rest.split_first().filter(|(byte, _)| **byte == mark) {
        rest = digits(
            fewer_than_eight(decimals, by_eight(decimals, &mut mantissa), &mut mantissa),
            &mut mantissa,
        );
        let places = decimals.len() - rest.len();
        (count, power) = (count + places, -(places as i32));
    }
    if !rest.is_empty() {
        power += exponent(rest)?;
    }
    if !(1..=MAX_DIGITS).contains(&count) {
        return None;
    }
    let value = scaled(mantissa, power)?;
    Some(if is_negative { -value } else { value })
}

/// Whether there is a minus, and the text behind a sign.
#[inline]
fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// Appends the leading digits to `value`, which wraps around if there are too many; returns the text behind them.
#[inline]
fn digits<'t>(mut text: &'t [u8], value: &mut u64) -> &'t [u8] {
    while let [byte @ b'0'..=b'9', rest @ ..] = text {
        (*value, text) = (value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')), rest);
    }
    text
}

/// The same for as many times eight digits as there are.
#[inline]
fn by_eight<'t>(mut text: &'t [u8], value: &mut u64) -> &'t [u8] {
    while let Some((chunk, rest)) = text.split_first_chunk::<8>()
        && let (eight, true) = eight(u64::from_le_bytes(*chunk))
    {
        (*value, text) = (value.wrapping_mul(100_000_000).wrapping_add(eight), rest);
    }
    text
}

/// The same for `rest`, the last one to seven bytes of `text`, if they are digits, and `text` has at least eight bytes.
#[inline]
fn fewer_than_eight<'t>(text: &'t [u8], rest: &'t [u8], value: &mut u64) -> &'t [u8] {
    const POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    let (Some(last), Some(power)) = (text.last_chunk::<8>(), POWERS.get(rest.len())) else { return rest };
    let own = u64::MAX.checked_shl(8 * (8 - rest.len() as u32)).unwrap_or(0);
    match eight(u64::from_le_bytes(*last) & own | ZEROS & !own) {
        (few, true) => {
            *value = value.wrapping_mul(*power).wrapping_add(few);
            &[]
        }
        _ => rest,
    }
}

/// `[eE][-+]?[0-9]{1,3}`.
fn exponent(text: &[u8]) -> Option<i32> {
    let (b'e' | b'E', written) = text.split_first()? else { return None };
    let (is_negative, written) = sign(written);
    let mut value = 0;
    let is_number = digits(written, &mut value).is_empty() && (1..=3).contains(&written.len());
    let value = i32::try_from(value).ok().filter(|_| is_number)?;
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
