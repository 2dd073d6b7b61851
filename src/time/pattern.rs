//! Timestamps described by a `strptime` pattern.

use jiff::Timestamp as Instant;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

use super::{TimeError, Timestamp, zone};

/// 2024-11-22T13:44:55.123456789Z: every part has all its digits, and the hour tells a 12-hour clock from a 24-hour one.
const SAMPLE_NANOS: i128 = 1_732_283_095_123_456_789;

/// A `strptime` pattern that is known to give a whole date, such as `%d.%m.%Y %H:%M:%S`.
///
/// The directives are those of [`jiff::fmt::strtime`]. A missing time of day is midnight; a two-digit year (`%y`)
/// is 1969 to 2068; a space matches any amount of space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Checks a pattern by writing and reading back a sample.
    ///
    /// # Errors
    ///
    /// A sentence saying why no timestamp could ever be read with it.
    pub fn new(text: &str) -> Result<Pattern, String> {
        match check(text) {
            Ok(()) => Ok(Pattern(text.into())),
            Err(reason) => Err(format!("time pattern `{text}` can't be used: {reason}")),
        }
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads `text`; a date and time without offset or zone is in `zone`, or in UTC.
    pub(super) fn parse(&self, text: &[u8], zone: Option<&TimeZone>) -> Result<Timestamp, TimeError> {
        let parts = BrokenDownTime::parse(self.0.as_bytes(), text).map_err(|_| TimeError::NotThePattern)?;
        if parts.second() == Some(59) && self.is_leap_second(text) {
            return Err(TimeError::LeapSecond);
        }
        if parts.iana_time_zone().is_some() {
            check_date(&parts)?;
            let zoned = parts.to_zoned_with(zone::database()).map_err(|_| TimeError::Zone)?;
            return Timestamp::from_wide_nanos(zoned.timestamp().as_nanosecond());
        }
        if parts.timestamp().is_some() || parts.offset().is_some() {
            check_date(&parts)?;
            let instant = parts.to_timestamp().map_err(|_| TimeError::OutOfRange)?;
            return Timestamp::from_wide_nanos(instant.as_nanosecond());
        }
        let datetime = parts.to_datetime().map_err(|_| date_error(&parts))?;
        zone::resolve_datetime(datetime, zone.unwrap_or(&TimeZone::UTC))
    }

    /// Whether the second of `text`, read as 59, is written 60: the library takes one for the other. It is if
    /// some `60`, changed to 58, changes the second. Only ever asked of second 59, so its price is not felt.
    #[cold]
    fn is_leap_second(&self, text: &[u8]) -> bool {
        let mut places = text.windows(2).enumerate().filter(|(_, two)| two == b"60");
        places.any(|(at, _)| {
            let mut changed = text.to_vec();
            changed[at..at + 2].copy_from_slice(b"58");
            BrokenDownTime::parse(self.0.as_bytes(), &changed).is_ok_and(|parts| parts.second() == Some(58))
        })
    }
}

/// Refuses parts that make no date, unless they name an instant without one.
fn check_date(parts: &BrokenDownTime) -> Result<(), TimeError> {
    match parts.timestamp() {
        Some(_) => Ok(()),
        None => parts.to_datetime().map(drop).map_err(|_| date_error(parts)),
    }
}

/// Why these parts, each in its own range, make no date.
fn date_error(parts: &BrokenDownTime) -> TimeError {
    let (Some(year), Some(month), Some(day)) = (parts.year(), parts.month(), parts.day()) else {
        return TimeError::NotThePattern;
    };
    match jiff::civil::Date::new(year, month, day) {
        Ok(_) => TimeError::NotThePattern,
        Err(_) => TimeError::NoSuchDay,
    }
}

/// Says what keeps a pattern from giving timestamps.
fn check(text: &str) -> Result<(), String> {
    let instant = Instant::from_nanosecond(SAMPLE_NANOS).map_err(|e| e.to_string())?;
    let sample = instant.to_zoned(TimeZone::UTC);
    let written = BrokenDownTime::from(&sample).to_string(text).map_err(|e| e.to_string())?;
    let parts = BrokenDownTime::parse(text, &written).map_err(|e| e.to_string())?;
    if parts.timestamp().is_some() {
        return match parts.subsec_nanosecond() {
            Some(_) => {
                Err("`%s` takes no fraction; the time format `s` reads seconds with a fraction".to_owned())
            }
            None => Ok(()),
        };
    }
    parts.to_datetime().map_err(|e| e.to_string())?;
    match parts.hour() {
        Some(hour) if hour != sample.hour() => {
            Err("a 12-hour clock (`%I`) needs `%p` for AM or PM".to_owned())
        }
        _ => Ok(()),
    }
}
