//! Event time: parsing, ordering, formatting.
//!
//! Inside a pipeline, every time is a [`Timestamp`]: nanoseconds since 1970-01-01 UTC. A [`TimeParser`], built once from a [`TimeFormat`]
//! and used for every record, parses text; [`Timestamp::write_rfc3339`] formats it. Durations are plain `i64` nanoseconds, written as `5m`
//! or `1h30m` ([`parse_duration`], [`format_duration`]). A [`Watermark`] is the time that a source has reached; [`Reached`] derives
//! it from the records.
//!
//! ```
//! use tidemill_core::time::{TimeFormat, TimeParser};
//!
//! let parser = TimeParser::new(TimeFormat::parse("rfc3339")?, Some("Europe/Berlin"))?;
//! let time = parser.parse(b"2024-07-01 12:00:00.5").map_err(|e| e.to_string())?;
//! assert_eq!(time.to_string(), "2024-07-01T10:00:00.500Z");
//! # Ok::<(), String>(())
//! ```
//!
//! Nothing here reads the clock (except [`Clock`]), the environment or the machine's time zone files.

mod alike;
#[cfg(test)]
mod calendar_tests;
mod civil;
mod clock;
mod days;
mod directives;
mod duration;
mod epoch;
mod error;
mod folds;
mod iso8601;
mod lanes;
mod near;
mod parser;
mod pattern;
#[cfg(test)]
mod pattern_tests;
mod period;
mod quiet;
mod reached;
mod rfc3339;
#[cfg(test)]
mod rfc3339_tests;
mod serial;
#[cfg(test)]
mod testing;
mod timestamp;
#[cfg(test)]
mod timestamp_tests;
mod watermark;
mod zone;
#[cfg(test)]
mod zone_tests;
mod zones;

pub(crate) use alike::Alike;
pub use civil::write_civil;
pub use clock::Clock;
pub use days::DayClock;
pub use duration::{format_duration, parse_duration};
pub use error::TimeError;
pub use folds::Folds;
pub(crate) use lanes::{LANES, Texts};
pub(crate) use near::{Halves, Near};
pub use parser::{EpochUnit, TimeFormat, TimeParser};
pub use pattern::Pattern;
pub use period::Period;
pub use quiet::{Deadlines, quiet_at};
pub use reached::{Agreement, Reached};
pub use serial::DayCount;
pub use timestamp::Timestamp;
pub use watermark::Watermark;

/// Nanoseconds in a second.
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Seconds in a day of UTC.
const SECONDS_PER_DAY: i64 = 86_400;
