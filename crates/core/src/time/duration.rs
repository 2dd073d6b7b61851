//! Durations as people write them: `5m`, `1h30m`, `250ms`.

use std::fmt::Write;

/// The units, largest first, with their length in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Parses a duration in nanoseconds: integers, each with one of the units `d`, `h`, `m`, `s`, `ms`, `us`, `ns`, largest first. Spaces are
/// ignored. A day is 24 hours. The result is positive.
///
/// ```
/// assert_eq!(tidemill_core::time::parse_duration("1h30m"), Ok(5_400_000_000_000));
/// ```
///
/// # Errors
///
/// A message with the valid units if the text is not a duration, is zero, or exceeds 292 years.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let fail = |why: &str| {
        format!(
            "`{text}` is not a duration: {why}; write `5m`, `1h30m` or `250ms`, with the units d, h, m, s, ms, us, ns"
        )
    };
    let mut rest = text.trim();
    let mut units = UNITS.as_slice();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (count, name, after) = split_part(rest).ok_or_else(|| fail("expected a whole number"))?;
        let at = units.iter().position(|&(unit, _)| unit == name).ok_or_else(|| fail(&unit_problem(name)))?;
        let nanos = count.parse::<u64>().ok().and_then(|count| count.checked_mul(units[at].1));
        total = nanos.and_then(|nanos| total.checked_add(nanos)).ok_or_else(|| fail("it is too long"))?;
        units = &units[at + 1..];
        rest = after.trim_start();
    }
    match i64::try_from(total) {
        Ok(0) => Err(fail("it must be greater than zero")),
        Ok(nanos) => Ok(nanos),
        Err(_) => Err(fail("it is too long")),
    }
}

/// Splits `90 s 5 ms` into `90`, `s` and ` 5 ms`; `None` unless it begins with a digit.
fn split_part(text: &str) -> Option<(&str, &str, &str)> {
    let (count, rest) = split_while(text, |c| c.is_ascii_digit());
    let (name, rest) = split_while(rest.trim_start(), |c| !c.is_ascii_digit() && !c.is_whitespace());
    (!count.is_empty()).then_some((count, name, rest))
}

/// Splits off the longest prefix whose characters are all `wanted`.
fn split_while(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

/// Why this name is not one of the units still allowed.
fn unit_problem(name: &str) -> String {
    match name {
        "" => "a number has no unit".to_owned(),
        _ if UNITS.iter().any(|&(unit, _)| unit == name) => {
            format!("the unit `{name}` comes after a smaller one or twice")
        }
        _ => format!("unknown unit `{name}`"),
    }
}

/// Formats a duration in nanoseconds in the notation of [`parse_duration`], without zero parts: `1h30m`. Zero is `0s`, and negative
/// durations have a minus sign; [`parse_duration`] rejects both.
#[must_use]
pub fn format_duration(nanos: i64) -> String {
    let mut out = String::new();
    let mut rest = nanos.unsigned_abs();
    for (name, length) in UNITS {
        if rest >= length {
            // Writing to a string doesn't fail.
            let _ = write!(out, "{}{name}", rest / length);
            rest %= length;
        }
    }
    match nanos {
        0 => "0s".to_owned(),
        ..0 => format!("-{out}"),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let cases = [
            ("5m", 300_000_000_000, "5m"),
            ("1h30m", 5_400_000_000_000, "1h30m"),
            ("250ms", 250_000_000, "250ms"),
            ("90 s", 90_000_000_000, "1m30s"),
            (" 2d ", 172_800_000_000_000, "2d"),
            ("48h", 172_800_000_000_000, "2d"),
            ("1 d 1 ns", 86_400_000_000_001, "1d1ns"),
            ("7us", 7_000, "7us"),
            ("0h1s", 1_000_000_000, "1s"),
            ("9223372036854775807ns", i64::MAX, "106751d23h47m16s854ms775us807ns"),
        ];
        for (text, nanos, written) in cases {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
            assert_eq!(format_duration(nanos), written);
            assert_eq!(parse_duration(written), Ok(nanos));
        }
        assert_eq!(format_duration(0), "0s");
        assert_eq!(format_duration(-1_500_000_000), "-1s500ms");
        assert!(format_duration(i64::MIN).starts_with("-106751d"));
    }

    #[test]
    fn refuses_and_says_why() {
        let cases = [
            ("", "greater than zero"),
            ("0s", "greater than zero"),
            ("5", "no unit"),
            ("1h30", "no unit"),
            ("m", "whole number"),
            ("-5m", "whole number"),
            ("1.5h", "unknown unit `.`"),
            ("5 minutes", "unknown unit `minutes`"),
            ("30m1h", "`h` comes after a smaller one"),
            ("1m1m", "twice"),
            ("5M", "unknown unit `M`"),
            ("9223372036854775808ns", "too long"),
            ("99999999999999999999s", "too long"),
            ("300000d", "too long"),
        ];
        for (text, why) in cases {
            let error = parse_duration(text).expect_err(text);
            assert!(error.contains(why), "{error}");
            assert!(error.contains("d, h, m, s, ms, us, ns"), "{error}");
        }
    }
}
