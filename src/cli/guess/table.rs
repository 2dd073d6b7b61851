//! Records and fields of a sample.

use super::columns::is_number;
use super::layout::{self, Layout};

/// What kind of file it is, as the name of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    Delimited,
    Json,
    Influx,
    Parquet,
}

/// How delimited text is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Dialect {
    /// The blank stands for a run of blanks.
    pub(in crate::cli) delimiter: u8,
    /// Whether the first line of the file says so, and no option has to.
    pub(in crate::cli) is_said: bool,
    pub(in crate::cli) quote: u8,
    pub(in crate::cli) comment: Option<u8>,
    pub(in crate::cli) has_header: bool,
    pub(in crate::cli) layout: Layout,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            is_said: false,
            quote: b'"',
            comment: None,
            has_header: true,
            layout: Layout::default(),
        }
    }
}

/// A sample, taken apart.
pub(super) struct Table {
    pub(super) kind: Kind,
    pub(super) dialect: Dialect,
    pub(super) names: Vec<String>,
    /// Fields by record, as text; empty where missing.
    pub(super) rows: Vec<Vec<String>>,
    /// The station that a logger names.
    pub(super) station: Option<String>,
    /// Columns whose values are marked as text.
    pub(super) texts: Vec<usize>,
}

/// Delimiters, the surest sign first: a comma may be a decimal mark, and a blank stands in texts and times.
pub(super) const DELIMITERS: [u8; 5] = [b'\t', b';', b'|', b',', b' '];

impl Table {
    pub(super) fn read(bytes: &[u8], is_whole: bool) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        delimited(bytes, is_whole)
    }

    /// Whether numbers have a decimal comma: more of them can be read so than with a point.
    pub(super) fn decimal_comma(&self) -> bool {
        if self.kind != Kind::Delimited || self.dialect.delimiter == b',' {
            return false;
        }
        let fields =
            || self.rows.iter().flatten().map(|field| field.trim()).filter(|field| !field.is_empty());
        let readable = |comma| fields().filter(|field| is_number(field, comma)).count();
        readable(true) > readable(false)
    }
}

fn delimited(bytes: &[u8], is_whole: bool) -> Table {
    let lines = layout::lines(bytes);
    let comment = bytes.trim_ascii_start().starts_with(b"#").then_some(b'#');
    let quote = quote(bytes);
    let own = layout::separator(bytes);
    let parse = |delimiter: u8, line: usize| {
        let from = lines.get(line).copied().unwrap_or(bytes.len());
        let dialect = Dialect { delimiter, quote, comment, ..Dialect::default() };
        let mut records = records(&bytes[from..], &dialect);
        if !is_whole {
            records.pop();
        }
        records
    };
    let delimiters = own.map_or(DELIMITERS.to_vec(), |own| vec![own]);
    let first_line = usize::from(own.is_some());
    let is_logger = layout::logger(&parse(b',', 0)).is_some();
    let places = (first_line..lines.len().min(first_line + layout::LONGEST_PREAMBLE))
        .flat_map(|line| delimiters.iter().map(move |&delimiter| (line, delimiter)));
    let fitting = places
        .filter(|&(line, _)| !is_logger && !layout::is_blank(bytes, &lines, line))
        .find(|&(line, delimiter)| layout::fits(&parse(delimiter, line), line > first_line, delimiter));
    let (line, delimiter) = fitting.unwrap_or_else(|| {
        let fields = |delimiter: &u8| parse(*delimiter, first_line).iter().map(Vec::len).max().unwrap_or(0);
        (first_line, delimiters[..delimiters.len().min(4)].iter().copied().max_by_key(fields).unwrap_or(b','))
    });
    let rows = parse(delimiter, line);
    let found = layout::find(rows, line, first_line, comment.is_some());
    let dialect = Dialect {
        delimiter,
        is_said: own.is_some(),
        quote,
        comment,
        has_header: found.has_header,
        layout: found.layout,
    };
    Table {
        kind: Kind::Delimited,
        dialect,
        names: found.names,
        rows: found.rows,
        station: found.station,
        texts: Vec::new(),
    }
}

fn records(bytes: &[u8], dialect: &Dialect) -> Vec<Vec<String>> {
    if dialect.delimiter == b' ' {
        return by_blanks(bytes, dialect.comment);
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(dialect.delimiter)
        .quote(dialect.quote)
        .comment(dialect.comment)
        .from_reader(bytes);
    let text =
        |record: csv::ByteRecord| record.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
    reader.byte_records().map_while(Result::ok).map(text).collect()
}

fn by_blanks(bytes: &[u8], comment: Option<u8>) -> Vec<Vec<String>> {
    let text = String::from_utf8_lossy(bytes);
    let is_record = |line: &&str| {
        let first = line.bytes().find(|byte| !byte.is_ascii_whitespace());
        first.is_some() && first != comment
    };
    let fields = |line: &str| line.split_ascii_whitespace().map(str::to_owned).collect();
    text.lines().filter(is_record).map(fields).collect()
}

/// The single quote where fields stand in it, the double quote otherwise.
fn quote(bytes: &[u8]) -> u8 {
    let double = bytes.contains(&b'"');
    let fields = bytes.split(|byte| DELIMITERS[..4].contains(byte) || matches!(byte, b'\n' | b'\r'));
    let quoted =
        fields.filter(|field| field.len() > 1 && field.starts_with(b"'") && field.ends_with(b"'")).count();
    if !double && quoted > 1 { b'\'' } else { b'"' }
}
