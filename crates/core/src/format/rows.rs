//! Collects the records of a chunk column by column; an invalid record leaves nothing but its rejection.

use std::ops::Range;
use std::sync::Arc;

use super::columns::{Columns, Composite, Role, shown};
use super::file_columns::FileColumns;
use super::last_time::LastTime;
use super::refusal::Refusal;
use super::rounded::Rounded;
use super::run::{FieldOfRun, NumberScratch, RecordRun, SensorsOfRun};
use super::{MAX_RECORD, SHOWN};
use crate::batch::{Batch, Column, FieldRole, Number, Numbers, Origins, Span, Text, TimeColumn};
use crate::error::{Rejection, Result};
use crate::format::{Chunk, Decoded};
use crate::offset::Position;
use crate::sensor::{MAX_NAME, SensorId, SensorLookup, long_name};

/// The rejection reason for text that is not UTF-8.
fn not_utf8(field: &[u8]) -> String {
    format!("{} is not UTF-8; set `encoding` for other encodings", shown(field))
}

/// The records of one chunk.
pub(super) struct ChunkRows<'a> {
    layout: &'a FileColumns,
    chunk: &'a Chunk,
    sensors: &'a mut dyn SensorLookup,
    /// The last sensor's name, and its id once a record with it was valid: an invalid record does not register its sensor.
    sensor: (String, Option<SensorId>),
    columns: Vec<Column>,
    text: Text,
    origins: Option<Origins>,
    rows: usize,
    rejections: Vec<Rejection>,
    last_time: LastTime,
    /// The parts of the record's time and sensor name, if they are composite.
    parts: [Vec<Vec<u8>>; 2],
    rounded: Rounded,
}

impl<'a> ChunkRows<'a> {
    pub(super) fn new(layout: &'a FileColumns, chunk: &'a Chunk, sensors: &'a mut dyn SensorLookup) -> Self {
        let columns = layout.schema.fields().iter().map(Column::empty).collect();
        let text = Text::new(chunk.bytes.clone());
        let origins = layout.origins.then(|| Origins::of_file(Arc::clone(&chunk.file)));
        Self {
            layout,
            chunk,
            sensors,
            sensor: (layout.sensor.clone().unwrap_or_default(), None),
            columns,
            text,
            origins,
            rows: 0,
            rejections: Vec::new(),
            last_time: LastTime::new(),
            parts: Default::default(),
            rounded: Rounded::default(),
        }
    }

    /// Appends a field of the current record: its bytes, and their position in the chunk; `None` if they were unescaped into a new buffer.
    ///
    /// # Errors
    /// Why the record is rejected.
    pub(super) fn field(&mut self, role: Role, bytes: &[u8], start: Option<usize>) -> Result<(), Refusal> {
        let trimmed = Columns::trim(bytes);
        // The start of the trimmed text, relative to the field.
        let start = start.map(|start| start + trimmed.as_ptr().addr().saturating_sub(bytes.as_ptr().addr()));
        match role {
            Role::Measurement(at) => self.number(at, trimmed),
            Role::Time(at) => self.time(at, trimmed, start),
            Role::Text(at) => self.carried(at, trimmed, start),
            Role::Sensor(at) => self.sensor(at, trimmed),
            Role::Part { at, part } => {
                self.part(at, part, trimmed);
                Ok(())
            }
            Role::Skip => Ok(()),
        }
    }

    fn number(&mut self, at: usize, field: &[u8]) -> Result<(), Refusal> {
        let suffix = self.layout.suffixes.get(at).and_then(Option::as_ref);
        let (columns, ty) = (&self.layout.columns, self.layout.schema.fields()[at].ty);
        let number = Columns::without_suffix(field, suffix);
        let value = columns.value(ty, number).ok_or_else(|| Refusal::of_type(at, field, ty))?;
        if let Some(Number::F64(value)) = value
            && columns.is_rounded(number, value)
        {
            self.note_rounded(at, value);
        }
        self.push_number(at, value);
        Ok(())
    }

    /// Adds one part of column `at`, the time or the sensor.
    fn part(&mut self, at: usize, part: usize, field: &[u8]) {
        let is_sensor = self.layout.schema.fields()[at].role == FieldRole::Sensor;
        let parts = &mut self.parts[usize::from(is_sensor)];
        if parts.len() <= part {
            parts.resize(part + 1, Vec::new());
        }
        parts[part].clear();
        parts[part].extend_from_slice(field);
    }

    /// Completes the record after its last field: composes composite columns, and fills in columns that the file does not have.
    fn complete(&mut self) -> Result<(), Refusal> {
        let layout = self.layout;
        if let (Some(made), Some(at)) = (layout.columns.made_time(), layout.schema.time()) {
            let missing = |part| Refusal::field(at, format!("no timestamp: `{part}` is missing"));
            let text = self.joined(0, made).map_err(missing)?;
            self.time(at, &text, None)?;
        }
        if let Some(made) = layout.columns.made_sensor() {
            let at = layout.schema.sensor();
            let missing = |part| Refusal::field(at, format!("no sensor: `{part}` is missing"));
            let text = self.joined(1, made).map_err(missing)?;
            self.sensor(at, &text)?;
        }
        layout.missing.iter().for_each(|&role| self.missing(role, 1));
        Ok(())
    }

    /// The composed text; the name of the first missing part if there is one.
    fn joined<'m>(&self, of: usize, made: &'m Composite) -> Result<Vec<u8>, &'m str> {
        let parts = &self.parts[of];
        if let Some(at) = parts.iter().position(|part| self.layout.columns.is_null(part)) {
            return Err(made.names().get(at).map_or("", String::as_str));
        }
        let mut text = Vec::new();
        made.write(parts.iter().map(Vec::as_slice), &mut text);
        Ok(text)
    }

    /// Appends a value to measurement `at`.
    pub(super) fn push_number(&mut self, at: usize, value: Option<Number>) {
        self.columns[at].push_number(value);
    }

    /// Notes an integer in measurement `at` whose rounded value is `value`.
    pub(super) fn note_rounded(&mut self, at: usize, value: f64) {
        self.rounded.of_record.push((at, value));
    }

    fn time(&mut self, at: usize, field: &[u8], start: Option<usize>) -> Result<(), Refusal> {
        if self.layout.columns.is_null(field) {
            return Err(Refusal::field(at, "no timestamp"));
        }
        let time = self.last_time.read(field, &self.layout.columns);
        let time =
            time.map_err(|why| Refusal::field(at, format!("{} is not a time: {why}", shown(field))))?;
        let span = self.span(field, start);
        if let Column::Time(column) = &mut self.columns[at] {
            column.values.to_mut().push(time);
            column.text.push(span);
        }
        Ok(())
    }

    /// Uses the arrival time for a record without a timestamp.
    ///
    /// # Errors
    /// Why the record is rejected: input at rest has no arrival time.
    pub(super) fn arrival(&mut self, at: usize) -> Result<(), Refusal> {
        let received = self.chunk.received;
        let time = received
            .ok_or_else(|| Refusal::field(at, "no timestamp, and input at rest has no arrival time"))?;
        if let Column::Time(column) = &mut self.columns[at] {
            column.values.to_mut().push(time);
            column.text.push(Span::NULL);
        }
        Ok(())
    }

    fn carried(&mut self, at: usize, field: &[u8], start: Option<usize>) -> Result<(), Refusal> {
        if std::str::from_utf8(field).is_err() {
            return Err(Refusal::field(at, not_utf8(field)));
        }
        let span = if field.is_empty() { Span::NULL } else { self.span(field, start) };
        self.push_text(at, span);
        Ok(())
    }

    /// Appends a span to text column `at`.
    pub(super) fn push_text(&mut self, at: usize, span: Span) {
        if let Column::Text(spans) = &mut self.columns[at] {
            spans.push(span);
        }
    }

    /// Sets the sensor's name; it gets an id once the record is valid.
    fn sensor(&mut self, at: usize, field: &[u8]) -> Result<(), Refusal> {
        let (last, id) = &mut self.sensor;
        if id.is_some() && last.as_bytes() == field {
            return Ok(());
        }
        if self.layout.columns.is_null(field) {
            return Err(Refusal::field(at, "no sensor"));
        }
        if field.len() > MAX_NAME {
            return Err(Refusal::field(at, long_name(field.len())));
        }
        let name = std::str::from_utf8(field);
        let name = name.map_err(|_| Refusal::field(at, not_utf8(field)))?;
        last.clear();
        last.push_str(name);
        *id = None;
        Ok(())
    }

    fn push_sensor(&mut self) -> Result<()> {
        let (name, id) = &mut self.sensor;
        let id = match *id {
            Some(id) => id,
            None => *id.insert(self.sensors.id(name)?),
        };
        if let Column::Sensor(ids) = &mut self.columns[self.layout.schema.sensor()] {
            ids.push(id);
        }
        Ok(())
    }

    /// The span of a text: in the chunk if it is part of it, otherwise in a new buffer.
    pub(super) fn span(&mut self, text: &[u8], start: Option<usize>) -> Span {
        match start {
            Some(start) => Span::new(start, text.len()),
            None => self.text.push(text),
        }
    }

    /// The number of valid records so far.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Reserves space for this many valid records.
    pub(super) fn reserve(&mut self, records: usize) {
        self.columns.iter_mut().for_each(|column| column.reserve(records));
    }

    /// Appends the values of many records to measurement `at`; the rows become valid with [`ChunkRows::accept_run`].
    pub(super) fn numbers<R: RecordRun>(
        &mut self,
        at: usize,
        field: &mut FieldOfRun<'_, R>,
        scratch: &mut NumberScratch,
    ) {
        match &mut self.columns[at] {
            Column::F64(Numbers { values, valid }) => {
                let values = values.to_mut();
                let first = values.len();
                if field.numbers(values, valid, scratch) {
                    let values = &values[first..];
                    field.rounded(values, |record| {
                        self.rounded.of_run.push((record, at, values[record as usize]))
                    });
                }
            }
            column => field.values(column),
        }
    }

    /// The same for time column `at`.
    pub(super) fn times(&mut self, at: usize, fill: impl FnOnce(&mut LastTime, &mut TimeColumn)) {
        if let Column::Time(column) = &mut self.columns[at] {
            fill(&mut self.last_time, column);
        }
    }

    /// The same for text column `at`.
    pub(super) fn texts(&mut self, at: usize, fill: impl FnOnce(&mut Vec<Span>)) {
        if let Column::Text(spans) = &mut self.columns[at] {
            fill(spans);
        }
    }

    /// Keeps the values of text column `at` from row `first` on that are in `made`, which counts on from the `length` bytes of the chunk.
    pub(super) fn keep_made(&mut self, at: usize, first: usize, length: usize, made: &[u8]) {
        let Column::Text(spans) = &mut self.columns[at] else { return };
        let is_made = |span: &&mut Span| !span.is_null() && span.start() >= length;
        for span in spans[first..].iter_mut().filter(|_| !made.is_empty()).filter(is_made) {
            let start = span.start() - length;
            *span = self.text.push(&made[start..start + span.len()]);
        }
    }

    /// Appends null for `role` to `records` records: missing numbers or text. Without a time or sensor, a record is invalid.
    pub(super) fn missing(&mut self, role: Role, records: usize) {
        match role {
            Role::Measurement(at) | Role::Text(at) => self.columns[at].extend_missing(records),
            Role::Time(_) | Role::Sensor(_) | Role::Part { .. } | Role::Skip => {}
        }
    }

    /// The same for the columns that the file does not have.
    pub(super) fn fill_missing(&mut self, records: usize) {
        self.layout.missing.iter().for_each(|&role| self.missing(role, records));
    }

    /// The lookup of sensor ids.
    pub(super) fn sensors(&mut self) -> &mut dyn SensorLookup {
        self.sensors
    }

    /// Completes the `records` of a run, which have all values except the sensor: `names` and `ids` are as in
    /// [`SensorsOfRun`](super::run::SensorsOfRun), with names as UTF-8 in `text`; empty if no column has the sensor.
    pub(super) fn accept_run(
        &mut self,
        records: Range<usize>,
        sensors: &SensorsOfRun,
        text: &[u8],
    ) -> Result<()> {
        let Column::Sensor(ids) = &mut self.columns[self.layout.schema.sensor()] else { return Ok(()) };
        let first = ids.len();
        match &self.layout.sensor {
            Some(name) if !records.is_empty() => ids.resize(first + records.len(), self.sensors.id(name)?),
            Some(_) => {}
            None => ids.extend_from_slice(&sensors.ids[records.clone()]),
        }
        let unknown =
            ids[first..].iter_mut().zip(records.clone()).filter(|(id, _)| **id == SensorId::UNKNOWN);
        for (id, record) in unknown {
            let (start, len) = sensors.names[record];
            let name = &sensors.text(text)[start as usize..][..len as usize];
            *id = self.sensors.id(&String::from_utf8_lossy(name))?;
        }
        self.rows += records.len();
        self.rounded.accept_run(records);
        Ok(())
    }

    /// Removes the values from record `from` on, of all columns except the sensor's, and returns them.
    pub(super) fn split_off(&mut self, from: usize) -> Vec<Column> {
        self.columns.iter_mut().map(|column| column.split_off(from.min(column.len()))).collect()
    }

    /// Restores the values of some of the removed records.
    pub(super) fn append(&mut self, columns: &[Column], records: Range<usize>) {
        for (column, more) in self.columns.iter_mut().zip(columns).filter(|(_, more)| !more.is_empty()) {
            column.append_range(more, records.clone());
        }
    }

    /// Whether origins of records are kept.
    pub(super) fn has_origins(&self) -> bool {
        self.origins.is_some()
    }

    /// Records the origin of the next record, of `raw` bytes.
    pub(super) fn origin(&mut self, start: usize, line: u64, raw: usize) {
        if let Some(origins) = &mut self.origins {
            let from = &self.chunk.offset;
            origins.push(from.line + line, from.at + start as u64, Span::new(start, raw));
        }
    }

    /// The number of records so far, valid or not.
    fn records(&self) -> u64 {
        (self.rows + self.rejections.len()) as u64
    }

    /// Ends the record at byte `start` and line `line` of the chunk, `raw` bytes long: its fields were appended, or it is rejected.
    pub(super) fn end(
        &mut self,
        fields: Result<(), Refusal>,
        start: usize,
        line: u64,
        raw: usize,
    ) -> Result<()> {
        self.end_or(fields, start, line, raw, |refusal| refusal)
    }

    /// The same; if it is rejected, `instead` may replace the reason.
    pub(super) fn end_or(
        &mut self,
        fields: Result<(), Refusal>,
        start: usize,
        line: u64,
        raw: usize,
        instead: impl FnOnce(Refusal) -> Refusal,
    ) -> Result<()> {
        match fields.and_then(|()| self.complete()) {
            Ok(()) => self.accept(start, line, raw),
            Err(refusal) => {
                self.refuse(start, line, raw, instead(refusal));
                Ok(())
            }
        }
    }

    fn accept(&mut self, start: usize, line: u64, raw: usize) -> Result<()> {
        self.push_sensor()?;
        self.origin(start, line, raw);
        self.rows += 1;
        self.rounded.accept_record();
        Ok(())
    }

    /// Rejects the current record.
    pub(super) fn refuse(&mut self, start: usize, line: u64, raw: usize, refusal: Refusal) {
        for column in &mut self.columns {
            column.truncate(self.rows);
        }
        self.rounded.of_record.clear();
        let shown = if raw > MAX_RECORD { SHOWN } else { raw };
        let rejection = Rejection {
            kind: refusal.kind,
            position: self.position(start, line),
            record: self.records() + 1,
            decided: None,
            column: refusal.column.map(|at| Arc::clone(&self.layout.schema.fields()[at].name)),
            reason: refusal.reason,
            raw: self.chunk.bytes.as_slice()[start..start + shown].to_vec(),
        };
        self.rejections.push(rejection);
    }

    fn position(&self, start: usize, line: u64) -> Position {
        let offset = &self.chunk.offset;
        Position {
            file: Arc::clone(&self.chunk.file),
            line: offset.line + line,
            offset: offset.at + start as u64,
        }
    }

    /// All records of the chunk, which has `lines` lines.
    pub(super) fn finish(self, lines: u64) -> Decoded {
        for (at, (count, largest)) in self.rounded.accepted {
            self.layout.columns.note_rounded(&self.layout.schema.fields()[at].name, count, largest);
        }
        let mut batch = Batch::new(Arc::clone(&self.layout.schema), self.columns, self.text);
        batch.origins = self.origins;
        Decoded { batch, rejections: self.rejections, lines }
    }
}
