//! Records from typed columns, shared by `parquet` and `frame`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::batch::{
    Batch, Bytes, Column, FieldRole, FieldType, Mask, Number, Origins, Schema, Span, Text, TimeColumn,
};
use crate::error::{Rejection, RejectionKind, Result};
use crate::format::Decoded;
use crate::format::columns::{Columns, Composite, not_of_type, shown};
use crate::format::text::write_float;
use crate::offset::Position;
use crate::sensor::{MAX_NAME, SensorId, SensorLookup, long_name};
use crate::time::{Timestamp, write_civil};

/// The unit and zone of a column of dates or times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnClock {
    /// Nanoseconds per step, counted from 1970.
    pub(crate) unit: i64,
    /// Whether counts are in local time, of a zone given by the options.
    pub(crate) is_local: bool,
    /// Whether it counts days.
    pub(crate) is_date: bool,
}

/// Reason why a count is not a [`Timestamp`].
const OUTSIDE: &str = "outside 1677 to 2262";

impl ColumnClock {
    /// Days without a zone.
    pub(crate) const DAYS: Self = Self { unit: 86_400_000_000_000, is_local: true, is_date: true };

    /// Steps of `unit` nanoseconds.
    pub(crate) fn of(unit: i64, is_local: bool) -> Self {
        Self { unit, is_local, is_date: false }
    }

    fn time(self, count: i64) -> Result<Timestamp, String> {
        count.checked_mul(self.unit).map(Timestamp::from_nanos).ok_or_else(|| OUTSIDE.to_owned())
    }

    /// The time at `count`; local times are in the zone given by `options`.
    pub(crate) fn moment(self, count: i64, options: &Columns) -> Result<Timestamp, String> {
        let time = self.time(count)?;
        if !self.is_local {
            return Ok(time);
        }
        options.times.local(time).map_err(|_| OUTSIDE.to_owned())
    }

    /// Appends RFC 3339: without an offset for a local time, without a time of day for a date.
    pub(crate) fn write(self, count: i64, out: &mut Vec<u8>) -> Result<(), String> {
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

/// A number as text: the shortest form that reads back to the same bits (clause 18).
pub(crate) fn float_text(value: f64) -> String {
    let mut text = Vec::new();
    write_float(value, None, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A single-precision number as text: the shortest form that reads back to its own bits, not to those of the double that it is converted
/// to.
pub(crate) fn single_text(value: f32) -> String {
    // The digits of the single, in the notation of all numbers.
    value.to_string().parse().map_or_else(|_| value.to_string(), float_text)
}

/// The records of one batch, filled in column by column in [`Typed::order`]. A record without a time or a sensor, or with text where a
/// number is required, is rejected.
pub(crate) struct Typed<'a> {
    options: &'a Columns,
    schema: &'a Arc<Schema>,
    rows: usize,
    columns: Vec<Column>,
    text: Text,
    /// By record: the leftmost faulty column, and the reason.
    refused: BTreeMap<usize, (usize, String)>,
}

/// Fills columns from the arrays of a source.
pub(crate) trait Arrays {
    /// One column of the source.
    type Array;

    /// The columns of the source for column `at` of the schema: none if it does not exist, several if it is composed.
    fn of(&self, at: usize) -> Vec<&Self::Array>;

    /// The texts composed from several columns, record by record.
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

    /// Fills column `at` with carried text.
    fn carried(&self, typed: &mut Typed<'_>, at: usize, array: &Self::Array) -> Result<()>;
}

impl<'a> Typed<'a> {
    /// Fills all columns; the sensor of a file without a sensor column is `stem`.
    pub(crate) fn fill<A: Arrays>(
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
    pub(crate) fn new(options: &'a Columns, schema: &'a Arc<Schema>, rows: usize) -> Self {
        let columns = schema.fields().iter().map(Column::empty).collect();
        Self { options, schema, rows, columns, text: Text::default(), refused: BTreeMap::new() }
    }

    /// The columns in the order in which they are filled: first text, which is shared until some text has been written; the sensor last, so
    /// that rejected records add no sensor.
    fn order(schema: &Schema) -> impl Iterator<Item = usize> {
        let is_text = |at: &usize| schema.fields()[*at].ty == FieldType::Text;
        let others = (0..schema.fields().len()).filter(|&at| at != schema.sensor());
        let (texts, others): (Vec<_>, Vec<_>) = others.partition(is_text);
        texts.into_iter().chain(others).chain([schema.sensor()])
    }

    /// Rejects record `row` because of column `at`.
    pub(crate) fn refuse(&mut self, row: usize, at: usize, reason: impl Into<String>) {
        let refusal = self.refused.entry(row).or_insert_with(|| (usize::MAX, String::new()));
        if at < refusal.0 {
            *refusal = (at, reason.into());
        }
    }

    /// Fills column `at` with times counted by `clock`.
    pub(crate) fn moments(
        &mut self,
        at: usize,
        counts: impl Iterator<Item = Option<i64>>,
        clock: ColumnClock,
    ) {
        let options = self.options;
        self.times(at, counts, |count| clock.moment(count, options));
    }

    /// Fills column `at` with times as carried text: RFC 3339, without an offset if there is no zone.
    pub(crate) fn moment_texts(
        &mut self,
        at: usize,
        counts: impl Iterator<Item = Option<i64>>,
        clock: ColumnClock,
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

    /// Fills column `at` with times stored as text, in the format given by the options.
    pub(crate) fn time_texts<'t>(&mut self, at: usize, texts: impl Iterator<Item = Option<&'t str>>) {
        let options = self.options;
        // Texts are kept where the clocks of the zone show some times twice: whether a text has an offset is checked later.
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
        let mut times = Vec::with_capacity(self.rows);
        for (row, value) in values.enumerate() {
            let time = value.map_or_else(|| Err("no timestamp".to_owned()), &read);
            times.push(time.unwrap_or_else(|reason| {
                self.refuse(row, at, reason);
                Timestamp::MIN
            }));
        }
        self.columns[at] = Column::Time(TimeColumn { values: times.into(), text: Vec::new() });
    }

    /// The type of column `at`.
    pub(crate) fn ty(&self, at: usize) -> FieldType {
        self.schema.fields()[at].ty
    }

    /// Whether columns of the right type can be taken unchanged: no number stands for null.
    pub(crate) fn takes_whole(&self) -> bool {
        self.options.null_numbers().is_empty()
    }

    /// Fills column `at` with values of its type.
    pub(crate) fn whole(&mut self, at: usize, column: Column) {
        self.columns[at] = column;
    }

    /// Fills column `at` with numbers from a column of another type: a number outside the type is rejected, one that is rounded to `f64` is
    /// counted. Some may stand for null.
    pub(crate) fn values(&mut self, at: usize, values: impl Iterator<Item = Option<Number>>) {
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
    pub(crate) fn floats(&mut self, at: usize, numbers: impl Iterator<Item = Option<f64>>) {
        let options = self.options;
        let is_there = |number: &f64| !options.is_null_number(*number);
        self.columns[at] = Column::F64(match options.null_numbers() {
            [] => numbers.collect(),
            _ => numbers.map(|number| number.filter(is_there)).collect(),
        });
    }

    /// Fills column `at` with nulls, because the file does not have it.
    pub(crate) fn missing(&mut self, at: usize) {
        self.columns[at] = Column::missing(self.schema.fields()[at].ty, self.rows);
    }

    /// The texts composed from those of `parts`, by record; `None` if a part is missing.
    pub(crate) fn joined(&self, made: &Composite, parts: &[Vec<Option<&str>>]) -> Vec<Option<String>> {
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
    pub(crate) fn number_texts<'t>(&mut self, at: usize, texts: impl Iterator<Item = Option<&'t str>>) {
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

    /// Fills column `at` with text that is carried along, and that stays where it is: in `bytes`, at these places. Gives whether it does: some text may
    /// have been written for this batch already, and then all has to be copied.
    pub(crate) fn shared_texts(
        &mut self,
        at: usize,
        bytes: Bytes,
        places: impl Iterator<Item = Option<Range<usize>>>,
    ) -> bool {
        let Some(start) = self.text.share(bytes) else { return false };
        let span = |place: Range<usize>| Span::new(start + place.start, place.len());
        self.columns[at] = Column::Text(places.map(|place| place.map_or(Span::NULL, span)).collect());
        true
    }

    /// Fills column `at` with carried text.
    pub(crate) fn texts<T: AsRef<[u8]>>(&mut self, at: usize, texts: impl Iterator<Item = Option<T>>) {
        let spans = texts.map(|text| text.map_or(Span::NULL, |text| self.text.push(text.as_ref())));
        self.columns[at] = Column::Text(spans.collect());
    }

    /// Fills the sensor column with names, trimmed.
    pub(crate) fn sensors<'t>(
        &mut self,
        names: impl Iterator<Item = Option<&'t str>>,
        sensors: &mut dyn SensorLookup,
    ) -> Result<()> {
        let mut ids = Vec::with_capacity(self.rows);
        let mut last: Option<(Option<&str>, SensorId)> = None;
        for (row, name) in names.enumerate() {
            let id = match last {
                Some((known, id)) if known == name => id,
                _ => self.sensor(row, name, sensors)?,
            };
            last = (id != SensorId::UNKNOWN).then_some((name, id));
            ids.push(id);
        }
        self.columns[self.schema.sensor()] = Column::Sensor(ids);
        Ok(())
    }

    /// The same for the names of a dictionary with `count` entries, each of which is looked up once. `key` gives the entry of a record; one that the
    /// dictionary does not have is no name.
    pub(crate) fn sensor_keys<'t>(
        &mut self,
        key: impl Fn(usize) -> Option<usize>,
        count: usize,
        name: impl Fn(usize) -> Option<&'t str>,
        sensors: &mut dyn SensorLookup,
    ) -> Result<()> {
        /// Records that are looked up at once.
        const BLOCK: usize = 1024;
        let key = |row: usize| key(row).filter(|&key| key < count);
        let mut known = vec![SensorId::UNKNOWN; count];
        let mut ids: Vec<SensorId> = Vec::with_capacity(self.rows);
        for start in (0..self.rows).step_by(BLOCK) {
            let end = self.rows.min(start + BLOCK);
            let id_of = |row: usize, known: &[SensorId]| key(row).map_or(SensorId::UNKNOWN, |key| known[key]);
            ids.extend((start..end).map(|row| id_of(row, &known)));
            if !ids[start..].iter().fold(false, |any, id| any | (*id == SensorId::UNKNOWN)) {
                continue;
            }
            for (row, id) in ids.iter_mut().enumerate().skip(start) {
                *id = id_of(row, &known);
                if *id == SensorId::UNKNOWN {
                    *id = self.sensor(row, key(row).and_then(&name), sensors)?;
                    key(row).into_iter().for_each(|key| known[key] = *id);
                }
            }
        }
        self.columns[self.schema.sensor()] = Column::Sensor(ids);
        Ok(())
    }

    /// The same for names that are in `text` at these places: start and length. `name` gives that of a record.
    pub(crate) fn sensor_texts<'t>(
        &mut self,
        text: &[u8],
        places: &[(u32, u32)],
        name: impl Fn(usize) -> &'t str,
        sensors: &mut dyn SensorLookup,
    ) -> Result<()> {
        let mut ids = Vec::with_capacity(self.rows);
        // A text that stands for a missing name may be the name of a sensor of another source.
        if !self.options.has_null_values() {
            sensors.known_ids(text, places, &mut ids);
        }
        ids.resize(places.len(), SensorId::UNKNOWN);
        for (row, id) in ids.iter_mut().enumerate() {
            let own = &text[places[row].0 as usize..][..places[row].1 as usize];
            let is_trimmed = ![own.first(), own.last()].iter().any(|end| matches!(end, Some(b' ' | b'\t')));
            if *id == SensorId::UNKNOWN || !is_trimmed {
                *id = self.sensor(row, Some(name(row)), sensors)?;
            }
        }
        self.columns[self.schema.sensor()] = Column::Sensor(ids);
        Ok(())
    }

    /// The sensor of record `row`; unknown if the record is rejected, which adds no sensor.
    fn sensor(&mut self, row: usize, name: Option<&str>, sensors: &mut dyn SensorLookup) -> Result<SensorId> {
        let at = self.schema.sensor();
        let name = name.map(|name| name.trim_matches([' ', '\t']));
        match name.filter(|name| !self.options.is_null(name.as_bytes())) {
            None => self.refuse(row, at, "no sensor"),
            Some(name) if name.len() > MAX_NAME => self.refuse(row, at, long_name(name.len())),
            Some(name) if !self.refused.contains_key(&row) => return sensors.id(name),
            Some(_) => {}
        }
        Ok(SensorId::UNKNOWN)
    }

    /// Fills the sensor column with one name.
    pub(crate) fn one_sensor(&mut self, name: &str, sensors: &mut dyn SensorLookup) -> Result<()> {
        let is_any_good = self.refused.len() < self.rows;
        let id = if is_any_good { sensors.id(name)? } else { SensorId(0) };
        self.columns[self.schema.sensor()] = Column::Sensor(vec![id; self.rows]);
        Ok(())
    }

    /// The records, and the rejections. The first record has `before` records of `file` before it.
    pub(crate) fn finish(self, file: &Arc<str>, before: u64, origins: bool) -> Decoded {
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
