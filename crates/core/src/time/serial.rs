//! Days counted from a day zero, with the time of day as fraction: as in spreadsheets and astronomy.

use super::{TimeError, Timestamp};

/// The day zero of a day count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DayCount {
    /// 1899-12-30 00:00 in local time of the input's zone: Excel and OLE.
    Excel,
    /// 1904-01-01 00:00 in local time of the input's zone: Excel files created on an old Macintosh.
    Excel1904,
    /// Noon of 1 January 4713 BC (in the Julian calendar), UTC: Julian days.
    Julian,
    /// 1858-11-17 00:00 UTC: modified Julian days.
    ModifiedJulian,
}

/// Milliseconds in a day.
const DAY: i128 = 86_400_000;

/// The decimal digits of a day that are used: more would not change the milliseconds.
const PLACES: usize = 18;

/// 10 to the power [`PLACES`].
const SCALE: i128 = 1_000_000_000_000_000_000;

impl DayCount {
    /// Milliseconds from day zero to 1970-01-01.
    const fn zero(self) -> i128 {
        match self {
            DayCount::Excel => 25_569 * DAY,
            DayCount::Excel1904 => 24_107 * DAY,
            DayCount::Julian => 2_440_587 * DAY + DAY / 2,
            DayCount::ModifiedJulian => 40_587 * DAY,
        }
    }

    /// Whether days begin at local midnight in the input's zone.
    pub(super) fn is_local(self) -> bool {
        matches!(self, DayCount::Excel | DayCount::Excel1904)
    }

    /// Parses digits, and optionally a point or a comma with more digits, exactly; the result is rounded to the millisecond, half away from
    /// zero: a day in double precision is no finer, and spreadsheets display no more.
    pub(super) fn parse(self, text: &[u8]) -> Result<Timestamp, TimeError> {
        if text.first() == Some(&b'-') {
            return Err(TimeError::NegativeDay);
        }
        let mark = text.iter().position(|byte| matches!(byte, b'.' | b','));
        let (whole, fraction) = text.split_at(mark.unwrap_or(text.len()));
        let fraction = fraction.get(1..).unwrap_or_default();
        let is_number = !whole.is_empty() && (mark.is_none() || !fraction.is_empty());
        if !is_number || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
            return Err(TimeError::NotANumber);
        }
        let zeros = whole.iter().take_while(|&&byte| byte == b'0').count();
        let whole = &whole[zeros..];
        // Day 9,999,999 is in the year 29,278, or in 22,665.
        if whole.len() > 7 {
            return Err(TimeError::OutOfRange);
        }
        let padding = std::iter::repeat_n(&b'0', PLACES.saturating_sub(fraction.len()));
        let digits = whole.iter().chain(fraction.iter().take(PLACES)).chain(padding);
        let scaled = digits.fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
        let millis = (scaled * DAY + SCALE / 2) / SCALE - self.zero();
        Timestamp::from_wide_nanos(millis * 1_000_000)
    }
}
