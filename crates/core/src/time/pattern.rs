//! Timestamps in the form of a `strptime` pattern.

use std::borrow::Cow;

use jiff::Timestamp as Instant;
use jiff::civil::{DateTime, Time};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone};

use super::directives::{Directives, scan};
use super::zones::Zones;
use super::{TimeError, Timestamp, zone};

/// 2024-11-22T13:44:55.123456789Z: every part has all its digits, and the hour distinguishes a 12-hour clock from a 24-hour one.
const SAMPLE_NANOS: i128 = 1_732_283_095_123_456_789;

/// The maximum length of a time in bytes. Some texts are parsed by trial, which takes quadratic time.
const LONGEST: usize = 256;

/// A `strptime` pattern that always gives a complete date, such as `%d.%m.%Y %H:%M:%S`, or a time of day alone, such as `%H:%M`.
///
/// The directives are those of [`jiff::fmt::strtime`]. A missing time of day is midnight, `24:00` is that of the next day; a two-digit year
/// (`%y`) is 1969 to 2068; a space matches any amount of whitespace. In addition, `%Z` is an abbreviation defined by the options; `%z`
/// accepts `+0100`, `+01:00`, `+01` and `Z`; `%.f` accepts a comma too. Numeric directives without a separator between them have all their
/// digits, except that an hour that comes first needs no leading zeros: `%H%M` parses 930 as 09:30.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    /// The pattern in the form for the calendar library.
    compiled: Box<str>,
    directives: Directives,
    is_time_of_day: bool,
}

/// The parsed parts of a text, on the date that they name or on the next day.
struct ParsedText {
    parts: BrokenDownTime,
    days: i32,
}

impl Pattern {
    /// Checks a pattern by formatting and parsing a sample.
    ///
    /// # Errors
    ///
    /// Why the pattern cannot give timestamps.
    pub fn new(text: &str) -> Result<Pattern, String> {
        let (compiled, directives) = scan(text);
        match check(&compiled) {
            Ok(is_time_of_day) => {
                Ok(Pattern { text: text.into(), compiled: compiled.into(), directives, is_time_of_day })
            }
            Err(reason) => Err(format!("time pattern `{text}` can't be used: {reason}")),
        }
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it gives a time of day without a date.
    #[must_use]
    pub fn is_time_of_day(&self) -> bool {
        self.is_time_of_day
    }

    /// Whether its texts include their offset from UTC.
    pub(super) fn is_absolute(&self) -> bool {
        self.directives.has_offset
    }

    /// Whether it contains time zone abbreviations.
    pub(super) fn names_zones(&self) -> bool {
        self.directives.has_zone_name
    }

    /// Parses `text`; a date and time without offset or zone is in `zone`, or in UTC.
    pub(super) fn parse(
        &self,
        text: &[u8],
        zone: Option<&TimeZone>,
        zones: &Zones,
    ) -> Result<Timestamp, TimeError> {
        let text = self.directives.adapt(text, zones)?;
        self.read(&text)?.timestamp(zone)
    }

    /// Parses `text`, a time of day; 24:00 is 00:00.
    pub(super) fn time_of_day(&self, text: &[u8], zones: &Zones) -> Result<Time, TimeError> {
        let text = self.directives.adapt(text, zones)?;
        self.read(&text)?.parts.to_time().map_err(|_| TimeError::NotThePattern)
    }

    fn read(&self, text: &[u8]) -> Result<ParsedText, TimeError> {
        if text.len() > LONGEST {
            return Err(TimeError::NotThePattern);
        }
        let Ok(parts) = self.parts(text) else { return self.read_otherwise(text) };
        if parts.second() == Some(59) && self.is_leap_second(text) {
            return Err(TimeError::LeapSecond);
        }
        Ok(ParsedText { parts, days: 0 })
    }

    fn parts(&self, text: &[u8]) -> Result<BrokenDownTime, TimeError> {
        BrokenDownTime::parse(self.compiled.as_bytes(), text).map_err(|_| TimeError::NotThePattern)
    }

    /// Parses what the library does not: other forms of offsets, and the end of a day.
    #[cold]
    fn read_otherwise(&self, text: &[u8]) -> Result<ParsedText, TimeError> {
        let text = self.directives.with_whole_offset(text);
        if let Cow::Owned(text) = &text
            && let Ok(parts) = self.parts(text)
        {
            return Ok(ParsedText { parts, days: 0 });
        }
        self.end_of_day(&text).map(|parts| ParsedText { parts, days: 1 }).ok_or(TimeError::NotThePattern)
    }

    /// The parts of a text whose hour is 24, with hour 0. It is 24 if replacing some `24` by 00 and by 01 changes the hour accordingly.
    fn end_of_day(&self, text: &[u8]) -> Option<BrokenDownTime> {
        let with = |at: usize, hour: &[u8; 2]| {
            let mut changed = text.to_vec();
            changed[at..at + 2].copy_from_slice(hour);
            self.parts(&changed).ok()
        };
        let places = text.windows(2).enumerate().filter(|(_, two)| two == b"24").map(|(at, _)| at);
        let mut midnights = places.filter_map(|at| {
            let is_hour = with(at, b"01")?.hour() == Some(1);
            with(at, b"00").filter(|parts| is_hour && parts.hour() == Some(0))
        });
        let is_midnight = |parts: &BrokenDownTime| {
            [parts.minute(), parts.second()].iter().all(|part| part.is_none_or(|part| part == 0))
                && parts.subsec_nanosecond().is_none_or(|nanos| nanos == 0)
        };
        midnights.next().filter(is_midnight)
    }

    /// Whether the second of `text`, parsed as 59, is written as 60, which the library maps to 59. It is if replacing some `60` by 58
    /// changes the second. Only called for second 59, so its cost does not matter.
    #[cold]
    fn is_leap_second(&self, text: &[u8]) -> bool {
        let mut places = text.windows(2).enumerate().filter(|(_, two)| two == b"60");
        places.any(|(at, _)| {
            let mut changed = text.to_vec();
            changed[at..at + 2].copy_from_slice(b"58");
            self.parts(&changed).is_ok_and(|parts| parts.second() == Some(58))
        })
    }
}

impl ParsedText {
    fn timestamp(&self, zone: Option<&TimeZone>) -> Result<Timestamp, TimeError> {
        let parts = &self.parts;
        if let Some(name) = parts.iana_time_zone() {
            let datetime = self.datetime()?;
            return match parts.offset() {
                // Both have to match: the library validates that.
                Some(_) => instant(
                    parts.to_zoned_with(zone::database()).map(|zoned| zoned.timestamp()),
                    TimeError::Zone,
                ),
                None => {
                    let zone = zone::database().get(name).map_err(|_| TimeError::Zone)?;
                    zone::resolve_datetime(datetime, &zone)
                }
            };
        }
        if parts.timestamp().is_some() {
            return instant(parts.to_timestamp(), TimeError::OutOfRange);
        }
        let datetime = self.datetime()?;
        match parts.offset() {
            Some(offset) => instant(Offset::to_timestamp(offset, datetime), TimeError::OutOfRange),
            None => zone::resolve_datetime(datetime, zone.unwrap_or(&TimeZone::UTC)),
        }
    }

    /// The local date and time.
    fn datetime(&self) -> Result<DateTime, TimeError> {
        let datetime = self.parts.to_datetime().map_err(|_| date_error(&self.parts))?;
        match self.days {
            0 => Ok(datetime),
            days => datetime.checked_add(jiff::Span::new().days(days)).map_err(|_| TimeError::OutOfRange),
        }
    }
}

fn instant(instant: Result<Instant, jiff::Error>, error: TimeError) -> Result<Timestamp, TimeError> {
    Timestamp::from_wide_nanos(instant.map_err(|_| error)?.as_nanosecond())
}

/// Why these parts, each within its range, are not a date.
fn date_error(parts: &BrokenDownTime) -> TimeError {
    let (Some(year), Some(month), Some(day)) = (parts.year(), parts.month(), parts.day()) else {
        return TimeError::NotThePattern;
    };
    match jiff::civil::Date::new(year, month, day) {
        Ok(_) => TimeError::NotThePattern,
        Err(_) => TimeError::NoSuchDay,
    }
}

/// Why a pattern cannot give timestamps, or whether it gives times of day.
fn check(text: &str) -> Result<bool, String> {
    let instant = Instant::from_nanosecond(SAMPLE_NANOS).map_err(|e| e.to_string())?;
    let sample = instant.to_zoned(TimeZone::UTC);
    let written = BrokenDownTime::from(&sample).to_string(text).map_err(|e| e.to_string())?;
    let parts = BrokenDownTime::parse(text, &written).map_err(|e| e.to_string())?;
    if parts.timestamp().is_some() {
        return match parts.subsec_nanosecond() {
            Some(_) => {
                Err("`%s` takes no fraction; the time format `s` reads seconds with a fraction".to_owned())
            }
            None => Ok(false),
        };
    }
    let is_time_of_day = parts.hour().is_some() && !has_date(&parts);
    match is_time_of_day {
        true => parts.to_time().map(drop),
        false => parts.to_datetime().map(drop),
    }
    .map_err(|e| e.to_string())?;
    match parts.hour() {
        Some(hour) if hour != sample.hour() => {
            Err("a 12-hour clock (`%I`) needs `%p` for AM or PM".to_owned())
        }
        _ => Ok(is_time_of_day),
    }
}

/// Whether any part of a date is given.
fn has_date(parts: &BrokenDownTime) -> bool {
    parts.year().is_some()
        || parts.month().is_some()
        || parts.day().is_some()
        || parts.day_of_year().is_some()
        || parts.iso_week().is_some()
        || parts.iso_week_year().is_some()
        || parts.weekday().is_some()
        || parts.sunday_based_week().is_some()
        || parts.monday_based_week().is_some()
        || parts.offset().is_some()
        || parts.iana_time_zone().is_some()
}
