//! A header in the middle of a file, where files were put together or a logger began anew. The file's own is set aside. One with
//! other columns, or with the same in another order, ends the reading: whoever reads a later part of the file has not seen it, and values
//! would change columns in silence.

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::memmem;

use super::beginning::BOM;
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

/// The names of a file's fields as they are written there, by which another header is known.
#[derive(Clone, Debug, Default)]
pub(super) struct WrittenNames {
    /// Those that are not empty.
    names: Vec<String>,
    /// The name without which a line is no header: that of the time, or the longest.
    key: String,
    has_time: bool,
}

/// What a record is beside the header of its file.
#[derive(Debug, PartialEq)]
pub(super) enum Again {
    /// The same header, be it written otherwise.
    Same,
    /// Another one: what is to be said of it.
    Other(String),
}

impl WrittenNames {
    pub(super) fn new(names: &[String], columns: &Columns) -> Self {
        let names: Vec<_> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
        let time = columns.written_time().filter(|time| names.contains(time));
        let longest = || names.iter().max_by_key(|name| name.len()).cloned().unwrap_or_default();
        Self { has_time: time.is_some(), key: time.unwrap_or_else(longest), names }
    }

    /// Whether a text may have a header: quick, and seldom so of records.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        !self.key.is_empty() && memmem::find(text, self.key.as_bytes()).is_some()
    }

    /// What a record with these fields, which cannot be read as one, is: a header where the time's name is in it and nothing
    /// reads as a value, or where most of its fields are names of the file.
    pub(super) fn look(&self, fields: &[Cow<'_, [u8]>], columns: &Columns) -> Option<Again> {
        let fields = fields.iter().map(|field| Columns::trim(field.strip_prefix(BOM).unwrap_or(field)));
        let fields: Vec<&[u8]> = fields.filter(|field| !field.is_empty()).collect();
        if !fields.contains(&self.key.as_bytes()) {
            return None;
        }
        if fields.iter().copied().eq(self.names.iter().map(String::as_bytes)) {
            return Some(Again::Same);
        }
        let mut left: HashMap<&[u8], usize> = HashMap::new();
        self.names.iter().for_each(|name| *left.entry(name.as_bytes()).or_default() += 1);
        let mut is_left = |field: &&&[u8]| {
            let left = left.get_mut(**field).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        };
        let known = fields.iter().filter(|field| is_left(field)).count();
        let is_value = |field: &&[u8]| columns.measurement(field).flatten().is_some();
        let are_names = 2 * known > fields.len() || self.has_time && !fields.iter().any(is_value);
        let is_reordered = known == fields.len() && known == self.names.len();
        (fields.len() > 1 && are_names).then(|| {
            let found: Vec<_> =
                fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
            let how = if is_reordered { "in another order" } else { "with other columns" };
            let (found, own) = (listed(&found), listed(&self.names));
            Again::Other(format!("a header {how} stands here: {found}; the columns of the file are {own}"))
        })
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
        for line in ["time,a,b", " time , a , b", "\u{feff}time,a,b", "time,a,b,"] {
            assert_eq!(look("time,a,b", Some("time"), line), Some(Again::Same), "{line}");
        }
        for line in ["time,b,a", "a,b,time", "time,a", "time,a,b,c", "time,x,y"] {
            assert!(is_other(look("time,a,b", Some("time"), line)), "{line}");
        }
        for line in ["time", "time,1,2", "oops,a,b", "oops,1,2", "timer,b,a", ""] {
            assert_eq!(look("time,a,b", Some("time"), line), None, "{line}");
        }
        // Names that are numbers, and names that stand there twice.
        assert!(is_other(look("time,1,2,3", Some("time"), "time,2,1,3")));
        assert!(is_other(look("time,T,T,U", Some("time"), "time,T,U,T")));
        // Without a time, most fields have to be names.
        assert!(is_other(look("level,a,b", None, "level,b,a")));
        for line in ["level,x,y", "level,level,level"] {
            assert_eq!(look("level,a,b", None, line), None, "{line}");
        }
    }
}
