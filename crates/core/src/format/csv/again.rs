//! A header in the middle of a file, where files were put together or a logger began anew. The file's own is set aside. One with
//! other columns, or with the same in another order, ends the reading: whoever reads a later part of the file has not seen it, and values
//! would change columns in silence.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use memchr::{memchr2_iter, memmem};

use super::BOM;
use crate::format::columns::{Columns, listed};

/// Why such a line is refused: it is no record, even where all columns are text.
pub(super) const REASON: &str = "the header stands here again";

/// The lines of a file's header: names, units.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderLines(Vec<Box<[u8]>>);

impl HeaderLines {
    /// All lines of `text` that have something.
    pub(super) fn of(text: &[u8]) -> Self {
        let lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
        Self(lines.map(Into::into).collect())
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.0.push(record.into());
    }

    /// Whether a record, without its line end, is one of them. The byte order mark of a file that was appended means nothing.
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

/// The names of a file's fields as they are written there, by which another header is known. The letters A to Z count as a to z, unless
/// that would make one name of two.
#[derive(Clone, Debug, Default)]
pub(super) struct WrittenNames {
    /// Those that are not empty, in the case in which they are compared.
    names: Vec<Vec<u8>>,
    /// The same as they are written.
    written: Vec<String>,
    /// The name without which a line is no header: that of the time, or the longest.
    key: Key,
    has_time: bool,
    is_exact: bool,
}

/// A name that is looked for in text.
#[derive(Clone, Debug, Default)]
struct Key {
    name: Vec<u8>,
    /// Which of its bytes is looked for first: one that seldom stands in records.
    rare: usize,
}

/// What a record is beside the header of its file.
#[derive(Debug, PartialEq)]
pub(super) enum Again {
    /// The same header, be it written otherwise.
    Same,
    /// Another one: what is to be said of it.
    Other(String),
}

impl Key {
    fn new(name: Vec<u8>) -> Self {
        // Digits and these letters stand in numbers and times.
        let is_rare = |byte: &u8| byte.is_ascii_alphabetic() && !b"tzeTZE".contains(byte);
        let rare = name.iter().position(is_rare).unwrap_or(0);
        Self { name, rare }
    }

    /// Whether it stands in a text; a letter in any case where it is not `is_exact`.
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
        let key = Key::new(compared(key.as_bytes(), is_exact).into_owned());
        let names = written.iter().map(|name| compared(name.as_bytes(), is_exact).into_owned()).collect();
        Self { names, written, key, has_time, is_exact }
    }

    /// Whether a text may have a header: quick, and seldom so of records.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        self.key.is_in(text, self.is_exact)
    }

    /// What a record with these fields, which cannot be read as one, is: a header where the time's name is in it and nothing
    /// reads as a value, or where most of its fields are names of the file.
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
            Again::Other(format!("a header {how} stands here: {found}; the columns of the file are {own}"))
        })
    }
}

/// A name as it is compared: in small letters, unless it `is_exact`.
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
        // Names that are numbers, and names that stand there twice.
        assert!(is_other(look("time,1,2,3", Some("time"), "time,2,1,3")));
        assert!(is_other(look("time,T,T,U", Some("time"), "time,T,U,T")));
        // Names that differ in the case of their letters alone are told apart.
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
