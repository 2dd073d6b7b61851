//! Decodes many records at once, column by column, so that rows do not depend on each other; shared by the fast decoders.

use super::columns::{Columns, may_be_rounded};
use super::last_time::LastTime;
use crate::batch::{Column, Mask, Span, TimeColumn};
use crate::kernel::numerals::{self, Numeral};
use crate::sensor::{MAX_NAME, SensorId, SensorLookup};
use crate::time::Timestamp;

/// Consecutive records whose fields have been delimited.
pub(super) trait RecordRun {
    /// The text that positions refer to.
    fn text(&self) -> &[u8];

    /// Unescaped names of sensors; their positions count on from the text's.
    fn made(&self) -> &[u8] {
        &[]
    }

    /// The number of records.
    fn records(&self) -> usize;

    /// The start and end of a field of a record; equal for a missing value.
    fn bounds(&self, field: usize, record: usize) -> (usize, usize);

    /// Calls `each` with record, start and end for a field of every record.
    fn each(&self, field: usize, each: impl FnMut(usize, usize, usize));
}

/// Buffers for the numbers of a run.
#[derive(Default)]
pub(super) struct NumberScratch {
    numerals: Vec<Numeral>,
    /// Records whose number is not short and plain.
    others: Vec<u32>,
}

/// The sensors of a run.
#[derive(Default)]
pub(super) struct SensorsOfRun {
    /// The start and length of their names.
    pub(super) names: Vec<(u32, u32)>,
    /// All names, if some are unescaped; otherwise they are in the text of the run.
    made: Vec<u8>,
    /// [`SensorId::UNKNOWN`] for a name to be looked up once its record is valid: an invalid record does not register its sensor.
    pub(super) ids: Vec<SensorId>,
}

impl SensorsOfRun {
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.made.clear();
        self.ids.clear();
    }

    /// The text in which the names are, if that of the run is `text`.
    pub(super) fn text<'t>(&'t self, text: &'t [u8]) -> &'t [u8] {
        if self.made.is_empty() { text } else { &self.made }
    }

    /// Copies the names out of `text`, if some are in `made`, which counts on from it.
    fn gather(&mut self, text: &[u8], made: &[u8]) {
        for name in self.names.iter_mut().filter(|_| !made.is_empty()) {
            let (start, len) = (name.0 as usize, name.1 as usize);
            let (text, start) = start.checked_sub(text.len()).map_or((text, start), |start| (made, start));
            name.0 = self.made.len() as u32;
            self.made.extend_from_slice(&text[start..start + len]);
        }
    }
}

/// One field of a run. Values equal those of [`ChunkRows::field`](super::rows::ChunkRows::field); if that would reject a value, the record is odd and
/// has a placeholder.
pub(super) struct FieldOfRun<'a, R> {
    pub(super) run: &'a R,
    pub(super) field: usize,
    pub(super) columns: &'a Columns,
    pub(super) odd: &'a mut Vec<u32>,
}

impl<R: RecordRun> FieldOfRun<'_, R> {
    /// Appends the numbers: first those that are short and plain, as most are. Returns whether some may be rounded integers; short ones
    /// never are.
    pub(super) fn numbers(
        &mut self,
        values: &mut Vec<f64>,
        valid: &mut Mask,
        scratch: &mut NumberScratch,
    ) -> bool {
        let (run, columns) = (self.run, self.columns);
        let NumberScratch { numerals, others } = scratch;
        let (first, records) = (values.len(), run.records());
        values.resize(first + records, 0.0);
        valid.extend_filled(records, true);
        others.clear();
        let mut may_be = false;
        if columns.has_null_texts() {
            others.extend(0..records as u32);
        } else {
            let text = run.text();
            numerals.clear();
            let mut places = room(numerals, records, Numeral::default());
            run.each(self.field, |_, start, end| put(&mut places, Numeral::new(text, start, end)));
            numerals::read(numerals, columns.decimal_mark(), &mut values[first..], others);
        }
        for &record in &*others {
            let row = first + record as usize;
            let value = self.number(record);
            values[row] = value.unwrap_or(0.0);
            valid.set(row, value.is_some());
            may_be |= may_be_rounded(values[row]);
        }
        if !columns.null_numbers().is_empty() {
            let nulls = (first..first + records).filter(|&row| columns.is_null_number(values[row]));
            nulls.collect::<Vec<_>>().into_iter().for_each(|row| {
                values[row] = 0.0;
                valid.set(row, false);
            });
        }
        may_be
    }

    /// Calls `each` for the records whose integer differs from the float in `values`.
    #[cold]
    pub(super) fn rounded(&self, values: &[f64], mut each: impl FnMut(u32)) {
        for (record, &value) in values.iter().enumerate().filter(|(_, value)| may_be_rounded(**value)) {
            let (start, end) = self.run.bounds(self.field, record);
            if self.columns.is_rounded(Columns::trim(&self.run.text()[start..end]), value) {
                each(record as u32);
            }
        }
    }

    /// Appends the values of a column that is not f64.
    pub(super) fn values(&mut self, column: &mut Column) {
        let Self { run, columns, odd, .. } = self;
        let (text, ty) = (run.text(), column.value_type());
        run.each(self.field, |record, start, end| {
            let value = columns.value(ty, Columns::trim(&text[start..end]));
            if value.is_none() {
                odd.push(record as u32);
            }
            column.push_number(value.flatten());
        });
    }

    /// Parses any number; `None` for null.
    fn number(&mut self, record: u32) -> Option<f64> {
        let (start, end) = self.run.bounds(self.field, record as usize);
        let field = Columns::trim(&self.run.text()[start..end]);
        let value = self.columns.measurement(field);
        if value.is_none() {
            self.odd.push(record);
        }
        value.flatten()
    }

    /// Appends the times. One with the same text as the previous one is neither trimmed nor parsed.
    pub(super) fn times(&mut self, last: &mut LastTime, column: &mut TimeColumn) {
        let Self { run, columns, odd, .. } = self;
        let text = run.text();
        let mut values = room(column.values.to_mut(), run.records(), Timestamp::MIN);
        let mut spans = room(&mut column.text, run.records(), Span::NULL);
        run.each(self.field, |record, start, end| {
            if last.is_at(text, start, end) {
                put(&mut values, last.time());
                return put(&mut spans, Span::new(start, end - start));
            }
            let (start, field) = trimmed(text, start, end);
            let is_null = columns.has_null_values() && columns.is_null(field);
            let time = if is_null { None } else { last.read(field, columns).ok() };
            if time.is_none() {
                odd.push(record as u32);
            }
            put(&mut values, time.unwrap_or(Timestamp::MIN));
            put(&mut spans, Span::new(start, field.len()));
        });
    }

    /// Collects the sensors' names, and the ids of known ones. A known name has no surrounding spaces.
    pub(super) fn sensors(&mut self, sensors: &mut SensorsOfRun, lookup: &mut dyn SensorLookup) {
        let Self { run, columns, odd, .. } = self;
        let mut places = room(&mut sensors.names, run.records(), (0, 0));
        run.each(self.field, |_, start, end| put(&mut places, (start as u32, (end - start) as u32)));
        sensors.gather(run.text(), run.made());
        let SensorsOfRun { names, made, ids } = sensors;
        let text = if made.is_empty() { run.text() } else { made };
        lookup.known_ids(text, names, ids);
        let has_null_values = columns.has_null_values();
        for (record, (name, id)) in names.iter_mut().zip(&*ids).enumerate() {
            if *id == SensorId::UNKNOWN || has_null_values {
                let (start, end) = (name.0 as usize, (name.0 + name.1) as usize);
                let (start, field) = trimmed(text, start, end);
                *name = (start as u32, field.len() as u32);
                if columns.is_null(field) || field.len() > MAX_NAME {
                    odd.push(record as u32);
                }
            }
        }
    }
}

/// Extends a column by `records` values, to be written in order: cheaper than checking the capacity for each one.
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

/// A field without surrounding spaces, and its start.
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
