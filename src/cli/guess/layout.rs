//! Finds what precedes the records of delimited text: a preamble, the header, units.

use super::delimiter::{FieldKind, RecordShape, look};
use super::formats::is_time;
use super::lines::SampleRecord;
use super::refusal::Refusal;
use super::sample::shown;
use super::times::TIME_NAMES;
use super::values::is_null;
use super::words::has_one;
use crate::cli::summary::plural;
use tidemill_core::format::columns::{ColumnOptions, Columns};
use tidemill_core::format::csv::{logger_rows, separator_of};

/// Line numbers, counted from 1, as the options give them; `None` where no option is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct LineLayout {
    pub(in crate::cli) skip_lines: Option<usize>,
    pub(in crate::cli) header_row: Option<usize>,
    pub(in crate::cli) units_row: Option<usize>,
    pub(in crate::cli) data_row: Option<usize>,
    /// The option for records with another number of fields.
    pub(in crate::cli) ragged: Option<&'static str>,
}

/// Records, and what precedes them.
#[derive(Default)]
pub(super) struct RecordsFound {
    pub(super) has_header: bool,
    pub(super) layout: LineLayout,
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) station: Option<String>,
    /// Open questions.
    pub(super) doubts: Vec<String>,
    /// Why no options can read it, if none can.
    pub(super) refusal: Option<Refusal>,
}

/// The delimiter given by a first line `sep=;`.
pub(super) fn separator(bytes: &[u8]) -> Option<u8> {
    separator_of(bytes.split(|byte| *byte == b'\n').next()?)
}

/// Finds the header in `records`; where there is none, names may stand in the comments before the first record, which `comments` gives as
/// records.
pub(super) fn find(
    records: Vec<SampleRecord>,
    shape: &RecordShape,
    comments: Vec<SampleRecord>,
) -> RecordsFound {
    if let Some(rows) = records.first().and_then(|first| logger_rows(first.fields.first()?)) {
        return of_logger(records, rows);
    }
    let width = shape.width;
    let (before, data) = records.split_at(shape.first.min(records.len()));
    if let Some(header) = header(before, data, width) {
        let names = before[header].fields.clone();
        let layout = layout(before, data, header, width);
        // Lines in between that no option skips are read, and rejected if they are not records.
        let between = &before[header + 1..];
        let read = between[units(between, width)..].iter().chain(data).cloned();
        let (again, rows): (Vec<_>, Vec<_>) = read.partition(|record| record.fields == names);
        let doubt = again.first().map(|first| {
            let lines = plural(again.len() as u64, "line");
            format!("the header is repeated in {lines}, first in line {}: rejected", first.line)
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

/// The file of a logger whose first field tells its layout: the lines of the header and of the first record.
fn of_logger(records: Vec<SampleRecord>, (header, data): (usize, usize)) -> RecordsFound {
    let station = |record: &SampleRecord| record.fields.get(1).cloned().unwrap_or_default();
    let is_first = |record: &SampleRecord| record.fields.first() == records[0].fields.first();
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
        |record: &&SampleRecord| is_first(record) || before.iter().any(|line| line.fields == record.fields);
    let rows = rows.iter().filter(|record| !is_again(record)).cloned().collect();
    let mut found = with_names(&names, rows);
    match stations.as_slice() {
        [only] => found.station = Some(only.clone()),
        [] => {}
        several => {
            let several: Vec<String> = several.iter().map(|name| shown(name)).collect();
            found.doubts.push(format!(
                "the file has the records of {} one after the other, and no column identifies them: split it",
                several.join(", ")
            ));
        }
    }
    found
}

/// Which of the lines before the records is the header. Of several candidates, one that names the time column, then
/// one that names all columns.
fn header(before: &[SampleRecord], data: &[SampleRecord], width: usize) -> Option<usize> {
    let first = data.first().map(|record| record.fields.as_slice()).unwrap_or_default();
    let could_be = |record: &SampleRecord| fits(&record.fields, width) && is_header(&record.fields, data);
    let says_time = |record: &SampleRecord| {
        let mut columns = record.fields.iter().zip(first);
        could_be(record) && columns.any(|(name, field)| is_time(field) && has_one(name, &TIME_NAMES))
    };
    let names_all = |record: &SampleRecord| {
        could_be(record) && record.fields.iter().take(width).all(|name| !name.trim().is_empty())
    };
    let find = |is: &dyn Fn(&SampleRecord) -> bool| before.iter().position(is);
    find(&says_time).or_else(|| find(&names_all)).or_else(|| find(&could_be))
}

/// Whether a line has as many fields as the records, ignoring a trailing delimiter.
fn fits(fields: &[String], width: usize) -> bool {
    fields.len() == width || fields.len() == width + 1 && fields[width].trim().is_empty()
}

/// A header directly above the records with another number of fields, and the option that allows it.
fn uneven_header(
    before: &[SampleRecord],
    data: &[SampleRecord],
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
        |record: &SampleRecord| record.fields.iter().skip(names.len()).all(|field| field.trim().is_empty());
    let ragged = match names.len() {
        count if count > width => Some("fill"),
        _ if data.iter().filter(|record| record.fields.len() == width).all(has_none) => Some("trim"),
        _ => None,
    };
    Some((names.clone(), ragged))
}

/// Which lines the options must name. Lines between the header and the records are skipped if they have no values, as units have
/// none.
fn layout(before: &[SampleRecord], data: &[SampleRecord], header: usize, width: usize) -> LineLayout {
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

/// How many of the lines after the header may be units: they have no values. A line of dashes counts as one.
fn units(between: &[SampleRecord], width: usize) -> usize {
    let is_of_units = |record: &&SampleRecord| {
        let has_value =
            record.fields.iter().any(|field| matches!(look(field), FieldKind::Number | FieldKind::Time));
        let is_rule = || {
            record.fields.iter().all(|field| field.trim_matches(['-', '=', '_', '+', '*', ' ']).is_empty())
        };
        (fits(&record.fields, width) || is_rule()) && !has_value
    };
    between.iter().take_while(is_of_units).count()
}

fn with_names(names: &[String], mut rows: Vec<SampleRecord>) -> RecordsFound {
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

fn without_names(before: &[SampleRecord], data: &[SampleRecord], width: usize) -> RecordsFound {
    // A line that may be a record must not be skipped.
    let could_be = |record: &SampleRecord| {
        record.fields.len() == width && record.fields.iter().any(|field| look(field) == FieldKind::Number)
    };
    let first = before.iter().rposition(|record| !could_be(record)).map_or(0, |at| at + 1);
    let kept: Vec<&SampleRecord> = before[first..].iter().chain(data).collect();
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

/// The rows with as many fields as there are names, and warnings about the others.
fn even(records: Vec<SampleRecord>, width: usize) -> (Vec<Vec<String>>, Vec<String>) {
    let all = plural(records.len() as u64, "record");
    let (even, odd): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.fields.len() == width);
    let doubt = odd.first().map(|first| {
        let (odd, line) = (odd.len(), first.line);
        format!("{odd} of {all} with more or fewer fields than there are columns, first in line {line}: rejected unless `ragged` allows them")
    });
    (even.into_iter().map(|record| record.fields).collect(), doubt.into_iter().collect())
}

/// Whether a row is a header: most fields are non-empty and neither numbers nor times nor nulls; or one of them names the time column.
fn is_header(row: &[String], data: &[SampleRecord]) -> bool {
    let names = || row.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let is_value = |field: &str| matches!(look(field), FieldKind::Number | FieldKind::Time);
    let is_time_column = |at: usize| {
        let field = |record: &SampleRecord| record.fields.get(at).is_none_or(|field| is_value(field));
        has_one(&row[at], &TIME_NAMES) && !data.is_empty() && data.iter().all(field)
    };
    let are_names =
        names().count() * 3 >= row.len() * 2 && names().all(|name| !is_value(name) && !is_null(name));
    are_names || (0..row.len()).any(is_time_column)
}
