//! Why a field is not a timestamp.

use std::fmt;

/// Why a field could not be read as a timestamp. Costs one byte; the text and its position are the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeError {
    /// Not of the form `YYYY-MM-DDTHH:MM:SS[.fraction][offset]`, nor of those that stand for it.
    NotRfc3339,
    /// Not a plain decimal number, where the format is an epoch.
    NotANumber,
    /// Does not match the `strptime` pattern, or a part is outside what its directive takes.
    NotThePattern,
    /// The month is not 01 to 12.
    Month,
    /// The day is not 01 to 31.
    Day,
    /// The day is one that its month does not have that year, such as 30 February.
    NoSuchDay,
    /// The hour is not 00 to 23, nor is it the end of the day, 24:00:00.
    Hour,
    /// The minute is not 00 to 59.
    Minute,
    /// The second is above 60.
    Second,
    /// The second is 60. The Unix time line has no leap seconds, so it has no place there.
    LeapSecond,
    /// What follows the time of day is not `Z`, an offset with an hour to 23 and a minute to 59, a known abbreviation, or nothing.
    Offset,
    /// More fractional digits than a nanosecond holds.
    TooFine,
    /// Before 1677-09-21T00:12:43.145224192Z or after 2262-04-11T23:47:16.854775807Z.
    OutOfRange,
    /// A negative number of days, where they are counted from a day zero.
    NegativeDay,
    /// The text names a time zone that doesn't exist, or an offset that the zone it names doesn't have then.
    Zone,
}

impl TimeError {
    /// One line for a person: what is wrong, and where it helps, what would be right.
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
            TimeError::LeapSecond => "second 60: leap seconds are not on the Unix time line",
            TimeError::Offset => {
                "after the time of day expected Z, an offset from -23:59 to +23:59, an abbreviation that `zones` names, or nothing"
            }
            TimeError::TooFine => "finer than a nanosecond",
            TimeError::OutOfRange => "timestamp outside the years 1677 to 2262",
            TimeError::NegativeDay => "a negative number of days",
            TimeError::Zone => {
                "unknown time zone, or an offset that this time zone does not have then; abbreviations are named in `zones`"
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
