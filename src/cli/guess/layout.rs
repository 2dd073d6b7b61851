//! What stands before the records of delimited text: a preamble, the header, units.

use super::delimiter::{Look, Shape, look};
use super::formats::is_time;
use super::lines::Record;
use super::refusal::Refusal;
use super::sample::shown;
use super::times::TIME_NAMES;
use super::values::is_null;
use super::words::has_one;
use crate::cli::summary::plural;
use tidemill_core::format::columns::{ColumnOptions, Columns};
use tidemill_core::format::csv::{logger_rows, separator_of};

/// Which lines have what, counted from 1, as the options say it; `None` where nothing has to be said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct LineLayout {
    pub(in crate::cli) skip_lines: Option<usize>,
    pub(in crate::cli) header_row: Option<usize>,
    pub(in crate::cli) units_row: Option<usize>,
    pub(in crate::cli) data_row: Option<usize>,
    /// What becomes of records with other numbers of fields.
    pub(in crate::cli) ragged: Option<&'static str>,
}

/// Records, and what stands before them.
#[derive(Default)]
pub(super) struct RecordsFound {
    pub(super) has_header: bool,
    pub(super) layout: LineLayout,
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) station: Option<String>,
    /// What could not be told.
    pub(super) doubts: Vec<String>,
    /// Why no options read it.
    pub(super) refusal: Option<Refusal>,
}

/// The delimiter that a first line `sep=;` tells.
pub(super) fn separator(bytes: &[u8]) -> Option<u8> {
    separator_of(bytes.split(|byte| *byte == b'\n').next()?)
}

/// Finds the header in `records`; where there is none, names may stand in the comments before the first record, which `comments` gives as
/// records.
pub(super) fn find(records: Vec<Record>, shape: &Shape, comments: Vec<Record>) -> RecordsFound {
    if let Some(rows) = records.first().and_then(|first| logger_rows(first.fields.first()?)) {
        return of_logger(records, rows);
    }
    let width = shape.width;
    let (before, data) = records.split_at(shape.first.min(records.len()));
    if let Some(header) = header(before, data, width) {
        let names = before[header].fields.clone();
        let layout = layout(before, data, header, width);
        // What stands between and is passed over by no option is read, and refused where it is odd.
        let between = &before[header + 1..];
        let read = between[units(between, width)..].iter().chain(data).cloned();
        let (again, rows): (Vec<_>, Vec<_>) = read.partition(|record| record.fields == names);
        let doubt = again.first().map(|first| {
            let lines = plural(again.len() as u64, "line");
            format!("the names stand again in {lines}, first line {}: refused", first.line)
        });
        let mut found = RecordsFound { layout, ..with_names(&names, rows) };
        found.doubts.extend(doubt);
        return found;
    }
    if let Some((names, ragged)) = uneven_header(before, data, width) {
        let Some(ragged) = ragged else {
            let refusal = Refusal::of_names(names.len(), width);
            return RecordsFound { refusal: Some(refusal), ..without_names(before, data, width) };
        };
        let mut layout = layout(before, data, before.len() - 1, width);
        layout.ragged = Some(ragged);
        let mut rows = data.to_vec();
        rows.iter_mut()
            .filter(|row| row.fields.len() == width)
            .for_each(|row| row.fields.resize(names.len(), String::new()));
        return RecordsFound { layout, ..with_names(&names, rows) };
    }
    let named =
        comments.into_iter().find(|names| names.fields.len() == width && is_header(&names.fields, &[]));
    let found = without_names(before, data, width);
    match named.filter(|_| before.is_empty()) {
        Some(names) => RecordsFound { has_header: false, ..with_names(&names.fields, data.to_vec()) },
        None => found,
    }
}

/// The file of a logger that says in its first field how it begins: in the lines of the header and of the first record.
fn of_logger(records: Vec<Record>, (header, data): (usize, usize)) -> RecordsFound {
    let station = |record: &Record| record.fields.get(1).cloned().unwrap_or_default();
    let is_first = |record: &Record| record.fields.first() == records[0].fields.first();
    let mut stations: Vec<String> = records
        .iter()
        .filter(|record| is_first(record))
        .map(station)
        .filter(|name| !name.is_empty())
        .collect();
    stations.dedup();
    let names = records.get(header - 1).map(|record| record.fields.clone()).unwrap_or_default();
    let (before, rows) = records.split_at((data - 1).min(records.len()));
    let is_again =
        |record: &&Record| is_first(record) || before.iter().any(|line| line.fields == record.fields);
    let rows = rows.iter().filter(|record| !is_again(record)).cloned().collect();
    let mut found = with_names(&names, rows);
    match stations.as_slice() {
        [only] => found.station = Some(only.clone()),
        [] => {}
        several => {
            let several: Vec<String> = several.iter().map(|name| shown(name)).collect();
            found.doubts.push(format!(
                "the file has the records of {} one behind the other, and no column says whose one is: split it",
                several.join(", ")
            ));
        }
    }
    found
}

/// Which of the lines before the records has their names. Of several that could be, the one that says which column has the times, then
/// one that names all columns.
fn header(before: &[Record], data: &[Record], width: usize) -> Option<usize> {
    let first = data.first().map(|record| record.fields.as_slice()).unwrap_or_default();
    let could_be = |record: &Record| fits(&record.fields, width) && is_header(&record.fields, data);
    let says_time = |record: &Record| {
        let mut columns = record.fields.iter().zip(first);
        could_be(record) && columns.any(|(name, field)| is_time(field) && has_one(name, &TIME_NAMES))
    };
    let names_all = |record: &Record| {
        could_be(record) && record.fields.iter().take(width).all(|name| !name.trim().is_empty())
    };
    let find = |is: &dyn Fn(&Record) -> bool| before.iter().position(is);
    find(&says_time).or_else(|| find(&names_all)).or_else(|| find(&could_be))
}

/// Whether a line has as many fields as records have, but for a delimiter at its end.
fn fits(fields: &[String], width: usize) -> bool {
    fields.len() == width || fields.len() == width + 1 && fields[width].trim().is_empty()
}

/// The names right above the records where there are more or fewer than these have fields, and the option that reads them all the same.
fn uneven_header(
    before: &[Record],
    data: &[Record],
    width: usize,
) -> Option<(Vec<String>, Option<&'static str>)> {
    let names = &before.last()?.fields;
    if data.is_empty()
        || names.len() < 2
        || !names.iter().any(|name| has_one(name, &TIME_NAMES))
        || !is_header(names, &[])
    {
        return None;
    }
    let has_none =
        |record: &Record| record.fields.iter().skip(names.len()).all(|field| field.trim().is_empty());
    let ragged = match names.len() {
        count if count > width => Some("fill"),
        _ if data.iter().filter(|record| record.fields.len() == width).all(has_none) => Some("trim"),
        _ => None,
    };
    Some((names.clone(), ragged))
}

/// Which lines the options must name. What stands between the names and the records is passed over where it has no values, as units have
/// none.
fn layout(before: &[Record], data: &[Record], header: usize, width: usize) -> LineLayout {
    let between = &before[header + 1..];
    let units = units(between, width);
    let next = between.get(units).or(data.first());
    LineLayout {
        header_row: (header > 0).then_some(before[header].line),
        units_row: between.first().filter(|_| units > 0).map(|record| record.line),
        data_row: next.filter(|_| units > 1).map(|record| record.line),
        ..LineLayout::default()
    }
}

/// How many of the lines behind the names could be of units: they have no values. A rule below them is one.
fn units(between: &[Record], width: usize) -> usize {
    let is_of_units = |record: &&Record| {
        let has_value = record.fields.iter().any(|field| matches!(look(field), Look::Number | Look::Time));
        let is_rule = || {
            record.fields.iter().all(|field| field.trim_matches(['-', '=', '_', '+', '*', ' ']).is_empty())
        };
        (fits(&record.fields, width) || is_rule()) && !has_value
    };
    between.iter().take_while(is_of_units).count()
}

fn with_names(names: &[String], mut rows: Vec<Record>) -> RecordsFound {
    let mut names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
    let is_unused =
        |at: usize| rows.iter().all(|row| row.fields.get(at).is_none_or(|field| field.trim().is_empty()));
    if names.len() > 1 && names.last().is_some_and(String::is_empty) && is_unused(names.len() - 1) {
        names.pop();
        rows.iter_mut().for_each(|row| row.fields.truncate(names.len()));
    }
    if let Ok(columns) = Columns::new(&ColumnOptions::default()) {
        names = columns.distinct(&names);
    }
    let (rows, doubts) = even(rows, names.len());
    RecordsFound { has_header: true, names, rows, doubts, ..RecordsFound::default() }
}

fn without_names(before: &[Record], data: &[Record], width: usize) -> RecordsFound {
    // What could be a record is none that may be passed over unread.
    let could_be = |record: &Record| {
        record.fields.len() == width && record.fields.iter().any(|field| look(field) == Look::Number)
    };
    let first = before.iter().rposition(|record| !could_be(record)).map_or(0, |at| at + 1);
    let kept: Vec<&Record> = before[first..].iter().chain(data).collect();
    let skip_lines = kept.first().filter(|_| first > 0).map(|record| record.line - 1);
    let (rows, doubts) = even(kept.into_iter().cloned().collect(), width);
    let names = (1..=width).map(|at| format!("column_{at}")).collect();
    RecordsFound {
        layout: LineLayout { skip_lines, ..LineLayout::default() },
        names,
        rows,
        doubts,
        ..RecordsFound::default()
    }
}

/// The rows with as many fields as there are names, and what is to be said of the others.
fn even(records: Vec<Record>, width: usize) -> (Vec<Vec<String>>, Vec<String>) {
    let all = plural(records.len() as u64, "record");
    let (even, odd): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.fields.len() == width);
    let doubt = odd.first().map(|first| {
        let (odd, line) = (odd.len(), first.line);
        format!("{odd} of {all} with more or fewer fields than there are columns, first line {line}: refused, unless `ragged` says otherwise")
    });
    (even.into_iter().map(|record| record.fields).collect(), doubt.into_iter().collect())
}

/// Names: most are there, and they are neither numbers nor times nor nulls; or one of them says that its column has the times.
fn is_header(row: &[String], data: &[Record]) -> bool {
    let names = || row.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let is_value = |field: &str| matches!(look(field), Look::Number | Look::Time);
    let is_time_column = |at: usize| {
        let field = |record: &Record| record.fields.get(at).is_none_or(|field| is_value(field));
        has_one(&row[at], &TIME_NAMES) && !data.is_empty() && data.iter().all(field)
    };
    let are_names =
        names().count() * 3 >= row.len() * 2 && names().all(|name| !is_value(name) && !is_null(name));
    are_names || (0..row.len()).any(is_time_column)
}
