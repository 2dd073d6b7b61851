//! Variants of ISO 8601 that RFC 3339 does not allow. Tried only if [`rfc3339`] rejects a text, so that other texts do not pay for it.

use super::rfc3339::{self, Civil};
use super::zones::Zones;
use super::{SECONDS_PER_DAY, TimeError};

/// A text in the form of RFC 3339.
struct Rewritten {
    bytes: [u8; 40],
    len: usize,
}

impl Rewritten {
    fn push(&mut self, part: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.len..self.len + part.len())?.copy_from_slice(part);
        self.len += part.len();
        Some(())
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Parses a text that [`rfc3339::parse`] rejected with `refusal`, in one of these forms: `2020-07-19T23:06`, `20200719T230640` or only its
/// digits, a fraction after a comma, an offset `+0100` or `+01`, a space before the offset, a time zone abbreviation instead of it, and
/// `24:00:00`, the end of the day.
#[cold]
#[inline(never)]
pub(super) fn parse(
    text: &[u8],
    zones: &Zones,
    refusal: TimeError,
) -> Result<(Civil, Option<i32>), TimeError> {
    let Some((mut canonical, rest)) = rewrite_clock(text) else { return Err(refusal) };
    let Some((rest, named)) = rewrite_fraction(rest, &mut canonical).and_then(|rest| zone(rest, zones))
    else {
        return Err(refusal);
    };
    if canonical.push(rest.as_slice()).is_none() {
        return Err(refusal);
    }
    let is_end_of_day = &canonical.as_slice()[11..19] == b"24:00:00";
    if is_end_of_day {
        canonical.bytes[11..13].copy_from_slice(b"00");
    }
    let (mut civil, offset) = rfc3339::parse(canonical.as_slice())?;
    if is_end_of_day {
        if civil.nanos > 0 {
            return Err(TimeError::Hour);
        }
        civil = civil.next_day();
    }
    Ok((civil, named.or(offset)))
}

/// Date and time of day, and the text after them.
fn rewrite_clock(text: &[u8]) -> Option<(Rewritten, &[u8])> {
    let mut canonical = Rewritten { bytes: [0; 40], len: 0 };
    if text.get(4) == Some(&b'-') {
        if let Some((minutes, rest)) = whole_minutes(text, 16) {
            canonical.push(minutes)?;
            canonical.push(b":00")?;
            return Some((canonical, rest));
        }
        let (head, rest) = text.split_at_checked(19)?;
        canonical.push(head)?;
        return Some((canonical, rest));
    }
    let (date, rest) = text.split_at_checked(8)?;
    let rest = match rest.split_first()? {
        (b'T' | b't' | b' ', rest) => rest,
        _ => rest,
    };
    let (clock, rest) = rest.split_at_checked(6)?;
    // A number with a point, such as an epoch, is not a date.
    if !date.iter().chain(clock).all(u8::is_ascii_digit) || rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    for (part, mark) in [(&date[..4], b"-"), (&date[4..6], b"-"), (&date[6..], b"T")] {
        canonical.push(part)?;
        canonical.push(mark)?;
    }
    for (part, mark) in [(&clock[..2], &b":"[..]), (&clock[2..4], b":"), (&clock[4..], b"")] {
        canonical.push(part)?;
        canonical.push(mark)?;
    }
    Some((canonical, rest))
}

/// A date and a time of day without seconds, `length` bytes of `text`; nothing or a zone must follow.
fn whole_minutes(text: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (minutes, rest) = text.split_at_checked(length)?;
    let is_more =
        rest.first().is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b','));
    (!is_more).then_some((minutes, rest))
}

/// Rewrites the fraction of a second with a point; returns the text after it.
fn rewrite_fraction<'t>(text: &'t [u8], canonical: &mut Rewritten) -> Option<&'t [u8]> {
    let Some((b'.' | b',', digits)) = text.split_first() else { return Some(text) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    canonical.push(b".")?;
    canonical.push(&digits[..length])?;
    Some(&digits[length..])
}

/// The offset in the form of RFC 3339, or in seconds for a named zone.
fn zone(text: &[u8], zones: &Zones) -> Option<(Rewritten, Option<i32>)> {
    let mut canonical = Rewritten { bytes: [0; 40], len: 0 };
    let text = match text {
        [b' ', rest @ ..] if !rest.is_empty() => rest,
        _ => text,
    };
    match *text {
        [sign @ (b'+' | b'-'), h1, h2] => canonical.push(&[sign, h1, h2, b':', b'0', b'0'])?,
        [sign @ (b'+' | b'-'), h1, h2, m1, m2] => canonical.push(&[sign, h1, h2, b':', m1, m2])?,
        _ => match zones.offset(text) {
            Some(offset) => return Some((canonical, Some(offset))),
            None => canonical.push(text)?,
        },
    }
    Some((canonical, None))
}

impl Civil {
    /// The same time of day, one day later.
    fn next_day(self) -> Civil {
        let days = Civil { hour: 0, minute: 0, second: 0, ..self }.seconds() / SECONDS_PER_DAY;
        let (year, month, day) = rfc3339::civil_from_days(days + 1);
        Civil { year: year as u16, month: month as u8, day: day as u8, ..self }
    }
}
