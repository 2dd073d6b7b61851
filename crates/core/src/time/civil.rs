//! Dates and times of any year, as text: carried times need not fit a timestamp.

use jiff::{Span, civil};

use super::{NANOS_PER_SECOND, SECONDS_PER_DAY, Timestamp};

/// Nanoseconds in a day of UTC.
const DAY: i128 = NANOS_PER_SECOND as i128 * SECONDS_PER_DAY as i128;

/// Appends the UTC date and time `nanos` nanoseconds after 1970-01-01, as RFC 3339 without the offset.
///
/// # Errors
///
/// A message if it is outside the years −9999 to 9999.
pub fn write_civil(nanos: i128, out: &mut Vec<u8>) -> Result<(), String> {
    if let Ok(nanos) = i64::try_from(nanos) {
        Timestamp::from_nanos(nanos).write_rfc3339(out);
        out.pop();
        return Ok(());
    }
    let shown = civil(nanos).map_err(|_| "before the year -9999 or after 9999")?;
    out.extend_from_slice(shown.to_string().as_bytes());
    Ok(())
}

fn civil(nanos: i128) -> Result<civil::DateTime, jiff::Error> {
    let days = i64::try_from(nanos.div_euclid(DAY)).unwrap_or(i64::MAX);
    // Below a day: it fits.
    let rest = nanos.rem_euclid(DAY) as i64;
    // In two steps: the parts of one span must have the same sign.
    let midnight = civil::date(1970, 1, 1).at(0, 0, 0, 0).checked_add(Span::new().try_days(days)?)?;
    midnight.checked_add(Span::new().try_nanoseconds(rest)?)
}
