//! What stands before the records of delimited text: a preamble, the header, units.

use super::columns::{Words, is_number};
use super::times::{TIME_NAMES, is_time};
use super::values::is_null;
use crate::format::columns::{ColumnOptions, Columns};
use crate::format::csv::{logger_rows, separator_of};

/// How many lines before the header are looked at.
pub(super) const LONGEST_PREAMBLE: usize = 50;

/// Which lines have what, counted from 1, as the options say it; `None` where nothing has to be said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Layout {
    pub(in crate::cli) skip_lines: Option<usize>,
    pub(in crate::cli) header_row: Option<usize>,
    pub(in crate::cli) units_row: Option<usize>,
    pub(in crate::cli) data_row: Option<usize>,
}

/// Records, and what stands before them.
pub(super) struct Found {
    pub(super) has_header: bool,
    pub(super) layout: Layout,
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) station: Option<String>,
}

/// Where the lines begin.
pub(super) fn lines(bytes: &[u8]) -> Vec<usize> {
    let ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
    std::iter::once(0).chain(ends).filter(|&at| at < bytes.len()).take(2 * LONGEST_PREAMBLE).collect()
}

/// Whether line `line`, of those that begin at `lines`, is blank.
pub(super) fn is_blank(bytes: &[u8], lines: &[usize], line: usize) -> bool {
    let end = lines.get(line + 1).copied().unwrap_or(bytes.len());
    bytes[lines[line]..end].trim_ascii().is_empty()
}

/// The delimiter that a first line `sep=;` tells.
pub(super) fn separator(bytes: &[u8]) -> Option<u8> {
    separator_of(bytes.split(|byte| *byte == b'\n').next()?)
}

/// The lines of the header and of the first record in the file of a logger that says in its first field how it begins.
pub(super) fn logger(rows: &[Vec<String>]) -> Option<(usize, usize)> {
    logger_rows(rows.first()?.first()?)
}

/// Whether nearly all records have as many fields as the first, and that is more than one. Where that is not the first of the file, or
/// blanks delimit, it must have names or a number or a time too: sentences have as many words as one another by chance.
pub(super) fn fits(records: &[Vec<String>], is_behind: bool, delimiter: u8) -> bool {
    let Some(first) = records.first() else { return false };
    let same = records.iter().filter(|record| record.len() == first.len()).count();
    let is_even = same * 10 >= records.len() * 9 || same > 3 && same + 2 >= records.len();
    let has_values = || records.iter().skip(1).any(|record| record.iter().any(|field| is_value(field)));
    let is_sure = || !is_behind && delimiter != b' ' || records.len() > 1 && has_values();
    first.len() > 1 && is_even && is_sure()
}

fn is_value(field: &str) -> bool {
    is_number(field, false) || is_number(field, true) || is_time(field)
}

/// Finds the header in `rows`, which begin with line `line` (from 0) of the file.
pub(super) fn find(mut rows: Vec<Vec<String>>, line: usize, first_line: usize, has_comments: bool) -> Found {
    let logger = logger(&rows);
    let station = logger.and_then(|_| rows[0].get(1).cloned()).filter(|station| !station.is_empty());
    if let Some((header, data)) = logger {
        let names = rows.get(header - 1).cloned().unwrap_or_default();
        rows.drain(..(data - 1).min(rows.len()));
        return Found { station, ..with_names(&names, rows) };
    }
    let width = rows.last().map_or(0, Vec::len).max(rows.first().map_or(0, Vec::len));
    let data = first_record(&rows, width);
    // Of several lines that could be, the one that names all columns.
    let names_all = |row: &Vec<String>| {
        let names = || row.iter().map(|name| name.trim());
        row.len() == width && names().all(|name| !name.is_empty()) && is_header(row, &[])
    };
    let lines = &rows[..data];
    let header = lines.iter().position(names_all);
    let header = header.or_else(|| lines.iter().position(|row| is_header(row, &rows[data..])));
    let Some(header) = header else {
        let data = if data < rows.len() && line > first_line { data } else { 0 };
        return without_names(rows, line + data);
    };
    // Lines are counted from records, which is the same where there are neither comments nor blank lines.
    let at = |row: usize| Some(line + row + 1).filter(|_| !has_comments);
    let mut layout = Layout::default();
    if line + header > first_line {
        layout.header_row = at(header);
    }
    if data > header + 1 {
        layout.units_row = at(header + 1);
        layout.data_row = at(data).filter(|_| data > header + 2);
    }
    let names = rows[header].clone();
    rows.drain(..data);
    rows.retain(|row| *row != names);
    Found { layout, ..with_names(&names, rows) }
}

fn with_names(names: &[String], mut rows: Vec<Vec<String>>) -> Found {
    let mut names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
    let is_unused =
        |at: usize| rows.iter().all(|row| row.get(at).is_none_or(|field| field.trim().is_empty()));
    if names.len() > 1 && names.last().is_some_and(String::is_empty) && is_unused(names.len() - 1) {
        names.pop();
        rows.iter_mut().for_each(|row| row.truncate(names.len()));
    }
    if let Ok(columns) = Columns::new(&ColumnOptions::default()) {
        names = columns.distinct(&names);
    }
    rows.retain(|row| row.len() == names.len());
    Found { has_header: true, layout: Layout::default(), names, rows, station: None }
}

fn without_names(mut rows: Vec<Vec<String>>, skip_lines: usize) -> Found {
    let width = rows.first().map_or(0, Vec::len);
    rows.retain(|row| row.len() == width);
    let names = (1..=width).map(|at| format!("column_{at}")).collect();
    let layout = Layout { skip_lines: Some(skip_lines).filter(|&lines| lines > 0), ..Layout::default() };
    Found { has_header: false, layout, names, rows, station: None }
}

/// The first record: it has a time where the last one has one, or a number where that has no time.
fn first_record(rows: &[Vec<String>], width: usize) -> usize {
    let Some(last) = rows.iter().rfind(|row| row.len() == width) else { return rows.len().min(1) };
    let times: Vec<usize> = (0..width).filter(|&at| is_time(&last[at])).collect();
    let is_record = |row: &Vec<String>| match times.as_slice() {
        [] => row.iter().any(|field| is_value(field)),
        times => times.iter().any(|&at| row.get(at).is_some_and(|field| is_time(field))),
    };
    rows.iter().take(LONGEST_PREAMBLE).position(is_record).unwrap_or(rows.len().min(1))
}

/// Names: most are there, and they are neither numbers nor times nor nulls; or one of them says that its column has the times.
fn is_header(row: &[String], records: &[Vec<String>]) -> bool {
    let names = || row.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let is_time_column = |at: usize| {
        let name = row[at].to_lowercase();
        name.has_one(&TIME_NAMES)
            && !records.is_empty()
            && records.iter().all(|record| record.get(at).is_none_or(|field| is_value(field)))
    };
    let are_names =
        names().count() * 3 >= row.len() * 2 && names().all(|name| !is_value(name) && !is_null(name));
    are_names || (0..row.len()).any(is_time_column)
}
