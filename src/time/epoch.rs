//! Timestamps written as a count of units since 1970-01-01 UTC, read in decimal arithmetic, never through a float.

use super::{TimeError, Timestamp};

/// Reads an optional sign, digits, and optionally `.` and more digits, counted in units of ten to the power
/// `places` nanoseconds. Digits past the nanosecond have to be zeros.
pub(super) fn parse(text: &[u8], places: usize) -> Result<Timestamp, TimeError> {
    let (is_negative, number) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let (whole, fraction) = split_at_point(number)?;
    let (kept, excess) = fraction.split_at(fraction.len().min(places));
    if excess.iter().any(|&b| b != b'0') {
        return Err(TimeError::TooFine);
    }
    let padding = (kept.len()..places).map(|_| &b'0');
    let nanos = magnitude(whole.iter().chain(kept).chain(padding)).ok_or(TimeError::OutOfRange)?;
    Timestamp::from_wide_nanos(if is_negative { -i128::from(nanos) } else { i128::from(nanos) })
}

/// Splits a number into its digits before and after the point; both are digits only, and neither is empty where
/// there is a point.
fn split_at_point(number: &[u8]) -> Result<(&[u8], &[u8]), TimeError> {
    let length = number.iter().take_while(|b| b.is_ascii_digit()).count();
    let (whole, rest) = number.split_at(length);
    match rest.split_first() {
        _ if whole.is_empty() => Err(TimeError::NotANumber),
        None => Ok((whole, &[])),
        Some((b'.', fraction)) if !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit) => {
            Ok((whole, fraction))
        }
        Some(_) => Err(TimeError::NotANumber),
    }
}

/// The number these digits write, `None` if it passes 64 bits.
fn magnitude<'d>(digits: impl Iterator<Item = &'d u8>) -> Option<u64> {
    let mut value = 0_u64;
    for digit in digits {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(value)
}
