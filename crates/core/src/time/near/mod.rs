//! Times that are written like one before, but for minutes, seconds and the fraction: in a column nearly all.

mod lanes;
mod places;
#[cfg(test)]
mod tests;

use super::rfc3339::{MAX_FRACTION, fraction_scale};
use super::{NANOS_PER_SECOND, Timestamp};
use crate::kernel::digits::{ZEROS, eight};

pub(crate) use places::Places;

/// The maximum length of a text, in bytes.
const LONGEST: usize = 32;

/// The maximum number of bytes behind a fraction.
const MAX_SUFFIX: usize = 6;

/// A text of up to 32 bytes: its first and its last 16, which may overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Halves {
    length: usize,
    first: u128,
    last: u128,
}

impl Halves {
    /// `None` for a text of less than 16 or more than 32 bytes.
    #[inline(always)]
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let (first, last) = text.first_chunk::<16>().zip(text.last_chunk::<16>())?;
        let (first, last) = (u128::from_le_bytes(*first), u128::from_le_bytes(*last));
        (text.len() <= LONGEST).then_some(Self { length: text.len(), first, last })
    }

    /// The same for a shorter text too, with zeros around it.
    #[inline]
    fn padded(text: &[u8]) -> Option<Self> {
        if text.len() >= 16 {
            return Self::of(text);
        }
        let mut bytes = [0; 16];
        bytes[..text.len()].copy_from_slice(text);
        let first = u128::from_le_bytes(bytes);
        let last = first.checked_shl(8 * (16 - text.len() as u32)).unwrap_or(0);
        Some(Self { length: text.len(), first, last })
    }

    /// The two bytes at `at`, for which [`Near::new`] has seen to it that one half has both.
    #[inline(always)]
    fn pair(self, at: usize) -> [u8; 2] {
        let (half, at) = if at <= 14 { (self.first, at) } else { (self.last, at + 16 - self.length) };
        ((half >> (8 * at)) as u16).to_le_bytes()
    }
}

/// The hour of a time, and how it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near {
    /// The text with zeros for the bytes that may differ, and ones for those that may not.
    fixed: Halves,
    mask: Halves,
    /// The time at which the hour begins.
    hour: Timestamp,
    places: Places,
    /// Bytes behind the last digit of the fraction.
    suffix: usize,
    /// The bytes of the last eight that belong to the fraction.
    kept: u64,
    /// Whether the fraction has a ninth digit, and the nanoseconds of its last one.
    has_ninth: bool,
    scale: i64,
}

impl Near {
    /// What `text` has in common with others of its hour, given that it is `time`, that minutes, seconds and fraction are at these places, and that all moments
    /// of the hour are written alike. `None` if its text is unusual.
    pub(crate) fn new(text: &[u8], time: Timestamp, places: Places) -> Option<Self> {
        let halves = Halves::padded(text)?;
        let Places { minute, second, fraction, digits } = places;
        let is_in_a_half = |at: &usize| at + 2 <= text.len() && (*at <= 14 || at + 16 >= text.len());
        let suffix = if digits > 0 { text.len().checked_sub(fraction + digits)? } else { 0 };
        if digits > MAX_FRACTION
            || suffix > MAX_SUFFIX
            || ![minute, second].iter().flatten().all(is_in_a_half)
        {
            return None;
        }
        let mask = (0..text.len()).map(|at| if places.contains(at) { 0 } else { u8::MAX });
        let mask = Halves::padded(&mask.collect::<Vec<u8>>())?;
        let fixed = Halves { first: halves.first & mask.first, last: halves.last & mask.last, ..halves };
        let near = Self {
            fixed,
            mask,
            hour: Timestamp::from_nanos(0),
            places,
            suffix,
            kept: u64::MAX.checked_shl(8 * (8 - digits.min(8)) as u32).unwrap_or(0),
            has_ninth: digits == MAX_FRACTION,
            scale: i64::from(fraction_scale(digits)),
        };
        let within = near.read(text)?;
        let hour = time.checked_sub(within.as_nanos())?;
        // Every time of the hour can be represented.
        hour.checked_add(3600 * NANOS_PER_SECOND)?;
        Some(Self { hour, ..near })
    }

    /// The same if only `parse` knows how times are written: finds the places, unless they are those of an earlier text, and checks that moments of the hour are
    /// read as it reads them. They are not if the clocks change within the hour, or if it ends with its first moment (24:00).
    pub(crate) fn learn(
        text: &[u8],
        time: Timestamp,
        known: Option<Places>,
        parse: impl Fn(&[u8]) -> Option<Timestamp>,
    ) -> Option<Self> {
        let checked = |places: Places| {
            let near = Self::new(text, time, places)?;
            let agrees = |moment: &[u8]| near.read(moment).is_some_and(|time| parse(moment) == Some(time));
            places.moments(text).iter().all(|moment| agrees(moment)).then_some(near)
        };
        known.and_then(checked).or_else(|| checked(Places::find(text, &parse)?))
    }

    /// Where minutes, seconds and fraction are.
    pub(crate) fn places(&self) -> Places {
        self.places
    }

    /// The time that `text` writes; `None` if it is not of this hour, or written in another way.
    #[inline(always)]
    pub(crate) fn read(&self, text: &[u8]) -> Option<Timestamp> {
        let Self { fixed, mask, places, .. } = self;
        if text.len() != fixed.length {
            return None;
        }
        let text = Halves::padded(text)?;
        let others = ((text.first ^ fixed.first) & mask.first) | ((text.last ^ fixed.last) & mask.last);
        if others != 0 {
            return None;
        }
        let sixtieths = |at: Option<usize>| at.map_or((0, true), |at| sixtieths(text.pair(at)));
        let ((minute, is_minute), (second, is_second)) = (sixtieths(places.minute), sixtieths(places.second));
        let eight_last = text.last.checked_shr(8 * (8 - self.suffix as u32)).unwrap_or(0) as u64;
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
