//! Time zone abbreviations, which are ambiguous: `CST` is a zone in America and one in China. The options define them.

use std::collections::BTreeMap;

use super::rfc3339;

/// The offsets of abbreviations, in seconds ahead of UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Zones(Box<[(Box<str>, i32)]>);

impl Zones {
    /// Parses a table such as `CET = "+01:00"`.
    ///
    /// # Errors
    ///
    /// A message that names the invalid abbreviation or offset.
    pub(super) fn new(table: &BTreeMap<String, String>) -> Result<Zones, String> {
        let entry = |(name, offset): (&String, &String)| {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return Err(format!("`{name}` is not a time zone abbreviation: it must consist of letters"));
            }
            let seconds = seconds(offset.as_bytes()).ok_or_else(|| {
                format!("`{name}`: `{offset}` is not an offset from UTC; write `+01:00`, `-0330` or `Z`")
            })?;
            Ok((name.as_str().into(), seconds))
        };
        table.iter().map(entry).collect::<Result<_, _>>().map(Zones)
    }

    /// Whether the options define none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The offset of an abbreviation. `UTC` and `GMT` are always known.
    pub(super) fn offset(&self, name: &[u8]) -> Option<i32> {
        let known = self.0.iter().find(|(known, _)| known.as_bytes() == name).map(|&(_, offset)| offset);
        known.or_else(|| matches!(name, b"UTC" | b"GMT").then_some(0))
    }
}

/// Parses an offset to seconds ahead of UTC.
pub(super) fn seconds(text: &[u8]) -> Option<i32> {
    let canonical = match *text {
        [sign @ (b'+' | b'-'), h1, h2] => [sign, h1, h2, b':', b'0', b'0'],
        [sign @ (b'+' | b'-'), h1, h2, m1, m2] => [sign, h1, h2, b':', m1, m2],
        _ => return rfc3339::read_offset(text).ok()?,
    };
    rfc3339::read_offset(&canonical).ok()?
}
