//! Text to `f64`, bit for bit as `str::parse` (clause 3).

/// The powers of ten that f64 represents exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The largest number of digits that always fits below 2^53.
const EXACT_DIGITS: usize = 15;

/// Parses `text` like `str::parse::<f64>`: `None` where that fails.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    plain_decimal(text, b'.').or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// The same with a comma as decimal mark; a point is invalid.
pub fn parse_decimal_comma(text: &[u8]) -> Option<f64> {
    if let Some(value) = plain_decimal(text, b',') {
        return Some(value);
    }
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('.'))?;
    text.replacen(',', ".", 1).parse().ok()
}

/// `-?[0-9]*mark?[0-9]*` with 1 to 15 digits: an integer m < 2^53 and s ≤ 15 decimals. Both m and 10^s are exact, so the single division m
/// / 10^s is correctly rounded (Clinger, "How to read floating point numbers accurately", 1990). `None` for any other text, which may still
/// be a number.
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
