//! Decodes many records at once, column by column, so that rows do not depend on each other; shared by the fast decoders.

use super::columns::{Columns, may_be_rounded};
use super::last_time::LastTime;
use crate::batch::{Column, Mask, Span, TimeColumn};
use crate::kernel::numerals::{self, Numeral};
use crate::sensor::{MAX_NAME, SensorId, SensorLookup};
use crate::time::{Alike, LANES, Texts, Timestamp};

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
    /// Appends the numbers: eight at a time if most are short and plain. Returns whether some may be rounded integers; short ones never are.
    pub(super) fn numbers(
        &mut self,
        values: &mut Vec<f64>,
        valid: &mut Mask,
        scratch: &mut NumberScratch,
    ) -> bool {
        let (first, records) = (values.len(), self.run.records());
        values.resize(first + records, 0.0);
        valid.extend_filled(records, true);
        let may_be = if self.columns.has_null_texts() || self.are_long() {
            self.numbers_one_by_one(&mut values[first..], valid)
        } else {
            self.numbers_side_by_side(&mut values[first..], valid, scratch)
        };
        let columns = self.columns;
        if !columns.null_numbers().is_empty() {
            let nulls = (first..first + records).filter(|&row| columns.is_null_number(values[row]));
            nulls.collect::<Vec<_>>().into_iter().for_each(|row| {
                values[row] = 0.0;
                valid.set(row, false);
            });
        }
        may_be
    }

    /// Whether most numbers are probably too long to be read side by side.
    fn are_long(&self) -> bool {
        let records = self.run.records();
        let is_long = |&record: &usize| {
            let (start, end) = self.run.bounds(self.field, record);
            end - start > Numeral::LONGEST
        };
        records > 0 && [0, records / 2, records - 1].iter().filter(|record| is_long(record)).count() > 1
    }

    fn numbers_one_by_one(&mut self, values: &mut [f64], valid: &mut Mask) -> bool {
        let (run, first, mut may_be) = (self.run, valid.len() - values.len(), false);
        let mut values = values.iter_mut();
        run.each(self.field, |record, start, end| {
            let value = self.number(record, (start, end), (valid, first));
            may_be |= may_be_rounded(value);
            put(&mut values, value);
        });
        may_be
    }

    fn numbers_side_by_side(
        &mut self,
        values: &mut [f64],
        valid: &mut Mask,
        scratch: &mut NumberScratch,
    ) -> bool {
        let (run, first, mut may_be) = (self.run, valid.len() - values.len(), false);
        let NumberScratch { numerals, others } = scratch;
        let text = run.text();
        others.clear();
        numerals.clear();
        let mut places = room(numerals, run.records(), Numeral::default());
        run.each(self.field, |_, start, end| put(&mut places, Numeral::new(text, start, end)));
        numerals::read(numerals, self.columns.decimal_mark(), values, others);
        for record in others.iter().map(|&record| record as usize) {
            values[record] = self.number(record, run.bounds(self.field, record), (valid, first));
            may_be |= may_be_rounded(values[record]);
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

    /// Parses any number, at row `first + record` of `valid`; 0 for null.
    #[inline(always)]
    fn number(
        &mut self,
        record: usize,
        (start, end): (usize, usize),
        (valid, first): (&mut Mask, usize),
    ) -> f64 {
        let field = Columns::trim(&self.run.text()[start..end]);
        let value = self.columns.measurement(field);
        if value.is_none() {
            self.odd.push(record as u32);
        }
        let value = value.flatten();
        if value.is_none() {
            valid.set(first + record, false);
        }
        value.unwrap_or(0.0)
    }

    /// Appends the times.
    pub(super) fn times(&mut self, last: &mut LastTime, column: &mut TimeColumn) {
        if self.run.records() == 0 {
            return;
        }
        let (start, end) = self.run.bounds(self.field, 0);
        let alike = last.alike(end - start, self.columns).filter(|_| !self.columns.has_null_values());
        let records = self.run.records();
        let (values, spans) = (column.values.to_mut(), &mut column.text);
        let (first, first_span) = (values.len(), spans.len());
        values.resize(first + records, Timestamp::MIN);
        spans.resize(first_span + records, Span::NULL);
        let (values, spans) = (&mut values[first..], &mut spans[first_span..]);
        let Some(alike) = alike else { return self.times_one_by_one(last, values, spans) };
        let others = self.times_alike(&alike, values, spans);
        if others.len() <= records / 4 {
            last.note_hits();
        }
        for record in others {
            let (start, end) = self.run.bounds(self.field, record);
            (values[record], spans[record]) = self.time(record, (start, end), last);
        }
    }

    /// Writes the times that are `alike`, eight side by side. Returns the other records.
    fn times_alike(&self, alike: &Alike, values: &mut [Timestamp], spans: &mut [Span]) -> Vec<usize> {
        let (text, mut texts, mut others) = (self.run.text(), Texts::default(), Vec::new());
        let (groups, rest) = values.as_chunks_mut::<LANES>();
        let last = groups.len() * LANES..groups.len() * LANES + rest.len();
        let (mut groups, mut spans) = (groups.iter_mut(), spans.iter_mut());
        self.run.each(self.field, |record, start, end| {
            put(&mut spans, Span::new(start, end - start));
            texts.set(record % LANES, text, start, end);
            if record % LANES == LANES - 1
                && let Some(times) = groups.next()
            {
                let unread = alike.read(&texts, times);
                if unread != 0 {
                    let lanes = (0..LANES).filter(|lane| unread >> lane & 1 != 0);
                    others.extend(lanes.map(|lane| record + 1 - LANES + lane));
                }
            }
        });
        others.extend(last);
        others
    }

    fn times_one_by_one(&mut self, last: &mut LastTime, values: &mut [Timestamp], spans: &mut [Span]) {
        let run = self.run;
        let (mut values, mut spans) = (values.iter_mut(), spans.iter_mut());
        run.each(self.field, |record, start, end| {
            let (time, span) = self.time(record, (start, end), last);
            put(&mut values, time);
            put(&mut spans, span);
        });
    }

    /// Reads any time. One with the same text as the previous one is neither trimmed nor parsed.
    #[inline(always)]
    fn time(
        &mut self,
        record: usize,
        (start, end): (usize, usize),
        last: &mut LastTime,
    ) -> (Timestamp, Span) {
        let text = self.run.text();
        if last.is_at(text, start, end) {
            return (last.time(), Span::new(start, end - start));
        }
        let (start, field) = trimmed(text, start, end);
        let is_null = self.columns.has_null_values() && self.columns.is_null(field);
        let time = if is_null { None } else { last.read(field, self.columns).ok() };
        if time.is_none() {
            self.odd.push(record as u32);
        }
        (time.unwrap_or(Timestamp::MIN), Span::new(start, field.len()))
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
