//! Records that come in typed columns: what `parquet` and `frame` have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::OpenOptions;
use crate::batch::{
    Batch, Column, FieldRole, FieldType, Mask, Number, Origins, Schema, Span, Text, TimeColumn,
};
use crate::error::{Rejection, RejectionKind, Result};
use crate::format::Decoded;
use crate::format::columns::{Columns, Composite, not_of_type, shown};
use crate::format::text::write_float;
use crate::offset::Position;
use crate::sensor::{MAX_NAME, SensorId, SensorLookup, long_name};
use crate::time::{Timestamp, write_civil};

/// Records a batch has at most.
const BATCH: usize = 16_384;

/// Records a batch: fewer where chunks are to be small.
pub(super) fn batch_rows(options: &OpenOptions) -> usize {
    BATCH.min(options.chunk_size / 16).max(1)
}

/// What a column of dates or times counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Nanoseconds a step, from 1970 on.
    pub(super) unit: i64,
    /// The clock shows the time of some zone, as if it were UTC.
    pub(super) is_local: bool,
    /// It counts days.
    pub(super) is_date: bool,
}

/// Why a count is no [`Timestamp`].
const OUTSIDE: &str = "outside 1677 to 2262";

impl Clock {
    /// Days of no zone.
    pub(super) const DAYS: Self = Self { unit: 86_400_000_000_000, is_local: true, is_date: true };

    /// Steps of `unit` nanoseconds.
    pub(super) fn of(unit: i64, is_local: bool) -> Self {
        Self { unit, is_local, is_date: false }
    }

    fn time(self, count: i64) -> Result<Timestamp, String> {
        count.checked_mul(self.unit).map(Timestamp::from_nanos).ok_or_else(|| OUTSIDE.to_owned())
    }

    /// The time that it shows at `count`, where those without a zone are read as `options` say.
    pub(super) fn moment(self, count: i64, options: &Columns) -> Result<Timestamp, String> {
        let time = self.time(count)?;
        if !self.is_local {
            return Ok(time);
        }
        options.times.local(time).map_err(|_| OUTSIDE.to_owned())
    }

    /// Appends RFC 3339: of a time without a zone no offset, of a date no time.
    pub(super) fn write(self, count: i64, out: &mut Vec<u8>) -> Result<(), String> {
        write_civil(i128::from(count) * i128::from(self.unit), out)?;
        if let Some(end) = out.iter().rposition(|&byte| byte == b'T').filter(|_| self.is_date) {
            out.truncate(end);
        }
        if !self.is_local {
            out.push(b'Z');
        }
        Ok(())
    }
}

/// A number as text: in its shortest form that reads back to the same bits (clause 18).
pub(super) fn float_text(value: f64) -> String {
    let mut text = Vec::new();
    write_float(value, None, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A number of single precision as text: in the shortest form that reads back to its own bits, not to those of the double that it becomes.
pub(super) fn single_text(value: f32) -> String {
    // The digits are those of the single, the form is that of all numbers.
    value.to_string().parse().map_or_else(|_| value.to_string(), float_text)
}

/// The records of one batch, filled in column by column in [`Typed::order`]. A record without a time or a sensor, or with
/// a text where a number is asked for, is set aside and leaves no trace but its rejection.
pub(super) struct Typed<'a> {
    options: &'a Columns,
    schema: &'a Arc<Schema>,
    rows: usize,
    columns: Vec<Column>,
    text: Text,
    /// By record: the leftmost column at fault, and what is wrong with it.
    refused: BTreeMap<usize, (usize, String)>,
}

/// How a source fills columns from its own arrays.
pub(super) trait Arrays {
    /// One column of the source.
    type Array;

    /// The columns of the source from which column `at` of the schema is made: none where it has no such column, several where it is put together.
    fn of(&self, at: usize) -> Vec<&Self::Array>;

    /// Record by record, the texts that several columns give together.
    fn joined(
        &self,
        typed: &mut Typed<'_>,
        at: usize,
        made: &Composite,
        arrays: &[&Self::Array],
    ) -> Result<Vec<Option<String>>>;

    /// Fills column `at` with times.
    fn times(&self, typed: &mut Typed<'_>, at: usize, array: &Self::Array) -> Result<()>;

    /// Fills column `at` with sensors.
    fn sensors(
        &self,
        typed: &mut Typed<'_>,
        at: usize,
        array: &Self::Array,
        sensors: &mut dyn SensorLookup,
    ) -> Result<()>;

    /// Fills column `at` with numbers.
    fn measurement(&self, typed: &mut Typed<'_>, at: usize, array: &Self::Array) -> Result<()>;

    /// Fills column `at` with text.
    fn carried(&self, typed: &mut Typed<'_>, at: usize, array: &Self::Array) -> Result<()>;
}

impl<'a> Typed<'a> {
    /// Fills all columns; a file without a column of sensors is called `stem`.
    pub(super) fn fill<A: Arrays>(
        &mut self,
        arrays: &A,
        stem: &str,
        sensors: &mut dyn SensorLookup,
    ) -> Result<()> {
        let (options, schema) = (self.options, self.schema);
        for at in Self::order(schema) {
            let role = schema.fields()[at].role;
            if let (FieldRole::Sensor, Some(name)) = (role, options.file_sensor(stem)) {
                self.one_sensor(name, sensors)?;
                continue;
            }
            let several = arrays.of(at);
            let Some(&array) = several.first() else {
                self.missing(at);
                continue;
            };
            match role {
                FieldRole::Time if let Some(made) = options.made_time() => {
                    let texts = arrays.joined(self, at, made, &several)?;
                    self.time_texts(at, texts.iter().map(Option::as_deref));
                }
                FieldRole::Sensor if let Some(made) = options.made_sensor() => {
                    let texts = arrays.joined(self, at, made, &several)?;
                    self.sensors(texts.iter().map(Option::as_deref), sensors)?;
                }
                FieldRole::Time => arrays.times(self, at, array)?,
                FieldRole::Sensor => arrays.sensors(self, at, array, sensors)?,
                FieldRole::Measurement => arrays.measurement(self, at, array)?,
                _ => arrays.carried(self, at, array)?,
            }
        }
        Ok(())
    }

    /// `rows` records with the columns of `schema`.
    pub(super) fn new(options: &'a Columns, schema: &'a Arc<Schema>, rows: usize) -> Self {
        let columns = schema.fields().iter().map(Column::empty).collect();
        Self { options, schema, rows, columns, text: Text::default(), refused: BTreeMap::new() }
    }

    /// The columns in the order in which they are filled: the sensor last, so that refused records add no sensor.
    pub(super) fn order(schema: &Schema) -> impl Iterator<Item = usize> {
        let sensor = schema.sensor();
        (0..schema.fields().len()).filter(move |&at| at != sensor).chain([sensor])
    }

    /// Sets record `row` aside for what is wrong in column `at`.
    pub(super) fn refuse(&mut self, row: usize, at: usize, reason: impl Into<String>) {
        let refusal = self.refused.entry(row).or_insert_with(|| (usize::MAX, String::new()));
        if at < refusal.0 {
            *refusal = (at, reason.into());
        }
    }

    /// Fills column `at` with times that `clock` has counted.
    pub(super) fn moments(&mut self, at: usize, counts: impl Iterator<Item = Option<i64>>, clock: Clock) {
        let options = self.options;
        self.times(at, counts, |count| clock.moment(count, options));
    }

    /// Fills column `at` with them as text that is carried along: RFC 3339, without an offset where there is no zone.
    pub(super) fn moment_texts(
        &mut self,
        at: usize,
        counts: impl Iterator<Item = Option<i64>>,
        clock: Clock,
    ) {
        let (mut spans, mut written) = (Vec::with_capacity(self.rows), Vec::new());
        for (row, count) in counts.enumerate() {
            written.clear();
            spans.push(match count.map(|count| clock.write(count, &mut written)) {
                None => Span::NULL,
                Some(Ok(())) => self.text.push(&written),
                Some(Err(reason)) => {
                    self.refuse(row, at, reason);
                    Span::NULL
                }
            });
        }
        self.columns[at] = Column::Text(spans);
    }

    /// Fills column `at` with times stored as text, in the format that the options name.
    pub(super) fn time_texts<'t>(&mut self, at: usize, texts: impl Iterator<Item = Option<&'t str>>) {
        let options = self.options;
        // Whether a time says how far it is from UTC is asked later, where clocks show some times twice.
        let (mut spans, is_kept) = (Vec::new(), options.times.folds().is_some());
        let text = &mut self.text;
        let texts = texts.map(|text| text.map(|text| Columns::trim(text.as_bytes())));
        let texts: Vec<_> = texts.map(|text| text.filter(|text| !options.is_null(text))).collect();
        if is_kept {
            spans.extend(texts.iter().map(|field| field.map_or(Span::NULL, |field| text.push(field))));
        }
        self.times(at, texts.into_iter(), |text| {
            options.times.parse(text).map_err(|why| format!("{} is not a time: {why}", shown(text)))
        });
        if let Column::Time(times) = &mut self.columns[at] {
            times.text = spans;
        }
    }

    fn times<T>(
        &mut self,
        at: usize,
        values: impl Iterator<Item = Option<T>>,
        read: impl Fn(T) -> Result<Timestamp, String>,
    ) {
        let mut times = TimeColumn { values: Vec::with_capacity(self.rows), text: Vec::new() };
        for (row, value) in values.enumerate() {
            let time = value.map_or_else(|| Err("no timestamp".to_owned()), &read);
            times.values.push(time.unwrap_or_else(|reason| {
                self.refuse(row, at, reason);
                Timestamp::MIN
            }));
        }
        self.columns[at] = Column::Time(times);
    }

    /// The type of column `at`.
    pub(super) fn ty(&self, at: usize) -> FieldType {
        self.schema.fields()[at].ty
    }

    /// Whether columns of the right type are as they are: no number stands for null.
    pub(super) fn takes_whole(&self) -> bool {
        self.options.null_numbers().is_empty()
    }

    /// Fills column `at` with values of its type.
    pub(super) fn whole(&mut self, at: usize, column: Column) {
        self.columns[at] = column;
    }

    /// Fills column `at` with numbers that a column of another type may have: what is none of its own is refused, what no float is equal to is
    /// counted. Some of them may stand for null.
    pub(super) fn values(&mut self, at: usize, values: impl Iterator<Item = Option<Number>>) {
        let (options, ty) = (self.options, self.ty(at));
        let mut column = Column::missing(ty, 0);
        let (mut count, mut largest) = (0, f64::MIN);
        for (row, value) in values.enumerate() {
            let value = value.filter(|&value| !options.is_null_value(value));
            let own = value.and_then(|value| value.to_type(ty));
            match (value, own) {
                (Some(value), None) => {
                    let text = value.to_string();
                    self.refuse(row, at, format!("{} is {}", shown(text.as_bytes()), not_of_type(ty)));
                }
                (Some(value), Some(Number::F64(nearest)))
                    if value.as_integer().is_some_and(|integer| integer != nearest as i128) =>
                {
                    count += 1;
                    largest = largest.max(nearest);
                }
                _ => {}
            }
            column.push_number(own);
        }
        options.note_rounded(&self.schema.fields()[at].name, count, largest);
        self.columns[at] = column;
    }

    /// Fills column `at` with floats; some of them may stand for null.
    pub(super) fn floats(&mut self, at: usize, numbers: impl Iterator<Item = Option<f64>>) {
        let options = self.options;
        let is_there = |number: &f64| !options.is_null_number(*number);
        self.columns[at] = Column::F64(match options.null_numbers() {
            [] => numbers.collect(),
            _ => numbers.map(|number| number.filter(is_there)).collect(),
        });
    }

    /// Fills column `at`, which the file does not have, with nulls.
    pub(super) fn missing(&mut self, at: usize) {
        self.columns[at] = Column::missing(self.schema.fields()[at].ty, self.rows);
    }

    /// The texts that are put together from those of `parts`, by record; none where a part is missing.
    pub(super) fn joined(&self, made: &Composite, parts: &[Vec<Option<&str>>]) -> Vec<Option<String>> {
        let part = |text: Option<&str>| {
            let text = text.map(str::as_bytes).map(Columns::trim)?;
            (!self.options.is_null(text)).then(|| text.to_vec())
        };
        let record = |row: usize| {
            let parts: Vec<Vec<u8>> = parts.iter().map(|texts| part(texts[row])).collect::<Option<_>>()?;
            let mut text = Vec::new();
            made.write(parts.iter().map(Vec::as_slice), &mut text);
            String::from_utf8(text).ok()
        };
        (0..self.rows).map(record).collect()
    }

    /// Fills column `at` with numbers stored as text (clauses 2 and 3).
    pub(super) fn number_texts<'t>(&mut self, at: usize, texts: impl Iterator<Item = Option<&'t str>>) {
        let options = self.options;
        let suffix = options.suffix(&self.schema.fields()[at].name);
        let ty = self.ty(at);
        let mut column = Column::missing(ty, 0);
        let (mut count, mut largest) = (0, f64::MIN);
        for (row, text) in texts.enumerate() {
            let field = Columns::trim(text.unwrap_or_default().as_bytes());
            let number = Columns::without_suffix(field, suffix.as_ref());
            let value = options.value(ty, number);
            if value.is_none() {
                self.refuse(row, at, format!("{} is {}", shown(field), not_of_type(ty)));
            }
            if let Some(Some(Number::F64(nearest))) = value
                && options.is_rounded(number, nearest)
            {
                count += 1;
                largest = largest.max(nearest);
            }
            column.push_number(value.flatten());
        }
        options.note_rounded(&self.schema.fields()[at].name, count, largest);
        self.columns[at] = column;
    }

    /// Fills column `at` with text that is carried along.
    pub(super) fn texts<T: AsRef<[u8]>>(&mut self, at: usize, texts: impl Iterator<Item = Option<T>>) {
        let spans = texts.map(|text| text.map_or(Span::NULL, |text| self.text.push(text.as_ref())));
        self.columns[at] = Column::Text(spans.collect());
    }

    /// Fills the sensor column from names; spaces around them are trimmed, as those of any name are.
    pub(super) fn sensors<'t>(
        &mut self,
        names: impl Iterator<Item = Option<&'t str>>,
        sensors: &mut dyn SensorLookup,
    ) -> Result<()> {
        let (options, at) = (self.options, self.schema.sensor());
        let mut ids = Vec::with_capacity(self.rows);
        let mut last: Option<(&str, SensorId)> = None;
        for (row, name) in names.enumerate() {
            let name = name.map(|name| name.trim_matches([' ', '\t']));
            let name = name.filter(|name| !options.is_null(name.as_bytes()));
            if name.is_none() {
                self.refuse(row, at, "no sensor");
            }
            if let Some(name) = name.filter(|name| name.len() > MAX_NAME) {
                self.refuse(row, at, long_name(name.len()));
            }
            let Some(name) = name.filter(|_| !self.refused.contains_key(&row)) else {
                ids.push(SensorId(0));
                continue;
            };
            let id = match last {
                Some((known, id)) if known == name => id,
                _ => sensors.id(name)?,
            };
            last = Some((name, id));
            ids.push(id);
        }
        self.columns[at] = Column::Sensor(ids);
        Ok(())
    }

    /// Fills the sensor column with one name.
    pub(super) fn one_sensor(&mut self, name: &str, sensors: &mut dyn SensorLookup) -> Result<()> {
        let is_any_good = self.refused.len() < self.rows;
        let id = if is_any_good { sensors.id(name)? } else { SensorId(0) };
        self.columns[self.schema.sensor()] = Column::Sensor(vec![id; self.rows]);
        Ok(())
    }

    /// The records, those set aside apart. The first is the one after the first `before` records of `file`.
    pub(super) fn finish(self, file: &Arc<str>, before: u64, origins: bool) -> Decoded {
        let mut batch = Batch::new(Arc::clone(self.schema), self.columns, self.text);
        let line = |row: usize| before + row as u64 + 1;
        batch.origins = origins.then(|| {
            let mut origins = Origins::of_file(Arc::clone(file));
            (0..batch.len()).for_each(|row| origins.push(line(row), 0, Span::NULL));
            origins
        });
        let mut keep = Mask::filled(self.rows, true);
        self.refused.keys().for_each(|&row| keep.set(row, false));
        batch.retain(&keep);
        let rejections = self.refused.into_iter().map(|(row, (at, reason))| Rejection {
            kind: RejectionKind::Malformed,
            position: Position { file: Arc::clone(file), line: line(row), offset: 0 },
            record: row as u64 + 1,
            decided: None,
            column: Some(Arc::clone(&self.schema.fields()[at].name)),
            reason,
            raw: Vec::new(),
        });
        Decoded { rejections: rejections.collect(), batch, lines: 0 }
    }
}
