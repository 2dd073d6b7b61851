//! Records and fields of a sample.

use serde_json::Value;

use super::columns::{is_number, is_time};

/// What kind of file it is, as the name of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    Delimited,
    JsonLines,
    Parquet,
}

/// How delimited text is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Dialect {
    pub(in crate::cli) delimiter: u8,
    pub(in crate::cli) quote: u8,
    pub(in crate::cli) comment: Option<u8>,
    pub(in crate::cli) has_header: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', quote: b'"', comment: None, has_header: true }
    }
}

/// A sample, taken apart.
pub(super) struct Table {
    pub(super) kind: Kind,
    pub(super) dialect: Dialect,
    pub(super) names: Vec<String>,
    /// Fields by record, as text; empty where missing.
    pub(super) rows: Vec<Vec<String>>,
}

/// Delimiters, the surest sign first: a comma may be a decimal mark.
const DELIMITERS: [u8; 4] = [b'\t', b';', b'|', b','];

impl Table {
    pub(super) fn read(bytes: &[u8], is_whole: bool) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.trim_ascii_start().starts_with(b"{") {
            return json_lines(bytes);
        }
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

fn json_lines(bytes: &[u8]) -> Table {
    let mut names: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        // The last line may be cut off.
        let Ok(Value::Object(object)) = serde_json::from_slice(line) else { continue };
        let mut row = vec![String::new(); names.len()];
        for (name, value) in object {
            let text = match value {
                Value::Null => String::new(),
                // Text stays text, even where it looks like a number.
                Value::String(text) if is_number(&text, false) => format!("{text}\u{0}"),
                Value::String(text) => text,
                other => other.to_string(),
            };
            match names.iter().position(|known| *known == name) {
                Some(at) => row[at] = text,
                None => {
                    names.push(name);
                    row.push(text);
                }
            }
        }
        rows.push(row);
    }
    rows.iter_mut().for_each(|row| row.resize(names.len(), String::new()));
    Table { kind: Kind::JsonLines, dialect: Dialect::default(), names, rows }
}

fn delimited(bytes: &[u8], is_whole: bool) -> Table {
    let comment = bytes.trim_ascii_start().starts_with(b"#").then_some(b'#');
    let quote = quote(bytes);
    let parse = |delimiter| {
        let mut records = records(bytes, &Dialect { delimiter, quote, comment, has_header: true });
        if !is_whole {
            records.pop();
        }
        records
    };
    let fitting = DELIMITERS.into_iter().find(|&delimiter| fits(&parse(delimiter)));
    let delimiter = fitting.unwrap_or_else(|| {
        let fields = |delimiter: &u8| parse(*delimiter).iter().map(Vec::len).max().unwrap_or(0);
        DELIMITERS.into_iter().max_by_key(fields).unwrap_or(b',')
    });
    let mut rows = parse(delimiter);
    let has_header = rows.first().is_none_or(|first| is_header(first));
    let names = match has_header {
        true if rows.is_empty() => Vec::new(),
        true => rows.remove(0).iter().map(|name| name.trim().to_owned()).collect(),
        false => (1..=rows[0].len()).map(|at| format!("column_{at}")).collect(),
    };
    rows.retain(|row| row.len() == names.len());
    Table { kind: Kind::Delimited, dialect: Dialect { delimiter, quote, comment, has_header }, names, rows }
}

fn records(bytes: &[u8], dialect: &Dialect) -> Vec<Vec<String>> {
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

/// Whether nine records of ten have as many fields as the first, and that is more than one.
fn fits(records: &[Vec<String>]) -> bool {
    let Some(first) = records.first().map(Vec::len).filter(|&fields| fields > 1) else { return false };
    let same = records.iter().filter(|record| record.len() == first).count();
    same * 10 >= records.len() * 9
}

/// The single quote where fields stand in it, the double quote otherwise.
fn quote(bytes: &[u8]) -> u8 {
    let double = bytes.contains(&b'"');
    let fields = bytes.split(|byte| DELIMITERS.contains(byte) || matches!(byte, b'\n' | b'\r'));
    let quoted =
        fields.filter(|field| field.len() > 1 && field.starts_with(b"'") && field.ends_with(b"'")).count();
    if !double && quoted > 1 { b'\'' } else { b'"' }
}

/// Names are distinct, not empty, and neither numbers nor times.
fn is_header(record: &[String]) -> bool {
    let distinct = |(at, name): (usize, &String)| !record[..at].contains(name);
    record.iter().enumerate().all(distinct)
        && record.iter().map(|name| name.trim()).all(|name| {
            !name.is_empty() && !is_number(name, false) && !is_number(name, true) && !is_time(name)
        })
}
