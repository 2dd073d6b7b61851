//! Records and fields of a sample.

use super::columns::is_number;
use super::delimiter::{DELIMITERS, Look, Shape, look, most_frequent, shape};
use super::layout::{self, Layout};
use super::lines::{self, Marks, Record, records};

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
    /// What could not be told.
    pub(super) doubts: Vec<String>,
    /// Why no options read it.
    pub(super) refusal: Option<String>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            kind: Kind::Delimited,
            dialect: Dialect::default(),
            names: Vec::new(),
            rows: Vec::new(),
            station: None,
            texts: Vec::new(),
            doubts: Vec::new(),
            refusal: None,
        }
    }
}

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
    let (quote, comment) = (quote(bytes), comment(bytes));
    let own = layout::separator(bytes);
    let skipped = usize::from(own.is_some());
    let marks = |delimiter: u8| Marks { delimiter, quote, comment };
    let parse = |delimiter: u8| records(bytes, marks(delimiter), skipped, is_whole);
    let mut best: Option<(u8, Vec<Record>, Shape)> = None;
    for delimiter in own.map_or(DELIMITERS.to_vec(), |own| vec![own]) {
        let records = parse(delimiter);
        if let Some(shape) = shape(&records)
            && best.as_ref().is_none_or(|(_, _, best)| shape.score > best.score)
        {
            best = Some((delimiter, records, shape));
        }
    }
    let (delimiter, records, shape) = best.unwrap_or_else(|| {
        let widest = |delimiter: &u8| parse(*delimiter).iter().map(|record| record.fields.len()).max();
        let delimiter = own.or_else(|| DELIMITERS[..4].iter().copied().max_by_key(widest)).unwrap_or(b',');
        let records = parse(delimiter);
        let shape = shape_of_texts(&records);
        (delimiter, records, shape)
    });
    let first_line = records.get(shape.first).map_or(0, |record| record.line);
    let comments = comment.map(|mark| lines::comments(bytes, mark, first_line)).unwrap_or_default();
    let comments = lines::records(comments.as_bytes(), Marks { comment: None, ..marks(delimiter) }, 0, true);
    let found = layout::find(records, &shape, comments);
    let dialect = Dialect {
        delimiter,
        is_said: own.is_some(),
        quote,
        comment,
        has_header: found.has_header,
        layout: found.layout,
    };
    Table {
        dialect,
        names: found.names,
        rows: found.rows,
        station: found.station,
        doubts: found.doubts,
        refusal: found.refusal,
        ..Table::default()
    }
}

/// The shape of records of which no two fields in a line are times or numbers: one column, or texts.
fn shape_of_texts(records: &[Record]) -> Shape {
    let width = most_frequent(records.iter().map(|record| record.fields.len())).unwrap_or(0);
    let has_value =
        |record: &Record| record.fields.iter().any(|field| matches!(look(field), Look::Number | Look::Time));
    let first = records.iter().position(has_value).unwrap_or(records.len().min(1));
    Shape { width, first, score: 0.0 }
}

/// The number sign where lines begin with one, and it is no field.
fn comment(bytes: &[u8]) -> Option<u8> {
    let mut lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"#")).peekable();
    lines.peek()?;
    let is_field = |rest: &[u8]| rest.first().is_some_and(|next| DELIMITERS[..4].contains(next));
    (!lines.any(is_field)).then_some(b'#')
}

/// The single quote where fields stand in it, the double quote otherwise.
fn quote(bytes: &[u8]) -> u8 {
    let double = bytes.contains(&b'"');
    let fields = bytes.split(|byte| DELIMITERS[..4].contains(byte) || matches!(byte, b'\n' | b'\r'));
    let quoted =
        fields.filter(|field| field.len() > 1 && field.starts_with(b"'") && field.ends_with(b"'")).count();
    if !double && quoted > 1 { b'\'' } else { b'"' }
}
