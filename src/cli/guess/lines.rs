//! The lines of a sample: records, comments, and their line numbers.

use tidemill_core::format::csv::Dialect;
use tidemill_core::format::csv::scan::Scan;

/// A record, and the line that it begins with, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SampleRecord {
    pub(super) line: usize,
    pub(super) fields: Vec<String>,
}

/// The bytes with a special meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpecialBytes {
    /// A blank means any number of blanks.
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) comment: Option<u8>,
}

/// The records of a sample as the source would find them, except the first `skipped` lines. Unless the sample `is_whole`, its last record
/// is truncated, and left out.
pub(super) fn records(
    bytes: &[u8],
    marks: SpecialBytes,
    skipped: usize,
    is_whole: bool,
) -> Vec<SampleRecord> {
    let text = |byte: u8| char::from(byte).to_string();
    let dialect = Dialect {
        delimiter: if marks.delimiter == b' ' { "blanks".to_owned() } else { text(marks.delimiter) },
        quote: text(marks.quote),
        comment: marks.comment.map(text),
        ..Dialect::default()
    };
    by_dialect(bytes, &dialect, skipped, is_whole)
}

/// The same of fixed-width fields.
pub(super) fn fixed_records(
    bytes: &[u8],
    widths: &[usize],
    comment: Option<u8>,
    is_whole: bool,
) -> Vec<SampleRecord> {
    let comment = comment.map(|mark| char::from(mark).to_string());
    let dialect = Dialect { widths: Some(widths.to_vec()), comment, ..Dialect::default() };
    by_dialect(bytes, &dialect, 0, is_whole)
}

fn by_dialect(bytes: &[u8], dialect: &Dialect, skipped: usize, is_whole: bool) -> Vec<SampleRecord> {
    let Ok(splitter) = dialect.splitter() else { return Vec::new() };
    let ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
    let mut at = std::iter::once(0).chain(ends).nth(skipped).unwrap_or(bytes.len());
    let (mut line, mut spans, mut records) = (skipped as u64 + 1, Vec::new(), Vec::new());
    let as_text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    loop {
        let number = line as usize;
        match splitter.scan(bytes, at, true, &mut spans) {
            Scan::Skipped { next } => (at, line) = (next, line + 1),
            Scan::Record { next, lines, .. } => {
                let fields = splitter.fields(bytes, &spans).iter().map(|field| as_text(field)).collect();
                records.push(SampleRecord { line: number, fields });
                (at, line) = (next, line + lines);
            }
            // An unclosed quote: a line of prose.
            Scan::Unclosed { end, next } => {
                records.push(SampleRecord { line: number, fields: vec![as_text(&bytes[at..end])] });
                (at, line) = (next, line + 1);
            }
            Scan::Incomplete => break,
        }
    }
    if !is_whole {
        records.pop();
    }
    records
}

/// The text of the comments before line `end`, without their mark.
pub(super) fn comments(bytes: &[u8], mark: u8, end: usize) -> String {
    let lines = bytes.split(|byte| *byte == b'\n').take(end.saturating_sub(1));
    let lines = lines.filter_map(|line| line.strip_prefix(&[mark]));
    let texts = lines
        .map(|line| String::from_utf8_lossy(line).trim_start_matches(char::from(mark)).trim().to_owned());
    texts.collect::<Vec<_>>().join("\n")
}
