//! RFC 3339, parsed and formatted by hand: it is needed for every record.
//!
//! Days and dates are converted by `days_from_civil` and `civil_from_days` of Howard Hinnant,
//! "chrono-Compatible Low-Level Date Algorithms" (2014): years begin in March, so that the leap day comes last,
//! and are counted in eras of 400 years, which all have 146,097 days.

use super::{NANOS_PER_SECOND, SECONDS_PER_DAY, TimeError};

/// Length in bytes of the longest form written, `1970-01-01T00:00:00.000000001Z`.
pub(super) const MAX_LEN: usize = 30;

/// The most digits of a fraction of a second.
pub(super) const MAX_FRACTION: usize = 9;

/// Days in an era of 400 years.
const DAYS_PER_ERA: i64 = 146_097;

/// Days from 0000-03-01, where the first era begins, to 1970-01-01.
const ERA_TO_EPOCH_DAYS: i64 = 719_468;

/// Date and time of day as written, every part in its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: u16,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    pub(super) nanos: u32,
}

impl Civil {
    /// Seconds since 1970-01-01 of this date and time, interpreted as UTC; without the nanoseconds.
    #[inline]
    pub(super) fn seconds(&self) -> i64 {
        let clock = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        days_from_civil(self.year, self.month, self.day) * SECONDS_PER_DAY + clock
    }

    /// Rejects a part that is out of range, the largest part first.
    #[inline]
    fn check(self) -> Result<Civil, TimeError> {
        if self.month.wrapping_sub(1) >= 12 {
            return Err(TimeError::Month);
        }
        if self.day.wrapping_sub(1) >= 28 {
            check_late_day(self.year, self.month, self.day)?;
        }
        if self.hour >= 24 {
            return Err(TimeError::Hour);
        }
        if self.minute >= 60 {
            return Err(TimeError::Minute);
        }
        match self.second {
            0..=59 => Ok(self),
            60 => Err(TimeError::LeapSecond),
            _ => Err(TimeError::Second),
        }
    }
}

/// Parses `YYYY-MM-DD`, `T`, `t` or a space, `HH:MM:SS`, optionally `.` and 1 to 9 digits, then `Z`, `z`, `±HH:MM` or nothing. Returns the
/// date and time as written, and the offset in seconds ahead of UTC.
#[inline]
pub(super) fn parse(text: &[u8]) -> Result<(Civil, Option<i32>), TimeError> {
    let (head, rest) = text.split_first_chunk::<19>().ok_or(TimeError::NotRfc3339)?;
    let mut civil = read_head(head)?.check()?;
    let (nanos, rest) = read_fraction(rest)?;
    civil.nanos = nanos;
    Ok((civil, read_offset(rest)?))
}

/// Parses the fixed part, `YYYY-MM-DDTHH:MM:SS`, without checking ranges.
#[inline]
fn read_head(head: &[u8; 19]) -> Result<Civil, TimeError> {
    let has_marks = head[4] == b'-' && head[7] == b'-' && head[13] == b':' && head[16] == b':';
    if !has_marks || !matches!(head[10], b'T' | b't' | b' ') {
        return Err(TimeError::NotRfc3339);
    }
    let pair = |at: usize| pair(head[at], head[at + 1]).ok_or(TimeError::NotRfc3339);
    Ok(Civil {
        year: u16::from(pair(0)?) * 100 + u16::from(pair(2)?),
        month: pair(5)?,
        day: pair(8)?,
        hour: pair(11)?,
        minute: pair(14)?,
        second: pair(17)?,
        nanos: 0,
    })
}

/// The value of two digits, `None` unless both are digits.
#[inline]
fn pair(tens: u8, ones: u8) -> Option<u8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| tens * 10 + ones)
}

/// Parses an optional fraction of a second; returns nanoseconds, and the text after it.
#[inline]
fn read_fraction(text: &[u8]) -> Result<(u32, &[u8]), TimeError> {
    let Some((b'.', digits)) = text.split_first() else {
        return Ok((0, text));
    };
    let mut nanos = 0;
    let mut count = 0;
    while let Some(digit) = digits.get(count).map(|b| b.wrapping_sub(b'0')).filter(|&d| d <= 9) {
        if count == MAX_FRACTION {
            return Err(TimeError::TooFine);
        }
        nanos = nanos * 10 + u32::from(digit);
        count += 1;
    }
    if count == 0 {
        return Err(TimeError::NotRfc3339);
    }
    Ok((nanos * fraction_scale(count), &digits[count..]))
}

/// The nanoseconds of the last of so many digits of a fraction, at most [`MAX_FRACTION`].
#[inline]
pub(super) const fn fraction_scale(digits: usize) -> u32 {
    const SCALE: [u32; MAX_FRACTION + 1] =
        [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    SCALE[digits]
}

/// Parses the offset at the end of a timestamp, in seconds ahead of UTC; `None` if there is none. Always inlined: it has several callers,
/// and a call would take 3 % of the time to parse a timestamp.
#[inline(always)]
pub(super) fn read_offset(text: &[u8]) -> Result<Option<i32>, TimeError> {
    match *text {
        [] => Ok(None),
        [b'Z' | b'z'] => Ok(Some(0)),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = pair(h1, h2).filter(|&h| h < 24).ok_or(TimeError::Offset)?;
            let minutes = pair(m1, m2).filter(|&m| m < 60).ok_or(TimeError::Offset)?;
            let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60;
            Ok(Some(if sign == b'-' { -seconds } else { seconds }))
        }
        _ => Err(TimeError::Offset),
    }
}

/// Rejects day 0, and days after the 28th that the month (1 to 12) does not have.
fn check_late_day(year: u16, month: u8, day: u8) -> Result<(), TimeError> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    match day {
        0 | 32.. => Err(TimeError::Day),
        _ if day > last => Err(TimeError::NoSuchDay),
        _ => Ok(()),
    }
}

/// Days from 1970-01-01 to this date of the Gregorian calendar (Hinnant's `days_from_civil`).
#[inline]
fn days_from_civil(year: u16, month: u8, day: u8) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let march_year = i64::from(year) - i64::from(month <= 2);
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - ERA_TO_EPOCH_DAYS
}

/// Year, month and day of the date `days` after 1970-01-01 (Hinnant's `civil_from_days`).
#[inline]
pub(super) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + ERA_TO_EPOCH_DAYS;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Writes the shortest form of the timestamp `nanos` to the start of `out`; returns its length.
#[inline]
pub(super) fn encode(nanos: i64, out: &mut [u8; MAX_LEN]) -> usize {
    let seconds = nanos.div_euclid(NANOS_PER_SECOND);
    let fraction = nanos.rem_euclid(NANOS_PER_SECOND);
    let clock = seconds.rem_euclid(SECONDS_PER_DAY);
    let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
    out[..19].copy_from_slice(b"0000-00-00T00:00:00");
    put_pair(out, 0, year / 100);
    put_pair(out, 2, year % 100);
    put_pair(out, 5, month);
    put_pair(out, 8, day);
    put_pair(out, 11, clock / 3_600);
    put_pair(out, 14, clock / 60 % 60);
    put_pair(out, 17, clock % 60);
    let end = 19 + put_fraction(out, fraction);
    out[end] = b'Z';
    end + 1
}

/// Writes a fraction of a second, given in nanoseconds, after the seconds; returns its length: 0, 4, 7 or 10.
#[inline]
fn put_fraction(out: &mut [u8; MAX_LEN], nanos: i64) -> usize {
    if nanos == 0 {
        return 0;
    }
    out[19] = b'.';
    put_pair(out, 20, nanos / 10_000_000);
    put_pair(out, 22, nanos / 100_000 % 100);
    put_pair(out, 24, nanos / 1_000 % 100);
    put_pair(out, 26, nanos / 10 % 100);
    out[28] = digit(nanos % 10);
    match (nanos % 1_000_000, nanos % 1_000) {
        (0, _) => 4,
        (_, 0) => 7,
        _ => 10,
    }
}

/// Writes `value`, 0 to 99, as two digits at `at`.
#[inline]
fn put_pair(out: &mut [u8; MAX_LEN], at: usize, value: i64) {
    out[at] = digit(value / 10);
    out[at + 1] = digit(value % 10);
}

/// The digit of `value`, 0 to 9.
#[inline]
fn digit(value: i64) -> u8 {
    b'0' + value as u8
}
