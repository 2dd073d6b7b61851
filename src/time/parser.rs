//! From the text of a field to a timestamp.

use std::fmt;

use jiff::tz::TimeZone;

use super::{Pattern, TimeError, Timestamp, epoch, rfc3339, zone};

/// How the timestamps of an input are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2024-02-29T12:00:00.25+01:00`; see [`TimeParser::parse`] for what is taken.
    Rfc3339,
    /// A `strptime` pattern.
    Pattern(Pattern),
    /// A decimal number of units since 1970-01-01 UTC.
    Epoch(EpochUnit),
}

/// The unit of timestamps written as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Thousandths of a second.
    Millis,
    /// Millionths of a second.
    Micros,
    /// Thousand-millionths of a second.
    Nanos,
}

impl EpochUnit {
    /// Decimal places down to the nanosecond.
    const fn places(self) -> usize {
        match self {
            EpochUnit::Seconds => 9,
            EpochUnit::Millis => 6,
            EpochUnit::Micros => 3,
            EpochUnit::Nanos => 0,
        }
    }
}

impl TimeFormat {
    /// Reads a format's name: `rfc3339`, `s`, `ms`, `us`, `ns`, or a `strptime` pattern, which contains a `%`.
    ///
    /// # Errors
    ///
    /// A sentence that names what is allowed, or what is wrong with the pattern.
    pub fn parse(text: &str) -> Result<TimeFormat, String> {
        match text {
            "rfc3339" => Ok(TimeFormat::Rfc3339),
            "s" => Ok(TimeFormat::Epoch(EpochUnit::Seconds)),
            "ms" => Ok(TimeFormat::Epoch(EpochUnit::Millis)),
            "us" => Ok(TimeFormat::Epoch(EpochUnit::Micros)),
            "ns" => Ok(TimeFormat::Epoch(EpochUnit::Nanos)),
            _ if text.contains('%') => Pattern::new(text).map(TimeFormat::Pattern),
            _ => Err(format!(
                "unknown time format `{text}`; expected `rfc3339`, `s`, `ms`, `us` or `ns` since 1970, \
                 or a strptime pattern such as `%d.%m.%Y %H:%M:%S`"
            )),
        }
    }
}

/// Writes the name that [`TimeFormat::parse`] reads.
impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TimeFormat::Rfc3339 => "rfc3339",
            TimeFormat::Pattern(pattern) => pattern.as_str(),
            TimeFormat::Epoch(EpochUnit::Seconds) => "s",
            TimeFormat::Epoch(EpochUnit::Millis) => "ms",
            TimeFormat::Epoch(EpochUnit::Micros) => "us",
            TimeFormat::Epoch(EpochUnit::Nanos) => "ns",
        })
    }
}

/// Reads the time column: built once for an input, shared by all its threads.
#[derive(Clone, Debug)]
pub struct TimeParser {
    format: TimeFormat,
    zone: Option<TimeZone>,
}

impl TimeParser {
    /// A parser of this format. Dates and times without an offset are in the IANA zone `timezone`, by default UTC;
    /// an epoch counts from 1970-01-01 UTC in every zone.
    ///
    /// # Errors
    ///
    /// A sentence for a person if there is no such zone.
    pub fn new(format: TimeFormat, timezone: Option<&str>) -> Result<TimeParser, String> {
        let zone = timezone.map(zone::find).transpose()?;
        Ok(TimeParser { format, zone })
    }

    /// The format this parser reads.
    #[must_use]
    pub fn format(&self) -> &TimeFormat {
        &self.format
    }

    /// Reads one field, which holds the timestamp and nothing else: no spaces around it.
    ///
    /// RFC 3339 is `YYYY-MM-DD`, then `T`, `t` or one space, `HH:MM:SS`, optionally `.` and 1 to 9 digits, then
    /// `Z`, `z`, `±HH:MM` or nothing. Without an offset the time is that of the parser's zone: a time that the clocks
    /// skip there is moved on by the length of the jump (02:30 becomes 03:30), one that they show twice is the first.
    ///
    /// An epoch is an optional sign, digits, and optionally `.` and more digits; no exponent. It is exact: digits
    /// finer than a nanosecond are refused unless they are zeros.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, as a [`TimeError`].
    #[inline]
    pub fn parse(&self, text: &[u8]) -> Result<Timestamp, TimeError> {
        match &self.format {
            TimeFormat::Rfc3339 => self.parse_rfc3339(text),
            TimeFormat::Epoch(unit) => epoch::parse(text, unit.places()),
            TimeFormat::Pattern(pattern) => pattern.parse(text, self.zone.as_ref()),
        }
    }

    /// The timestamp at which clocks in the parser's zone show what clocks in UTC show at `clock`: for inputs that
    /// store dates and times without a zone as if they were UTC. Jumps of the clocks are treated as by
    /// [`TimeParser::parse`].
    ///
    /// # Errors
    ///
    /// [`TimeError::OutOfRange`] where that lies outside the covered range.
    pub fn local(&self, clock: Timestamp) -> Result<Timestamp, TimeError> {
        self.zone.as_ref().map_or(Ok(clock), |zone| zone::resolve_clock(clock, zone))
    }

    /// Reads RFC 3339; only a time without an offset asks for the zone.
    #[inline]
    fn parse_rfc3339(&self, text: &[u8]) -> Result<Timestamp, TimeError> {
        let (civil, offset) = rfc3339::parse(text)?;
        match (offset, &self.zone) {
            (None, Some(zone)) => zone::resolve(&civil, zone),
            _ => Timestamp::from_parts(civil.seconds() - i64::from(offset.unwrap_or(0)), civil.nanos),
        }
    }
}
