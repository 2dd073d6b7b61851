//! Times that are written like one before, but for minutes, seconds and the fraction: in a column nearly all.

mod lanes;
#[cfg(test)]
mod tests;

use super::rfc3339::{MAX_FRACTION, fraction_scale};
use super::{NANOS_PER_SECOND, Timestamp};
use crate::kernel::digits::{ZEROS, eight};

/// Where minutes, seconds and the digits of a fraction begin.
const MINUTE: usize = 14;
const SECOND: usize = 17;
const FRACTION: usize = 20;

/// A text of 16 to 32 bytes: its first and its last 16, which may overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Halves {
    length: usize,
    first: u128,
    last: u128,
}

impl Halves {
    /// `None` for a text of another length.
    #[inline(always)]
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let (first, last) = text.first_chunk::<16>().zip(text.last_chunk::<16>())?;
        let (first, last) = (u128::from_le_bytes(*first), u128::from_le_bytes(*last));
        (text.len() <= 32).then_some(Self { length: text.len(), first, last })
    }

    /// The two bytes at `at`, which is 1 to 14, of the first half.
    #[inline(always)]
    fn pair_of_first(self, at: usize) -> [u8; 2] {
        ((self.first >> (8 * at)) as u16).to_le_bytes()
    }

    /// The two bytes at `at` of the text, which are in the last half.
    #[inline(always)]
    fn pair_of_last(self, at: usize) -> [u8; 2] {
        ((self.last >> (8 * (at + 16 - self.length))) as u16).to_le_bytes()
    }
}

/// The hour of a time of RFC 3339, and how it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near {
    /// The text with zeros for the bytes that may differ, and ones for those that may not.
    fixed: Halves,
    mask: Halves,
    /// The time at which the hour begins.
    hour: Timestamp,
    /// Bytes behind the last digit.
    suffix: usize,
    /// The bytes of the last eight that belong to the fraction.
    kept: u64,
    /// Whether the fraction has a ninth digit, and the nanoseconds of its last one.
    has_ninth: bool,
    scale: i64,
}

impl Near {
    /// What `text` has in common with others of its hour: it is a time of RFC 3339, `time`, and says its offset or needs none.
    /// `None` if it is written in an unusual way.
    pub(crate) fn new(text: &[u8], time: Timestamp) -> Option<Self> {
        let halves = Halves::of(text)?;
        let digits = match text.get(FRACTION - 1) {
            Some(b'.') => text[FRACTION..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
            _ => 0,
        };
        let end = if digits > 0 { FRACTION + digits } else { SECOND + 2 };
        let suffix = text.len().checked_sub(end)?;
        if digits > MAX_FRACTION || suffix > 6 {
            return None;
        }
        let is_free = |at: usize| {
            (MINUTE..MINUTE + 2).contains(&at)
                || (SECOND..SECOND + 2).contains(&at)
                || (FRACTION..FRACTION + digits).contains(&at)
        };
        let mask = text.iter().enumerate().map(|(at, _)| if is_free(at) { 0 } else { u8::MAX });
        let mask = Halves::of(&mask.collect::<Vec<u8>>())?;
        let fixed = Halves { first: halves.first & mask.first, last: halves.last & mask.last, ..halves };
        let kept = u64::MAX.checked_shl(8 * (8 - digits.min(8)) as u32).unwrap_or(0);
        let near = Self {
            fixed,
            mask,
            hour: Timestamp::from_nanos(0),
            suffix,
            kept,
            has_ninth: digits == MAX_FRACTION,
            scale: i64::from(fraction_scale(digits)),
        };
        let within = near.read(halves)?;
        let hour = time.checked_sub(within.as_nanos())?;
        // Every time of the hour can be represented.
        hour.checked_add(3600 * NANOS_PER_SECOND)?;
        Some(Self { hour, ..near })
    }

    /// The time that `text` writes; `None` if it is not of this hour, or written in another way.
    #[inline(always)]
    pub(crate) fn read(&self, text: Halves) -> Option<Timestamp> {
        let Self { fixed, mask, .. } = self;
        let others = ((text.first ^ fixed.first) & mask.first) | ((text.last ^ fixed.last) & mask.last);
        if others != 0 || text.length != fixed.length {
            return None;
        }
        let (minute, is_minute) = sixtieths(text.pair_of_first(MINUTE));
        let (second, is_second) = sixtieths(text.pair_of_last(SECOND));
        let eight_last = (text.last >> (8 * (8 - self.suffix))) as u64;
        let (mut fraction, is_number) = eight((eight_last & self.kept) | (ZEROS & !self.kept));
        let mut is_time = is_minute & is_second & is_number;
        if self.has_ninth {
            let first = ((text.last >> (8 * (7 - self.suffix))) as u8).wrapping_sub(b'0');
            is_time &= first <= 9;
            fraction += u64::from(first) * 100_000_000;
        }
        let seconds = i64::from(minute) * 60 + i64::from(second);
        let within = seconds * NANOS_PER_SECOND + fraction as i64 * self.scale;
        is_time.then(|| self.hour.saturating_add(within))
    }
}

/// The number that two digits write, and whether it is one from 0 to 59.
#[inline(always)]
fn sixtieths([tens, ones]: [u8; 2]) -> (u8, bool) {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens.wrapping_mul(10).wrapping_add(ones), (tens <= 5) & (ones <= 9))
}
