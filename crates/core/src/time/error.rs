//! Why a text is not a timestamp.

use std::fmt;

/// Why a text is not a timestamp. One byte; the caller knows the text and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeError {
    /// Not of the form `YYYY-MM-DDTHH:MM:SS[.fraction][offset]`, or one of its accepted variants.
    NotRfc3339,
    /// Not a plain decimal number, as the epoch format requires.
    NotANumber,
    /// Does not match the `strptime` pattern, or a part is out of its directive's range.
    NotThePattern,
    /// The month is not 01 to 12.
    Month,
    /// The day is not 01 to 31.
    Day,
    /// The month does not have this day in that year, such as 30 February.
    NoSuchDay,
    /// The hour is not 00 to 23, nor is it 24:00:00, the end of the day.
    Hour,
    /// The minute is not 00 to 59.
    Minute,
    /// The second is above 60.
    Second,
    /// The second is 60. Unix time has no leap seconds.
    LeapSecond,
    /// The text after the time of day is not `Z`, an offset with an hour up to 23 and a minute up to 59, or a known abbreviation.
    Offset,
    /// More fractional digits than nanoseconds.
    TooFine,
    /// Before 1677-09-21T00:12:43.145224192Z or after 2262-04-11T23:47:16.854775807Z.
    OutOfRange,
    /// A negative number of days in a day count.
    NegativeDay,
    /// An unknown time zone, or an offset that the named zone does not have at that time.
    Zone,
}

impl TimeError {
    /// A message in one line: what is wrong and, if it helps, what is expected.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            TimeError::NotRfc3339 => "not a timestamp like 2024-02-29T12:00:00Z",
            TimeError::NotANumber => "not a timestamp: expected a number such as 1700000000 or 1700000000.25",
            TimeError::NotThePattern => {
                "not a timestamp of the given pattern, or a part of it is out of range"
            }
            TimeError::Month => "month out of range 01 to 12",
            TimeError::Day => "day out of range 01 to 31",
            TimeError::NoSuchDay => "that month has no such day",
            TimeError::Hour => "hour out of range 00 to 23, and not the end of the day, 24:00",
            TimeError::Minute => "minute out of range 00 to 59",
            TimeError::Second => "second out of range 00 to 59",
            TimeError::LeapSecond => "second 60: Unix time has no leap seconds",
            TimeError::Offset => {
                "expected Z, an offset from -23:59 to +23:59, an abbreviation defined in `zones`, or nothing after the time of day"
            }
            TimeError::TooFine => "finer than a nanosecond",
            TimeError::OutOfRange => "timestamp outside the years 1677 to 2262",
            TimeError::NegativeDay => "a negative number of days",
            TimeError::Zone => {
                "unknown time zone, or an offset that this time zone does not have at that time; abbreviations are defined in `zones`"
            }
        }
    }
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for TimeError {}
