//! Guesses the dialect of delimited text from its beginning.

use super::BOM;
use super::beginning::{LOGGERS, SEPARATOR};
use super::dialect::Dialect;
use super::ragged::Ragged;
use super::scan::{Scan, line};
use crate::format::MAX_FIELDS;
use crate::format::columns::Columns;

/// Candidate delimiters, the most reliable first: a comma may be a decimal mark, and spaces occur in every text.
const DELIMITERS: [&str; 5] = ["\t", ";", "|", ",", "blanks"];

/// The number of records to examine.
const MOST: usize = 500;

/// A record and its line number, from 1.
struct SampleRow {
    line: usize,
    fields: Vec<String>,
}

/// The dialect that UTF-8 text seems to have: delimiter, quote, comments, the lines before the records with header and units, and whether
/// records end with a delimiter. Everything else has its default.
pub fn sketch(text: &[u8], is_whole: bool) -> Dialect {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let comment = text.trim_ascii_start().starts_with(b"#").then(|| "#".to_owned());
    let plain = Dialect { quote: quote(text).into(), comment, ..Dialect::default() };
    let own = separator(text);
    let candidates: Vec<&str> = own.as_deref().map_or(DELIMITERS.to_vec(), |own| vec![own]);
    let mut layouts = candidates.into_iter().filter_map(|delimiter| {
        let dialect = Dialect { delimiter: delimiter.into(), ..plain.clone() };
        let rows = rows(text, is_whole, &dialect, own.is_some());
        let width = usual(rows.iter().map(|row| row.fields.len()))?;
        let fitting = rows.iter().filter(|row| row.fields.len() == width).count();
        (width > 1).then_some((dialect, rows, width, fitting))
    });
    let first_sure = layouts.find(|(_, rows, _, fitting)| fitting * 10 >= rows.len() * 6);
    match first_sure {
        Some((dialect, rows, width, _)) => with_rows(dialect, rows, width),
        None => plain,
    }
}

/// The delimiter that the first line declares.
fn separator(text: &[u8]) -> Option<String> {
    let (end, _) = line(text, 0, true)?;
    let own = text[..end].strip_prefix(SEPARATOR)?;
    (own.len() == 1).then(|| String::from_utf8_lossy(own).into_owned())
}

/// The single quote if fields are quoted with it, otherwise the double quote.
fn quote(text: &[u8]) -> &'static str {
    let is_end = |byte: &u8| matches!(byte, b'\t' | b';' | b'|' | b',' | b'\n' | b'\r');
    let is_quoted = |field: &&[u8]| field.len() > 1 && field.starts_with(b"'") && field.ends_with(b"'");
    if !text.contains(&b'"') && text.split(is_end).filter(is_quoted).count() > 1 { "'" } else { "\"" }
}

fn rows(text: &[u8], is_whole: bool, dialect: &Dialect, has_separator: bool) -> Vec<SampleRow> {
    let Ok(splitter) = dialect.splitter() else { return Vec::new() };
    let (mut at, mut number) = (0, 1);
    if has_separator && let Some((_, next)) = line(text, 0, true) {
        (at, number) = (next, 2);
    }
    let (mut rows, mut spans) = (Vec::new(), Vec::new());
    while rows.len() < MOST {
        (at, number) = match splitter.scan(text, at, is_whole, &mut spans) {
            Scan::Record { next, lines, .. } => {
                let field = |field: &[u8]| String::from_utf8_lossy(Columns::trim(field)).into_owned();
                let mut fields: Vec<_> =
                    splitter.fields(text, &spans).iter().map(|text| field(text)).collect();
                fields.truncate(MAX_FIELDS);
                rows.push(SampleRow { line: number, fields });
                (next, number + lines as usize)
            }
            Scan::Skipped { next } | Scan::Unclosed { next, .. } => (next, number + 1),
            Scan::Incomplete => break,
        };
    }
    rows
}

/// The most frequent number; the first one of several.
fn usual(numbers: impl Iterator<Item = usize> + Clone) -> Option<usize> {
    let count = |number: usize| numbers.clone().filter(|&other| other == number).count();
    numbers
        .clone()
        .fold(None, |best, number| match best {
            Some((known, most)) if number == known || count(number) <= most => Some((known, most)),
            _ => Some((number, count(number))),
        })
        .map(|(number, _)| number)
}

/// The dialect with the lines before the records, derived from its rows, most of which have `width` fields.
fn with_rows(dialect: Dialect, mut rows: Vec<SampleRow>, width: usize) -> Dialect {
    let Some(top) = rows.first() else { return dialect };
    // Such a file declares its own layout.
    if LOGGERS.iter().any(|(name, _)| top.fields[0] == *name) {
        return dialect;
    }
    let top = top.line;
    let (columns, ragged) = trim(&mut rows, width);
    let dialect = Dialect { ragged, ..dialect };
    let Some(first) = first_record(&rows) else { return dialect };
    let line = |at: usize| rows[at].line;
    if first == 0 {
        let skip_lines = if line(0) > top { line(0) - 1 } else { 0 };
        return Dialect { header: false, skip_lines, ..dialect };
    }
    // The header is the first row with a name for every column, among the rows right before the records or their units.
    let is_named = |row: &&SampleRow| row.fields.len() == columns && !row.fields.iter().any(String::is_empty);
    let last = rows[..first].iter().rposition(|row| is_named(&row)).unwrap_or(first - 1);
    let header = last - rows[..last].iter().rev().take_while(is_named).count();
    Dialect {
        header_row: (line(header) > top).then(|| line(header)),
        units_row: (first > header + 1).then(|| line(header + 1)),
        data_row: (first > header + 2).then(|| line(first)),
        ..dialect
    }
}

/// Keeps the rows with as many fields as columns, not counting empty ones after a trailing delimiter.
fn trim(rows: &mut Vec<SampleRow>, width: usize) -> (usize, Ragged) {
    let ends_in_delimiter = |row: &SampleRow| row.fields.last().is_some_and(String::is_empty);
    let is_trailing = width > 2 && rows.iter().all(|row| row.fields.len() != width || ends_in_delimiter(row));
    let columns = width - usize::from(is_trailing);
    rows.retain(|row| row.fields.len() == width || row.fields.len() == columns);
    // If the header ends with a delimiter, no option is needed.
    let is_said = rows.first().is_some_and(|row| row.fields.len() > columns);
    rows.iter_mut().for_each(|row| row.fields.truncate(columns));
    (columns, if is_trailing && !is_said { Ragged::Trim } else { Ragged::Reject })
}

/// The first row that resembles the last ones: numbers and times in the same fields.
fn first_record(rows: &[SampleRow]) -> Option<usize> {
    let valued = |row: &SampleRow| -> Vec<usize> {
        (0..row.fields.len()).filter(|&at| begins_as_value(&row.fields[at])).collect()
    };
    let pattern = rows.iter().rev().take(3).map(valued).max_by_key(Vec::len)?;
    let Some(&key) = pattern.first() else {
        // Only words: the first row has the names.
        return (rows.len() > 1).then_some(1);
    };
    let is_record = |row: &SampleRow| {
        let values = pattern.iter().filter(|&&at| begins_as_value(&row.fields[at])).count();
        begins_as_value(&row.fields[key]) && values * 2 >= pattern.len()
    };
    rows.iter().position(is_record)
}

/// Whether a field begins like a number or a time.
fn begins_as_value(field: &str) -> bool {
    let digits = field.trim_start_matches(['-', '+']).trim_start_matches(['.', ',']);
    digits.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Dialect {
        sketch(text.as_bytes(), true)
    }

    /// Delimiter, header, lines.
    fn shown(text: &str) -> (String, bool, [Option<usize>; 3]) {
        let Dialect { delimiter, header, header_row, units_row, data_row, .. } = of(text);
        (delimiter, header, [header_row, units_row, data_row])
    }

    #[test]
    fn plain_files_need_no_rows() {
        for delimiter in [",", ";", "|", "\t"] {
            let text = "time,v,note\n2031-01-01,1.5,a\n2031-01-02,-,b\n".replace(',', delimiter);
            assert_eq!(shown(&text), (delimiter.to_owned(), true, [None; 3]), "{text}");
        }
        assert_eq!(of("a,b\nx,y\n"), Dialect::default());
        for text in ["", "\n", "a\n1\n", "\u{feff}"] {
            assert_eq!(of(text), Dialect::default(), "{text:?}");
        }
    }

    #[test]
    fn lines_before_the_header_are_found() {
        let text = "made by: a logger\nat 2031-01-01\n\ntime,v\n2031-01-01,1\n2031-01-02,2\n2031-01-03,3\n";
        assert_eq!(shown(text), (",".into(), true, [Some(4), None, None]));
        let dialect = of("made in 2031\n7;1\n8;2\n9;3\n");
        assert_eq!((dialect.header, dialect.skip_lines), (false, 1));
    }

    #[test]
    fn units_and_what_stands_below_them_are_found() {
        let rows = "2031-01-01;1,5;2\n2031-01-02;1,7;3\n2031-01-03;2;4\n";
        let of = |lines: &str| shown(&format!("{lines}{rows}"));
        assert_eq!(of("t;p;q\n;bar;m\n"), (";".into(), true, [None, Some(2), None]));
        assert_eq!(of("t;p;q\nd;bar;m\n"), (";".into(), true, [None, Some(2), None]));
        assert_eq!(of("x\nt;p;q\nd;bar;m\n;avg;\n"), (";".into(), true, [Some(2), Some(3), Some(5)]));
        assert_eq!(of(";SN 1;SN 1\n;77;77\n;A;A\ndd;bar;m\n"), (";".into(), true, [Some(4), None, None]));
    }

    #[test]
    fn a_file_that_says_its_delimiter_is_believed() {
        let dialect = of("sep=|\nt|a;b\n1|2;3\n2|3;4\n");
        assert_eq!((dialect.delimiter.as_str(), dialect.header_row), ("|", None));
        let text = "\"TOA5\",\"x\",\"y\",\"z\"\n\"TIMESTAMP\",\"RECORD\",\"a\"\n\"TS\",\"RN\",\"m\"\n\"\",\"\",\"Avg\"\n\"2031-01-01\",0,1\n\"2031-01-02\",1,2\n\"2031-01-03\",1,2\n";
        assert_eq!(of(text).delimiter, ",");
    }

    #[test]
    fn blanks_and_delimiters_at_line_ends_are_found() {
        assert_eq!(shown("t   v\n1   2.5\n2\t3.5\n"), ("blanks".into(), true, [None; 3]));
        let dialect = of("t;v\n1;2;\n2;3;\n3;4;\n");
        assert_eq!((dialect.delimiter.as_str(), dialect.ragged), (";", Ragged::Trim));
    }

    #[test]
    fn odd_lines_in_the_middle_do_not_matter() {
        let text = "time,a,b\n2031-01-01,1,-\nbegun anew\ntime,a,b\n2031-01-02,1,2\n";
        assert_eq!(shown(text), (",".into(), true, [None; 3]));
    }
}
