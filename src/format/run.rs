//! Many records at once, column by column, so that rows need not wait for one another: what the fast decoders share.

use super::columns::Columns;
use super::rows::LastTime;
use crate::batch::{Mask, Span, TimeColumn};
use crate::kernel::number::parse_short;
use crate::time::Timestamp;

/// Consecutive records whose fields have been found.
pub(super) trait Run {
    /// What the places count from.
    fn text(&self) -> &[u8];

    /// How many records there are.
    fn records(&self) -> usize;

    /// Calls `each` for a field of every record: record, start, end. A missing value is empty.
    fn each(&self, field: usize, each: impl FnMut(usize, usize, usize));
}

/// One field of a run. Values are as [`Rows::field`](super::rows::Rows::field) would have them; where it would refuse one, the record
/// is odd, and has something in its place.
pub(super) struct FieldOfRun<'a, R> {
    pub(super) run: &'a R,
    pub(super) field: usize,
    pub(super) columns: &'a Columns,
    pub(super) odd: &'a mut Vec<u32>,
}

impl<R: Run> FieldOfRun<'_, R> {
    /// Appends the numbers. `nulls` is a buffer.
    pub(super) fn numbers(&mut self, values: &mut Vec<f64>, valid: &mut Mask, nulls: &mut Vec<u32>) {
        let Self { run, columns, odd, .. } = self;
        let text = run.text();
        let mark = columns.decimal_mark();
        let has_null_values = columns.has_null_values();
        nulls.clear();
        let mut places = room(values, run.records(), 0.0);
        run.each(self.field, |record, start, end| {
            let short = if has_null_values { None } else { parse_short(text, start, end, mark) };
            let value = short.unwrap_or_else(|| {
                let field = Columns::trim(&text[start..end]);
                if columns.is_null(field) {
                    nulls.push(record as u32);
                    return 0.0;
                }
                columns.number(field).unwrap_or_else(|| {
                    odd.push(record as u32);
                    0.0
                })
            });
            put(&mut places, value);
        });
        let first = valid.len();
        valid.extend_filled(run.records(), true);
        nulls.iter().for_each(|&row| valid.set(first + row as usize, false));
    }

    /// Appends the times.
    pub(super) fn times(&mut self, last: &mut LastTime, column: &mut TimeColumn) {
        let Self { run, columns, odd, .. } = self;
        let (text, has_null_values) = (run.text(), columns.has_null_values());
        let mut values = room(&mut column.values, run.records(), Timestamp::MIN);
        let mut spans = room(&mut column.text, run.records(), Span::NULL);
        run.each(self.field, |record, start, end| {
            let (start, field) = trimmed(text, start, end);
            let is_null = has_null_values && columns.is_null(field);
            let time = last.read(field, columns).ok().filter(|_| !is_null).unwrap_or_else(|| {
                odd.push(record as u32);
                Timestamp::MIN
            });
            put(&mut values, time);
            put(&mut spans, Span::new(start, field.len()));
        });
    }

    /// Appends where the sensors' names stand: start and length.
    pub(super) fn names(&mut self, names: &mut Vec<(u32, u32)>) {
        let Self { run, columns, odd, .. } = self;
        let text = run.text();
        let has_null_values = columns.has_null_values();
        let mut names = room(names, run.records(), (0, 0));
        run.each(self.field, |record, start, end| {
            let (start, field) = trimmed(text, start, end);
            if field.is_empty() || has_null_values && columns.is_null(field) {
                odd.push(record as u32);
            }
            put(&mut names, (start as u32, field.len() as u32));
        });
    }
}

/// Makes a column longer by `records` values, to be written one after the other: cheaper than to ask for room at every one.
fn room<T: Copy>(column: &mut Vec<T>, records: usize, empty: T) -> std::slice::IterMut<'_, T> {
    let first = column.len();
    column.resize(first + records, empty);
    column[first..].iter_mut()
}

/// Writes the next value.
#[inline(always)]
fn put<T>(places: &mut std::slice::IterMut<'_, T>, value: T) {
    if let Some(place) = places.next() {
        *place = value;
    }
}

/// A field without the spaces around it, and where it starts then.
#[inline(always)]
pub(super) fn trimmed(text: &[u8], start: usize, end: usize) -> (usize, &[u8]) {
    let field = &text[start..end];
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if !is_space(field.first()) && !is_space(field.last()) {
        return (start, field);
    }
    let inner = Columns::trim(field);
    (start + inner.as_ptr().addr().saturating_sub(field.as_ptr().addr()), inner)
}
