//! Abbreviations of time zones, which say nothing by themselves: `CST` is a zone in America and one in China. The options say what they are.

use std::collections::BTreeMap;

use super::rfc3339;

/// What abbreviations stand for, in seconds ahead of UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Zones(Box<[(Box<str>, i32)]>);

impl Zones {
    /// Reads a table such as `CET = "+01:00"`.
    ///
    /// # Errors
    ///
    /// A sentence that names the abbreviation or the offset that is none.
    pub(super) fn new(table: &BTreeMap<String, String>) -> Result<Zones, String> {
        let entry = |(name, offset): (&String, &String)| {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return Err(format!("`{name}` is no abbreviation of a time zone: it consists of letters"));
            }
            let seconds = seconds(offset.as_bytes()).ok_or_else(|| {
                format!("`{name}`: `{offset}` is no offset from UTC; write `+01:00`, `-0330` or `Z`")
            })?;
            Ok((name.as_str().into(), seconds))
        };
        table.iter().map(entry).collect::<Result<_, _>>().map(Zones)
    }

    /// Whether the options name none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The offset that an abbreviation stands for. `UTC` and `GMT` have only one meaning.
    pub(super) fn offset(&self, name: &[u8]) -> Option<i32> {
        let known = self.0.iter().find(|(known, _)| known.as_bytes() == name).map(|&(_, offset)| offset);
        known.or_else(|| matches!(name, b"UTC" | b"GMT").then_some(0))
    }
}

/// The seconds ahead of UTC that an offset writes.
pub(super) fn seconds(text: &[u8]) -> Option<i32> {
    let canonical = match *text {
        [sign @ (b'+' | b'-'), h1, h2] => [sign, h1, h2, b':', b'0', b'0'],
        [sign @ (b'+' | b'-'), h1, h2, m1, m2] => [sign, h1, h2, b':', m1, m2],
        _ => return rfc3339::read_offset(text).ok()?,
    };
    rfc3339::read_offset(&canonical).ok()?
}
