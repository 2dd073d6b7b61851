//! Timestamps as numbers of units since 1970-01-01 UTC, parsed in decimal arithmetic, without floats.

mod lanes;
#[cfg(test)]
mod tests;

use super::{TimeError, Timestamp};
use crate::kernel::digits::{ZEROS, eight};

pub(crate) use lanes::Epochs;

/// Nanoseconds of a unit, by its places.
const SCALES: [u64; 10] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// Parses an optional sign, digits, an optional point or comma with more digits, and an optional exponent, in units of ten to the power
/// `places` nanoseconds. Digits below the nanosecond must be zeros.
pub(super) fn parse(text: &[u8], places: usize) -> Result<Timestamp, TimeError> {
    match plain(text, places) {
        Some(time) => Ok(time),
        None => any(text, places),
    }
}

/// The same for 8 to 19 digits and nothing else; `None` if they are not, or out of range.
#[inline]
pub(super) fn plain(text: &[u8], places: usize) -> Option<Timestamp> {
    let (head, last) = text.split_last_chunk::<8>()?;
    let (last, mut is_number) = eight(u64::from_le_bytes(*last));
    let (head, upper) = match head.split_last_chunk::<8>() {
        Some((head, upper)) => (head, eight(u64::from_le_bytes(*upper))),
        None => (&head[..0], eight(padded(head))),
    };
    let (top, is_top) = if head.is_empty() { (0, true) } else { eight(padded(head)) };
    is_number &= upper.1 & is_top & (head.len() <= 3);
    let value = (top * 100_000_000 + upper.0).checked_mul(100_000_000)?.checked_add(last)?;
    let nanos = value.checked_mul(SCALES[places]).and_then(|nanos| i64::try_from(nanos).ok())?;
    is_number.then_some(Timestamp::from_nanos(nanos))
}

/// Fewer than eight bytes behind zeros.
#[inline]
fn padded(text: &[u8]) -> u64 {
    text.iter().fold(ZEROS, |chunk, &byte| chunk >> 8 | u64::from(byte) << 56)
}

/// The same for any number.
#[inline(never)]
pub(super) fn any(text: &[u8], places: usize) -> Result<Timestamp, TimeError> {
    let (is_negative, number) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let EpochNumber { whole, fraction, exponent } = EpochNumber::read(number)?;
    let nanos = match exponent {
        0 => fixed(whole, fraction, places),
        _ => scientific(whole, fraction, exponent + places as i32),
    }?;
    Timestamp::from_wide_nanos(if is_negative { -i128::from(nanos) } else { i128::from(nanos) })
}

/// The parts of a number, as digits.
struct EpochNumber<'t> {
    whole: &'t [u8],
    fraction: &'t [u8],
    exponent: i32,
}

impl<'t> EpochNumber<'t> {
    /// There must be digits before the mark and, if there is one, after it.
    fn read(number: &'t [u8]) -> Result<EpochNumber<'t>, TimeError> {
        let (whole, rest) = digits(number);
        let (fraction, rest) = match rest.split_first() {
            Some((b'.' | b',', rest)) if rest.first().is_some_and(u8::is_ascii_digit) => digits(rest),
            _ => (&rest[..0], rest),
        };
        if whole.is_empty() {
            return Err(TimeError::NotANumber);
        }
        let exponent = match rest.split_first() {
            None => 0,
            Some((b'e' | b'E', rest)) => exponent(rest)?,
            Some(_) => return Err(TimeError::NotANumber),
        };
        Ok(EpochNumber { whole, fraction, exponent })
    }
}

/// The leading digits, and the text after them.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// An optional sign and one to four digits.
fn exponent(text: &[u8]) -> Result<i32, TimeError> {
    let (sign, number) = match text.split_first() {
        Some((b'-', rest)) => (-1, rest),
        Some((b'+', rest)) => (1, rest),
        _ => (1, text),
    };
    match digits(number) {
        (digits @ [_, ..], []) if digits.len() <= 4 => {
            Ok(sign * digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0')))
        }
        _ => Err(TimeError::NotANumber),
    }
}

/// The number with these digits, in units of ten to the power −`places`.
fn fixed(whole: &[u8], fraction: &[u8], places: usize) -> Result<u64, TimeError> {
    let (kept, excess) = fraction.split_at(fraction.len().min(places));
    if excess.iter().any(|&b| b != b'0') {
        return Err(TimeError::TooFine);
    }
    let padding = (kept.len()..places).map(|_| &b'0');
    magnitude(whole.iter().chain(kept).chain(padding)).ok_or(TimeError::OutOfRange)
}

/// The same with the decimal mark moved `shift` digits to the right, or to the left if negative.
#[cold]
fn scientific(whole: &[u8], fraction: &[u8], shift: i32) -> Result<u64, TimeError> {
    let digits = [whole, fraction].concat();
    let first = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    let digits = &digits[first..];
    if digits.is_empty() {
        return Ok(0);
    }
    // The index of the decimal mark in the remaining digits.
    let point = whole.len() as i64 - first as i64 + i64::from(shift);
    let kept = usize::try_from(point).unwrap_or(0).min(digits.len());
    if digits[kept..].iter().any(|&digit| digit != b'0') {
        return Err(TimeError::TooFine);
    }
    // 64 bits have at most 20 digits.
    let zeros = usize::try_from(point).unwrap_or(0) - kept;
    if kept + zeros > 20 {
        return Err(TimeError::OutOfRange);
    }
    let padding = std::iter::repeat_n(&b'0', zeros);
    magnitude(digits[..kept].iter().chain(padding)).ok_or(TimeError::OutOfRange)
}

/// The number with these digits, `None` if it exceeds 64 bits.
fn magnitude<'d>(digits: impl Iterator<Item = &'d u8>) -> Option<u64> {
    let mut value = 0_u64;
    for digit in digits {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(value)
}
