//! IANA time zones, from the bundled database.
//!
//! The machine's own database is never used: the same input must give the same output on every machine, so the rules of time zones change
//! only with a release.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use super::rfc3339::Civil;
use super::{TimeError, Timestamp, zones};

/// The bundled database.
static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The database of all zones.
pub(super) fn database() -> &'static TimeZoneDatabase {
    &BUNDLED
}

/// The zone with this IANA name, case-insensitive, or with a fixed offset such as `+05:30`.
///
/// # Errors
///
/// A message with a suggestion, or the form of valid names.
pub(super) fn find(name: &str) -> Result<TimeZone, String> {
    if name.starts_with(['+', '-']) {
        let offset = zones::seconds(name.as_bytes()).and_then(|seconds| Offset::from_seconds(seconds).ok());
        return offset.map(TimeZone::fixed).ok_or_else(|| {
            format!("`{name}` is not an offset from UTC; write `+01:00` or `-0330`, or an IANA name such as `Europe/Berlin`")
        });
    }
    database().get(name).map_err(|_| match similar(name) {
        Some(known) => format!("unknown time zone `{name}`; did you mean `{known}`?"),
        None => format!("unknown time zone `{name}`; expected an IANA name such as `Europe/Berlin` or `UTC`"),
    })
}

/// A zone whose city is `name`: `berlin` suggests `Europe/Berlin`.
fn similar(name: &str) -> Option<String> {
    let wanted = name.trim().replace(' ', "_");
    let city = wanted.rsplit('/').next().filter(|city| !city.is_empty())?;
    let is_city =
        |known: &str| known.rsplit_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(city));
    database().available().map(|known| known.as_str().to_owned()).find(|known| is_city(known))
}

/// The timestamp of this local date and time in `zone`. If clocks skip it, it is moved forward by the length of the jump; if it occurs
/// twice, it is the first occurrence.
pub(super) fn resolve(civil: &Civil, zone: &TimeZone) -> Result<Timestamp, TimeError> {
    let [month, day, hour, minute, second] =
        [civil.month, civil.day, civil.hour, civil.minute, civil.second].map(u8::cast_signed);
    let datetime =
        DateTime::new(civil.year.cast_signed(), month, day, hour, minute, second, civil.nanos.cast_signed());
    resolve_datetime(datetime.map_err(|_| TimeError::OutOfRange)?, zone)
}

/// As [`resolve`], for the UTC date and time of `clock`.
pub(super) fn resolve_clock(clock: Timestamp, zone: &TimeZone) -> Result<Timestamp, TimeError> {
    let instant = jiff::Timestamp::from_nanosecond(i128::from(clock.as_nanos()));
    let instant = instant.map_err(|_| TimeError::OutOfRange)?;
    resolve_datetime(TimeZone::UTC.to_datetime(instant), zone)
}

/// As [`resolve`], for a date and time of the calendar library.
pub(super) fn resolve_datetime(datetime: DateTime, zone: &TimeZone) -> Result<Timestamp, TimeError> {
    let instant = zone.to_ambiguous_timestamp(datetime).compatible().map_err(|_| TimeError::OutOfRange)?;
    Timestamp::from_wide_nanos(instant.as_nanosecond())
}
