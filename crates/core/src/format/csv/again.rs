//! Repeated headers in the middle of a file, where files were concatenated or a logger restarted. The file's own header is rejected as a
//! record. A header with other columns, or the same in another order, ends decoding: whoever reads a later part of the file has not seen
//! it, and values would silently change columns.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use memchr::{memchr2_iter, memmem};

use super::BOM;
use crate::format::columns::{Columns, listed};

/// Why such a line is rejected: it is not a record, even if all columns are text.
pub(super) const REASON: &str = "repeated header line";

/// The lines of a file's header: names and units.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderLines(Vec<Box<[u8]>>);

impl HeaderLines {
    /// All lines of `text` that are not empty.
    pub(super) fn of(text: &[u8]) -> Self {
        let lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
        Self(lines.map(Into::into).collect())
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.0.push(record.into());
    }

    /// Whether a record, without its line end, is one of them. A byte order mark, as in a concatenated file, is ignored.
    #[inline]
    pub(super) fn has(&self, record: &[u8]) -> bool {
        let is = |record: &[u8]| self.0.iter().any(|line| **line == *record);
        is(record) || record.strip_prefix(BOM).is_some_and(is)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|line| &**line)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A file's field names as written, to recognise another header. Letters are compared case-insensitively (A to Z), unless that would make
/// two names equal.
#[derive(Clone, Debug, Default)]
pub(super) struct WrittenNames {
    /// The names that are not empty, in the case used for comparison.
    names: Vec<Vec<u8>>,
    /// The names as written.
    written: Vec<String>,
    /// The name that every header contains: that of the time, or the longest one.
    key: HeaderKey,
    has_time: bool,
    is_exact: bool,
}

/// A name to search for in text.
#[derive(Clone, Debug, Default)]
struct HeaderKey {
    name: Vec<u8>,
    /// The index of the byte to search for first: one that is rare in records.
    rare: usize,
}

/// How a record relates to the header of its file.
#[derive(Debug, PartialEq)]
pub(super) enum Again {
    /// The same header, possibly formatted differently.
    Same,
    /// Another header, with the message about it.
    Other(String),
}

impl HeaderKey {
    fn new(name: Vec<u8>) -> Self {
        // Digits and these letters are common in numbers and times.
        let is_rare = |byte: &u8| byte.is_ascii_alphabetic() && !b"tzeTZE".contains(byte);
        let rare = name.iter().position(is_rare).unwrap_or(0);
        Self { name, rare }
    }

    /// Whether it occurs in a text, case-insensitively unless `is_exact`.
    fn is_in(&self, text: &[u8], is_exact: bool) -> bool {
        let Some(&rare) = self.name.get(self.rare) else { return false };
        if is_exact {
            return memmem::find(text, &self.name).is_some();
        }
        let is_here = |place: usize| {
            let start = place.checked_sub(self.rare)?;
            text.get(start..start + self.name.len()).filter(|here| here.eq_ignore_ascii_case(&self.name))
        };
        memchr2_iter(rare, rare.to_ascii_uppercase(), text).any(|place| is_here(place).is_some())
    }
}

impl WrittenNames {
    pub(super) fn new(names: &[String], columns: &Columns) -> Self {
        let written: Vec<_> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
        let time = columns.written_time().filter(|time| written.contains(time));
        let longest = || written.iter().max_by_key(|name| name.len()).cloned().unwrap_or_default();
        let has_time = time.is_some();
        let exact: HashSet<&str> = written.iter().map(String::as_str).collect();
        let folded: HashSet<String> = exact.iter().map(|name| name.to_ascii_lowercase()).collect();
        let is_exact = folded.len() < exact.len();
        let key = time.unwrap_or_else(longest);
        let key = HeaderKey::new(compared(key.as_bytes(), is_exact).into_owned());
        let names = written.iter().map(|name| compared(name.as_bytes(), is_exact).into_owned()).collect();
        Self { names, written, key, has_time, is_exact }
    }

    /// Whether a text may contain a header: a fast test that is rarely true for records.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        self.key.is_in(text, self.is_exact)
    }

    /// Classifies a record with these fields, which could not be decoded: a header if it contains the time's name and no field parses as a
    /// value, or if most of its fields are names of the file.
    pub(super) fn look(&self, fields: &[Cow<'_, [u8]>], columns: &Columns) -> Option<Again> {
        let fields = fields.iter().map(|field| Columns::trim(field.strip_prefix(BOM).unwrap_or(field)));
        let written: Vec<&[u8]> = fields.filter(|field| !field.is_empty()).collect();
        let fields: Vec<_> = written.iter().map(|field| compared(field, self.is_exact)).collect();
        let fields: Vec<&[u8]> = fields.iter().map(|field| &**field).collect();
        if !fields.contains(&&*self.key.name) {
            return None;
        }
        if fields.iter().copied().eq(self.names.iter().map(Vec::as_slice)) {
            return Some(Again::Same);
        }
        let mut left: HashMap<&[u8], usize> = HashMap::new();
        self.names.iter().for_each(|name| *left.entry(name).or_default() += 1);
        let mut is_left = |field: &&&[u8]| {
            let left = left.get_mut(**field).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        };
        let known = fields.iter().filter(|field| is_left(field)).count();
        let is_value = |field: &&[u8]| columns.measurement(field).flatten().is_some();
        let are_names = 2 * known > fields.len() || self.has_time && !written.iter().any(is_value);
        let is_reordered = known == fields.len() && known == self.names.len();
        (fields.len() > 1 && are_names).then(|| {
            let found: Vec<_> =
                written.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
            let how = if is_reordered { "in another order" } else { "with other columns" };
            let (found, own) = (listed(&found), listed(&self.written));
            Again::Other(format!(
                "a header {how} where a record is expected: {found}; the columns of the file are {own}"
            ))
        })
    }
}

/// A name in the form used for comparison: lower case unless it `is_exact`.
fn compared(name: &[u8], is_exact: bool) -> Cow<'_, [u8]> {
    match is_exact || !name.iter().any(u8::is_ascii_uppercase) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(name.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::columns::ColumnOptions;

    fn look(names: &str, time: Option<&str>, line: &str) -> Option<Again> {
        let options = ColumnOptions { time: time.map(Into::into), ..ColumnOptions::default() };
        let columns = Columns::new(&options).expect("good options");
        let names: Vec<_> = names.split(',').map(str::to_owned).collect();
        let fields: Vec<_> = line.split(',').map(|field| Cow::Borrowed(field.as_bytes())).collect();
        WrittenNames::new(&names, &columns).look(&fields, &columns)
    }

    #[test]
    fn clause_5_a_header_is_known_by_its_names() {
        let is_other = |found: Option<Again>| matches!(found, Some(Again::Other(_)));
        for line in ["time,a,b", " time , a , b", "\u{feff}time,a,b", "time,a,b,", "TIME,A,B", "Time,a,B"] {
            assert_eq!(look("time,a,b", Some("time"), line), Some(Again::Same), "{line}");
        }
        for line in
            ["time,b,a", "a,b,time", "time,a", "time,a,b,c", "time,x,y", "TIME,B,A", "B,a,Time", "Time,X,Y"]
        {
            assert!(is_other(look("time,a,b", Some("time"), line)), "{line}");
        }
        for line in ["time", "time,1,2", "oops,a,b", "oops,1,2", "timer,b,a", ""] {
            assert_eq!(look("time,a,b", Some("time"), line), None, "{line}");
        }
        // Names that are numbers, and duplicate names.
        assert!(is_other(look("time,1,2,3", Some("time"), "time,2,1,3")));
        assert!(is_other(look("time,T,T,U", Some("time"), "time,T,U,T")));
        // Names that differ only in case stay distinct.
        assert_eq!(look("time,T,t", Some("time"), "time,T,t"), Some(Again::Same));
        assert!(is_other(look("time,T,t", Some("time"), "time,t,T")));
        assert_eq!(look("time,T,t", Some("time"), "TIME,t,T"), None);
        // Without a time, most fields have to be names.
        assert!(is_other(look("level,a,b", None, "level,b,a")));
        for line in ["level,x,y", "level,level,level"] {
            assert_eq!(look("level,a,b", None, line), None, "{line}");
        }
    }
}
