//! Parses the text of a field to a timestamp.

use std::collections::BTreeMap;
use std::fmt;

use jiff::tz::TimeZone;

use super::days::DayClock;
use super::epoch::Epochs;
use super::folds::Folds;
use super::near::{Near, Places};
use super::zones::Zones;
use super::{DayCount, Pattern, TimeError, Timestamp, epoch, iso8601, rfc3339, zone};

/// How the timestamps of an input are written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeFormat {
    /// `2024-02-29T12:00:00.25+01:00`; see [`TimeParser::parse`] for accepted variants.
    Rfc3339,
    /// A `strptime` pattern: of a date with or without a time of day, or of a time of day alone.
    Pattern(Pattern),
    /// A decimal number of units since 1970-01-01 UTC, or since another start.
    Epoch(EpochUnit),
    /// A number of days, with the time of day as fraction.
    Days(DayCount),
}

/// The unit of numeric timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl EpochUnit {
    /// Decimal digits from the unit down to the nanosecond.
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
    /// Parses a format's name: `rfc3339`, `s`, `ms`, `us`, `ns`, `excel`, `excel1904`, `julian`, `mjd`, or a `strptime` pattern, which
    /// contains a `%`.
    ///
    /// # Errors
    ///
    /// A message with the valid names, or what is wrong with the pattern.
    pub fn parse(text: &str) -> Result<TimeFormat, String> {
        match text {
            "rfc3339" => Ok(TimeFormat::Rfc3339),
            "s" => Ok(TimeFormat::Epoch(EpochUnit::Seconds)),
            "ms" => Ok(TimeFormat::Epoch(EpochUnit::Millis)),
            "us" => Ok(TimeFormat::Epoch(EpochUnit::Micros)),
            "ns" => Ok(TimeFormat::Epoch(EpochUnit::Nanos)),
            "excel" => Ok(TimeFormat::Days(DayCount::Excel)),
            "excel1904" => Ok(TimeFormat::Days(DayCount::Excel1904)),
            "julian" => Ok(TimeFormat::Days(DayCount::Julian)),
            "mjd" => Ok(TimeFormat::Days(DayCount::ModifiedJulian)),
            _ if text.contains('%') => Pattern::new(text).map(TimeFormat::Pattern),
            _ => Err(format!(
                "unknown time format `{text}`; expected `rfc3339`, `s`, `ms`, `us` or `ns` since 1970, \
                 `excel`, `excel1904`, `julian` or `mjd` for days, or a strptime pattern such as `%d.%m.%Y %H:%M:%S`"
            )),
        }
    }
}

/// Formats the name that [`TimeFormat::parse`] parses.
impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TimeFormat::Rfc3339 => "rfc3339",
            TimeFormat::Pattern(pattern) => pattern.as_str(),
            TimeFormat::Epoch(EpochUnit::Seconds) => "s",
            TimeFormat::Epoch(EpochUnit::Millis) => "ms",
            TimeFormat::Epoch(EpochUnit::Micros) => "us",
            TimeFormat::Epoch(EpochUnit::Nanos) => "ns",
            TimeFormat::Days(DayCount::Excel) => "excel",
            TimeFormat::Days(DayCount::Excel1904) => "excel1904",
            TimeFormat::Days(DayCount::Julian) => "julian",
            TimeFormat::Days(DayCount::ModifiedJulian) => "mjd",
        })
    }
}

/// Parses the time column: built once per input, shared by all threads.
#[derive(Clone, Debug)]
pub struct TimeParser {
    format: TimeFormat,
    zone: Option<TimeZone>,
    zones: Zones,
    start: Option<Timestamp>,
}

impl TimeParser {
    /// A parser of this format. Dates and times without an offset are local times in `timezone`, an IANA name or an offset, by default UTC;
    /// an epoch counts from 1970-01-01 UTC in every zone.
    ///
    /// # Errors
    ///
    /// A message if there is no such zone.
    pub fn new(format: TimeFormat, timezone: Option<&str>) -> Result<TimeParser, String> {
        let zone = timezone.map(zone::find).transpose()?;
        Ok(TimeParser { format, zone, zones: Zones::default(), start: None })
    }

    /// A parser of RFC 3339 in which times without an offset are in UTC.
    #[must_use]
    pub fn utc() -> TimeParser {
        TimeParser { format: TimeFormat::Rfc3339, zone: None, zones: Zones::default(), start: None }
    }

    /// Adds the offsets of time zone abbreviations, such as `+01:00`.
    ///
    /// # Errors
    ///
    /// A message if an offset is invalid, or the format cannot contain abbreviations.
    pub fn with_zones(mut self, zones: &BTreeMap<String, String>) -> Result<TimeParser, String> {
        self.zones = Zones::new(zones)?;
        let names_zones = match &self.format {
            TimeFormat::Rfc3339 => true,
            TimeFormat::Pattern(pattern) => pattern.names_zones(),
            TimeFormat::Epoch(_) | TimeFormat::Days(_) => false,
        };
        match names_zones || self.zones.is_empty() {
            true => Ok(self),
            false => Err(format!(
                "the time format `{}` has no time zone abbreviations; in a pattern they are `%Z`",
                self.format
            )),
        }
    }

    /// Adds the start of relative times: numbers of units since `start`, or times of day from then on. `start` is parsed by
    /// [`TimeParser::moment`].
    ///
    /// # Errors
    ///
    /// A message if `start` is not a time, or the format has absolute times.
    pub fn with_start(mut self, start: &str) -> Result<TimeParser, String> {
        let is_relative = match &self.format {
            TimeFormat::Epoch(_) => true,
            TimeFormat::Pattern(pattern) => pattern.is_time_of_day(),
            TimeFormat::Rfc3339 | TimeFormat::Days(_) => false,
        };
        if !is_relative {
            return Err(format!("the time format `{}` has absolute times, which need no start", self.format));
        }
        self.start = Some(self.moment(start)?);
        Ok(self)
    }

    /// Checks that nothing required by the format is missing.
    ///
    /// # Errors
    ///
    /// A message if times of day have no start.
    pub fn check(&self) -> Result<(), String> {
        match self.is_time_of_day() && self.start.is_none() {
            true => Err(format!(
                "`{}` gives times of day without a date; name the day that they begin with in `start`, such as \
                 start = \"2024-01-01T00:00:00Z\"",
                self.format
            )),
            false => Ok(()),
        }
    }

    /// The format of this parser.
    #[must_use]
    pub fn format(&self) -> &TimeFormat {
        &self.format
    }

    /// The name of the parser's time zone, if it has one.
    #[must_use]
    pub fn timezone(&self) -> Option<&str> {
        self.zone.as_ref()?.iana_name()
    }

    /// Whether its texts are times of day without a date. [`TimeParser::parse`] then returns the first such time from the start on; later
    /// days follow from the order of the records.
    #[must_use]
    pub fn is_time_of_day(&self) -> bool {
        matches!(&self.format, TimeFormat::Pattern(pattern) if pattern.is_time_of_day())
    }

    /// Parses one field that contains nothing but the timestamp, without surrounding spaces.
    ///
    /// RFC 3339 is `YYYY-MM-DD`, then `T`, `t` or one space, `HH:MM:SS`, optionally `.` and 1 to 9 digits, then `Z`, `z`, `±HH:MM` or
    /// nothing. Without an offset it is a local time in the parser's zone: a time that the clocks skip is moved forward by the length of
    /// the jump (02:30 becomes 03:30), and one that occurs twice is the first occurrence. Also accepted are `HH:MM` without seconds;
    /// `YYYYMMDD` and `HHMMSS` without separators, with a `T`, a space or nothing between them; a comma before the fraction; `±HHMM` and
    /// `±HH`, `UTC`, `GMT` and the abbreviations that the parser knows, with or without a space before them; and `24:00:00`, which is
    /// 00:00:00 of the next day.
    ///
    /// An epoch is an optional sign, digits, optionally `.` or `,` and more digits, and optionally an exponent such as `e+09`. It is exact:
    /// non-zero digits below the nanosecond are rejected. Days are the same without sign and exponent, rounded to the millisecond.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, as a [`TimeError`].
    #[inline]
    pub fn parse(&self, text: &[u8]) -> Result<Timestamp, TimeError> {
        match &self.format {
            TimeFormat::Rfc3339 => self.parse_rfc3339(text),
            format => self.parse_other(format, text),
        }
    }

    /// Separate, so that the usual format is parsed without matching all others.
    #[inline(never)]
    fn parse_other(&self, format: &TimeFormat, text: &[u8]) -> Result<Timestamp, TimeError> {
        match format {
            TimeFormat::Rfc3339 => self.parse_rfc3339(text),
            TimeFormat::Epoch(unit) => {
                let time = epoch::parse(text, unit.places())?;
                match self.start {
                    None => Ok(time),
                    Some(start) => start.checked_add(time.as_nanos()).ok_or(TimeError::OutOfRange),
                }
            }
            TimeFormat::Pattern(pattern) if pattern.is_time_of_day() => self.time_of_day(pattern, text),
            TimeFormat::Pattern(pattern) => pattern.parse(text, self.zone.as_ref(), &self.zones),
            TimeFormat::Days(count) if count.is_local() => self.local(count.parse(text)?),
            TimeFormat::Days(count) => count.parse(text),
        }
    }

    /// The time of `text` if it is a number of 8 to 19 digits since 1970 and nothing else. `None` says nothing: [`TimeParser::parse`] may parse it.
    #[inline]
    pub(crate) fn plain_epoch(&self, text: &[u8]) -> Option<Timestamp> {
        match self.format {
            TimeFormat::Epoch(unit) if self.start.is_none() => epoch::plain(text, unit.places()),
            _ => None,
        }
    }

    /// What numbers of `length` digits have in common, each of which [`TimeParser::plain_epoch`] reads.
    pub(crate) fn epochs(&self, length: usize) -> Option<Epochs> {
        match self.format {
            TimeFormat::Epoch(unit) if self.start.is_none() => Epochs::new(length, unit.places()),
            _ => None,
        }
    }

    /// What `text`, which was parsed as `time`, has in common with others of its hour: [`Near::read`] then parses those. `known` are the places of an earlier
    /// text. `None` in other formats, or if the hour is not like others.
    pub(crate) fn near(&self, text: &[u8], time: Timestamp, known: Option<Places>) -> Option<Near> {
        let learn = || Near::learn(text, time, known, |text| self.parse(text).ok());
        match &self.format {
            TimeFormat::Rfc3339 => match rfc3339::parse(text) {
                Ok((_, offset)) if offset.is_some() || self.zone.is_none() => {
                    Near::new(text, time, Places::rfc3339(text)).or_else(learn)
                }
                _ => learn(),
            },
            TimeFormat::Pattern(_) => learn(),
            TimeFormat::Epoch(_) | TimeFormat::Days(_) => None,
        }
    }

    /// Reinterprets the UTC date and time of `clock` as local time in the parser's zone: for inputs that store local dates and times
    /// without a zone as if they were UTC. Clock changes are handled as in [`TimeParser::parse`].
    ///
    /// # Errors
    ///
    /// [`TimeError::OutOfRange`] if the result is outside the range of timestamps.
    pub fn local(&self, clock: Timestamp) -> Result<Timestamp, TimeError> {
        self.zone.as_ref().map_or(Ok(clock), |zone| zone::resolve_clock(clock, zone))
    }

    /// Parses a time in an option: in the format `rfc3339`, whatever the parser's own format is, or a date alone, which is its midnight in
    /// the parser's zone.
    ///
    /// # Errors
    ///
    /// A message.
    pub fn moment(&self, text: &str) -> Result<Timestamp, String> {
        let written = text.trim();
        let midnight = || self.parse_rfc3339(format!("{written}T00:00:00").as_bytes()).ok();
        let time = self.parse_rfc3339(written.as_bytes());
        time.or_else(|why| midnight().filter(|_| written.len() == 10).ok_or(why)).map_err(|why| {
            format!("`{text}` is not a time: {why}; write `2024-02-29` or `2024-02-29T12:00:00Z`")
        })
    }

    /// The local times of the parser's zone that occur twice; `None` if there are none, or no text is a local time.
    #[must_use]
    pub fn folds(&self) -> Option<Folds> {
        let zone =
            self.zone.as_ref().filter(|zone| zone.to_fixed_offset().is_err() && self.may_be_local())?;
        Some(Folds::new(zone.clone()))
    }

    /// How times of day continue in the parser's zone, and the start; `None` for other formats.
    #[must_use]
    pub fn day_clock(&self) -> Option<(DayClock, Timestamp)> {
        let start = self.start.filter(|_| self.is_time_of_day())?;
        Some((DayClock::new(self.zone.clone()), start))
    }

    /// Whether `text`, which [`TimeParser::parse`] accepts, is a local time in the parser's zone: without an offset of its own.
    #[must_use]
    pub fn is_local(&self, text: &[u8]) -> bool {
        match &self.format {
            TimeFormat::Rfc3339 => self.read_rfc3339(text).is_ok_and(|(_, offset)| offset.is_none()),
            _ => self.may_be_local(),
        }
    }

    /// Whether the format allows times without an offset.
    #[must_use]
    pub fn may_be_local(&self) -> bool {
        match &self.format {
            TimeFormat::Rfc3339 => true,
            TimeFormat::Pattern(pattern) => !pattern.is_absolute(),
            TimeFormat::Days(count) => count.is_local(),
            TimeFormat::Epoch(_) => false,
        }
    }

    /// Parses RFC 3339 and its accepted variants.
    #[inline]
    fn parse_rfc3339(&self, text: &[u8]) -> Result<Timestamp, TimeError> {
        match rfc3339::parse(text) {
            Ok((civil, offset)) => self.placed(&civil, offset),
            Err(refusal) => self.parse_iso8601(text, refusal),
        }
    }

    /// Parses the less usual forms, out of the way of the usual one.
    #[cold]
    #[inline(never)]
    fn parse_iso8601(&self, text: &[u8], refusal: TimeError) -> Result<Timestamp, TimeError> {
        let (civil, offset) = iso8601::parse(text, &self.zones, refusal)?;
        self.placed(&civil, offset)
    }

    /// Only a time without an offset needs the zone.
    #[inline]
    fn placed(&self, civil: &rfc3339::Civil, offset: Option<i32>) -> Result<Timestamp, TimeError> {
        match (offset, &self.zone) {
            (None, Some(zone)) => zone::resolve(civil, zone),
            _ => Timestamp::from_parts(civil.seconds() - i64::from(offset.unwrap_or(0)), civil.nanos),
        }
    }

    fn read_rfc3339(&self, text: &[u8]) -> Result<(rfc3339::Civil, Option<i32>), TimeError> {
        rfc3339::parse(text).or_else(|refusal| iso8601::parse(text, &self.zones, refusal))
    }

    /// The first such time of day from the start on.
    fn time_of_day(&self, pattern: &Pattern, text: &[u8]) -> Result<Timestamp, TimeError> {
        let time = pattern.time_of_day(text, &self.zones)?;
        let start = self.start.unwrap_or(Timestamp::from_nanos(0));
        DayClock::new(self.zone.clone()).next(time, start).ok_or(TimeError::OutOfRange)
    }
}
