//! The lines before the first record of a file: a byte order mark, `sep=;`, a preamble, the header, units.

use super::BOM;
use super::Csv;
use super::again::{HeaderLines, WrittenNames};
use super::dialect::LeadingRows;
use super::scan::{FieldSpan, Scan, line};
use super::split::Splitter;
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::format::columns::{Columns, listed};
use crate::format::{Head, MAX_FIELDS};

/// The prefix of the first line with which Excel declares the delimiter.
pub(super) const SEPARATOR: &[u8] = b"sep=";

/// Logger formats that are recognised by their first field, with the layout of their first lines.
pub(super) const LOGGERS: [(&str, LeadingRows); 2] = [
    // Station; names; units; aggregation.
    ("TOA5", LeadingRows { before: 1, said_by: "the first field, TOA5,", units: Some(3), data: Some(5) }),
    // Station; names.
    ("TOACI1", LeadingRows { before: 1, said_by: "the first field, TOACI1,", units: None, data: None }),
];

/// The content of a file before its first record.
#[derive(Clone, Debug)]
pub(super) struct CsvBeginning {
    pub(super) splitter: Splitter,
    /// The names of the fields, in file order.
    pub(super) names: Vec<String>,
    /// The units of the fields, if a line has them.
    pub(super) units: Option<Vec<String>>,
    /// Whether the header ends with a delimiter without a column after it, so that records may too.
    pub(super) has_trailing: bool,
    /// The lines of the header, to recognise repeated ones.
    pub(super) header: HeaderLines,
    /// Its names, to recognise another header.
    pub(super) written: WrittenNames,
    pub(super) skip_bytes: usize,
    pub(super) skip_lines: u64,
}

impl Csv {
    /// Parses the lines before the first record from `head`; `None` if more input is needed.
    ///
    /// # Errors
    /// What makes the file unusable: a missing header, or one that contradicts `names`.
    pub(super) fn beginning(&self, head: Head<'_>) -> Result<Option<CsvBeginning>> {
        // A stream without data yet: the options define all columns.
        if let Some(names) = self.names.as_ref().filter(|_| head.bytes.is_empty() && head.is_whole) {
            return Ok(Some(self.unseen(names)));
        }
        let mut cursor = HeadCursor { head, at: 0, line: 0, passed: 0 };
        let Some(splitter) = cursor.opening(&self.splitter) else { return Ok(None) };
        let mut beginning =
            CsvBeginning { splitter, ..self.unseen(self.names.as_deref().unwrap_or_default()) };
        let has_come = match self.header {
            true => self.header(&mut cursor, &mut beginning)?,
            false => cursor.skip_to(self.rows.unwrap_or_default().before, "`skip_lines`")?,
        };
        (beginning.skip_bytes, beginning.skip_lines) = (cursor.at, cursor.line);
        Ok(has_come.then_some(beginning))
    }

    /// Reads the header and the lines up to the first record; returns whether they are complete.
    fn header(&self, cursor: &mut HeadCursor<'_>, beginning: &mut CsvBeginning) -> Result<bool> {
        let start = cursor.at;
        let logger = if self.rows.is_none() { cursor.logger(&beginning.splitter) } else { None };
        let rows = self.rows.or(logger).unwrap_or_default();
        if !cursor.skip_to(rows.before, rows.said_by)? {
            return Ok(false);
        }
        let Some(mut names) = cursor.record(beginning)? else { return Ok(false) };
        if let Some(row) = rows.units {
            if !cursor.skip_to(row - 1, "`units_row`")? {
                return Ok(false);
            }
            beginning.units = cursor.record(beginning)?;
            if beginning.units.is_none() {
                return Ok(false);
            }
        }
        if let Some(row) = rows.data
            && !cursor.skip_to(row - 1, "`data_row`")?
        {
            return Ok(false);
        }
        if self.names.is_none() && cursor.record_is_like(&beginning.splitter, &names) {
            self.columns.remark(format!(
                "the first line of {} looks like a record ({}) but was used as the header: for files without a header set `header = false` and `names`",
                cursor.head.name,
                listed(&names)
            ));
        }
        // A last column without a name does not count, unless the first record has a value there.
        let own = self.names.as_ref().map_or(0, Vec::len);
        beginning.has_trailing = names.len() > 1.max(own) && names.last().is_some_and(String::is_empty);
        if beginning.has_trailing && self.names.is_none() {
            let Some(has_value) = cursor.has_value(&beginning.splitter, names.len() - 1) else {
                return Ok(false);
            };
            beginning.has_trailing = !has_value;
        }
        if beginning.has_trailing {
            names.pop();
        }
        beginning.written = WrittenNames::new(&names, &self.columns);
        beginning.names = self.columns.distinct(&names);
        if let Some(names) = &self.names {
            compare(cursor.head.name, &beginning.names, names, self.columns.may_differ())?;
        }
        if logger.is_some() {
            beginning.header = HeaderLines::of(&cursor.head.bytes[start..cursor.at]);
        }
        Ok(true)
    }

    /// The beginning that the options define for a file without data yet.
    fn unseen(&self, names: &[String]) -> CsvBeginning {
        CsvBeginning {
            splitter: self.splitter.clone(),
            names: names.to_vec(),
            units: None,
            has_trailing: false,
            header: HeaderLines::default(),
            written: WrittenNames::new(names, &self.columns),
            skip_bytes: 0,
            skip_lines: 0,
        }
    }
}

impl CsvBeginning {
    /// Counts the last, unnamed column if the input has it from another file.
    pub(super) fn join(mut self, schema: &Schema) -> Self {
        let name = format!("column_{}", self.names.len() + 1);
        if self.has_trailing && schema.index_of(&name).is_some() {
            self.names.push(name);
            self.has_trailing = false;
        }
        self
    }
}

/// What a field looks like, to tell a header from a record.
#[derive(Debug, PartialEq, Eq)]
enum FieldClass {
    Number,
    Time,
    Text,
}

impl FieldClass {
    fn of(text: &str) -> Self {
        let is_of_time = |letter: char| letter.is_ascii_digit() || "-/:.,+ TZ".contains(letter);
        let has_parts = || text.matches(['-', '/', ':']).count() >= 2;
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Self::Number,
            _ if text.starts_with(|c: char| c.is_ascii_digit())
                && text.chars().all(is_of_time)
                && has_parts() =>
            {
                Self::Time
            }
            _ => Self::Text,
        }
    }
}

/// A read position at the beginning of a file.
struct HeadCursor<'h> {
    head: Head<'h>,
    at: usize,
    /// The number of lines before it, and how many of them were skipped.
    line: u64,
    passed: u64,
}

impl HeadCursor<'_> {
    /// Skips a byte order mark and `sep=;`; returns the resulting splitter, or `None` if one of them may be incomplete.
    fn opening(&mut self, splitter: &Splitter) -> Option<Splitter> {
        let Head { bytes, is_whole, .. } = self.head;
        let is_start_of =
            |mark: &[u8], bytes: &[u8]| !is_whole && bytes.len() < mark.len() && mark.starts_with(bytes);
        if is_start_of(BOM, bytes) {
            return None;
        }
        let rest = bytes.strip_prefix(BOM).unwrap_or(bytes);
        self.at = bytes.len() - rest.len();
        if is_start_of(SEPARATOR, rest) {
            return None;
        }
        let own = rest.strip_prefix(SEPARATOR).map(<[u8]>::split_first);
        match own {
            None => Some(splitter.clone()),
            // The delimiter or the line end may not have arrived yet.
            Some(None | Some((_, [] | [b'\r']))) if !is_whole => None,
            Some(Some((&own, [] | [b'\r' | b'\n', ..]))) => match splitter.with_delimiter(own) {
                Some(own) => self.pass_line().then_some(own),
                None => Some(splitter.clone()),
            },
            Some(_) => Some(splitter.clone()),
        }
    }

    /// The logger format that the first field names.
    fn logger(&self, splitter: &Splitter) -> Option<LeadingRows> {
        let mut fields = Vec::new();
        let Scan::Record { .. } = splitter.scan(self.head.bytes, self.at, self.head.is_whole, &mut fields)
        else {
            return None;
        };
        let first = names(splitter, self.head.bytes, &fields[..1]);
        LOGGERS.into_iter().find(|(name, _)| first[0] == *name).map(|(_, rows)| rows)
    }

    /// Whether the next record, if complete, resembles `names`: numbers and times in the same fields, at least one.
    fn record_is_like(&self, splitter: &Splitter, names: &[String]) -> bool {
        let Head { bytes, is_whole, .. } = self.head;
        let (mut place, mut fields) = (self.at, Vec::new());
        let kinds = |texts: &[String]| texts.iter().map(|text| FieldClass::of(text)).collect::<Vec<_>>();
        let of_names = kinds(names);
        if of_names.iter().all(|looks| *looks == FieldClass::Text) {
            return false;
        }
        loop {
            match splitter.scan(bytes, place, is_whole, &mut fields) {
                Scan::Skipped { next } => place = next,
                Scan::Record { .. } => return kinds(&self::names(splitter, bytes, &fields)) == of_names,
                Scan::Incomplete | Scan::Unclosed { .. } => return false,
            }
        }
    }

    /// Whether the next record has a value in field `at`; `None` if it is incomplete.
    fn has_value(&self, splitter: &Splitter, at: usize) -> Option<bool> {
        let Head { bytes, is_whole, .. } = self.head;
        let (mut place, mut fields) = (self.at, Vec::new());
        loop {
            match splitter.scan(bytes, place, is_whole, &mut fields) {
                Scan::Skipped { next } => place = next,
                Scan::Record { .. } => {
                    let value = |span: &FieldSpan| Columns::trim(&bytes[span.start..span.end]);
                    return Some(fields.get(at).is_some_and(|span| !value(span).is_empty()));
                }
                Scan::Incomplete if !is_whole => return None,
                Scan::Incomplete | Scan::Unclosed { .. } => return Some(false),
            }
        }
    }

    /// Skips one line; returns whether it was complete.
    fn pass_line(&mut self) -> bool {
        let Head { bytes, is_whole, .. } = self.head;
        let Some((_, next)) = line(bytes, self.at, is_whole) else { return false };
        (self.at, self.line) = (next, self.line + 1);
        true
    }

    /// Skips to line `lines`, which `said_by` requires; returns whether the lines were complete.
    fn skip_to(&mut self, lines: u64, said_by: &str) -> Result<bool> {
        let Head { name, bytes, is_whole, .. } = self.head;
        if self.line > lines && lines > 0 {
            let message =
                format!("`{name}` has header lines up to line {}, beyond what {said_by} says", self.line);
            return Err(Error::config(message).with_help("count the lines of the file from 1"));
        }
        while self.line < lines {
            if self.at == bytes.len() && is_whole {
                let lines = if self.line == 1 { "line" } else { "lines" };
                let message = format!("`{name}` has {} {lines}, fewer than {said_by} says", self.line);
                return Err(Error::data(message).with_help("check the file, or the option"));
            }
            if self.at == bytes.len() || !self.pass_line() {
                return Ok(false);
            }
        }
        self.passed = lines;
        Ok(true)
    }

    /// Reads the next record of the header after skipping blank lines and comments; `None` if it is incomplete.
    fn record(
        &mut self,
        CsvBeginning { splitter, header, .. }: &mut CsvBeginning,
    ) -> Result<Option<Vec<String>>> {
        let Head { name, bytes, is_whole, .. } = self.head;
        let mut fields = Vec::new();
        loop {
            match splitter.scan(bytes, self.at, is_whole, &mut fields) {
                Scan::Skipped { next } => (self.at, self.line) = (next, self.line + 1),
                Scan::Record { .. } if fields.len() > MAX_FIELDS => {
                    return Err(Error::data(format!("`{name}` has more than {MAX_FIELDS} columns"))
                        .with_help("check the `delimiter`"));
                }
                Scan::Record { end, next, lines } => {
                    let names = names(splitter, bytes, &fields);
                    check_text(name, &names)?;
                    // A line of empty fields could also be a record.
                    if names.iter().any(|name| !name.is_empty()) {
                        header.push(&bytes[self.at..end]);
                    }
                    (self.at, self.line) = (next, self.line + lines);
                    return Ok(Some(names));
                }
                Scan::Unclosed { .. } => {
                    return Err(Error::data(format!(
                        "the header of `{name}` has a quote that is never closed"
                    )));
                }
                Scan::Incomplete if is_whole => {
                    // Skipped lines are neither comments nor blank lines.
                    let why = match self.passed {
                        0 => "it is empty".to_owned(),
                        passed => format!("nothing follows the {passed} skipped lines"),
                    };
                    return Err(no_header(name, &why));
                }
                Scan::Incomplete => return Ok(None),
            }
        }
    }
}

fn names(splitter: &Splitter, text: &[u8], fields: &[FieldSpan]) -> Vec<String> {
    let name = |field: &[u8]| String::from_utf8_lossy(Columns::trim(field)).into_owned();
    splitter.fields(text, fields).iter().map(|field| name(field)).collect()
}

/// Rejects names with control characters: they come from an archive or another binary file, which could pass as one long header.
fn check_text(file: &str, names: &[String]) -> Result<()> {
    let is_binary = |c: &char| c.is_control() && !c.is_whitespace();
    match names.iter().find_map(|name| name.chars().find(is_binary)) {
        None => Ok(()),
        Some(found) => Err(Error::data(format!(
            "the header of `{file}` is not text: it has the control character {:#04x}",
            u32::from(found)
        ))
        .with_help(
            "check the file and the source's `type`; unpack an archive, or export a spreadsheet as CSV",
        )),
    }
}

/// The error for a file that does not name its columns.
pub(super) fn no_header(file: &str, why: &str) -> Error {
    Error::data(format!("`{file}` has no header: {why}"))
        .with_help("check the file, or name the columns with `header = false` and `names`")
}

/// Checks that the header has the names that the options give, in any order: a line that is skipped unseen may be a record, and columns in
/// another order would be swapped. If files `may_differ`, at least one name must match.
fn compare(file: &str, found: &[String], names: &[String], may_differ: bool) -> Result<()> {
    let (missing, unknown) = (others(names, found), others(found, names));
    let is_same = missing.is_empty() && unknown.is_empty() && found.len() == names.len();
    if is_same || may_differ && missing.len() < names.len() {
        return Ok(());
    }
    let message = if missing.len() == names.len() {
        format!(
            "the first line of `{file}` is not a header: it has none of the `names`, but {}",
            listed(&unknown)
        )
    } else if !missing.is_empty() {
        format!("the header of `{file}` has no {}, which `names` lists", listed(&missing))
    } else if !unknown.is_empty() {
        format!("the header of `{file}` has {}, which `names` does not list", listed(&unknown))
    } else {
        format!("the header of `{file}` has {} columns, `names` has {}", found.len(), names.len())
    };
    Err(Error::data(message).with_help(
        "`names` must be those of the header, in any order; for files without a header set `header = false`, to replace a header set `skip_lines` as well",
    ))
}

/// The names in `names` that are not in `known`.
fn others(names: &[String], known: &[String]) -> Vec<String> {
    names.iter().filter(|name| !known.contains(name)).cloned().collect()
}

/// The lines of the header and of the first record, counted from 1, in the logger format that the field `first` names.
pub fn logger_rows(first: &str) -> Option<(usize, usize)> {
    let (_, rows) = LOGGERS.into_iter().find(|(name, _)| *name == first)?;
    let header = rows.before as usize + 1;
    Some((header, rows.data.map_or(header + 1, |data| data as usize)))
}

/// The delimiter declared by a first line such as `sep=;`.
pub fn separator_of(line: &[u8]) -> Option<u8> {
    let line = line.strip_prefix(BOM).unwrap_or(line);
    match line.strip_prefix(SEPARATOR)? {
        [delimiter] | [delimiter, b'\r'] => Some(*delimiter),
        _ => None,
    }
}
