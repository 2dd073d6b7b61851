//! Collects the records of a chunk column by column; a record that turns out bad leaves no trace but
//! its rejection.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::columns::{Columns, Composite, Role, Roles, Suffix, not_of_type, shown};
use super::last_time::LastTime;
use super::run::{FieldOfRun, NumberScratch, Run, SensorsOfRun};
use super::{MAX_RECORD, SHOWN};
use crate::batch::{
    Batch, Column, FieldRole, FieldType, Number, Numbers, Origins, Schema, Span, Text, TimeColumn,
};
use crate::error::{Rejection, RejectionKind, Result};
use crate::format::{Chunk, Decoded};
use crate::offset::Position;
use crate::sensor::{MAX_NAME, SensorId, SensorLookup, long_name};

/// Why a record is refused: the column's index, if one is at fault, and the reason.
pub(super) struct Refusal {
    pub(super) column: Option<usize>,
    pub(super) reason: String,
    pub(super) kind: RejectionKind,
}

impl Refusal {
    pub(super) fn record(reason: impl Into<String>) -> Self {
        Self { column: None, reason: reason.into(), kind: RejectionKind::Malformed }
    }

    pub(super) fn field(column: usize, reason: impl Into<String>) -> Self {
        Self { column: Some(column), ..Self::record(reason) }
    }

    /// The field is no value of type `ty`.
    pub(super) fn of_type(column: usize, field: &[u8], ty: FieldType) -> Self {
        Self::field(column, format!("{} is {}", shown(field), not_of_type(ty)))
    }

    /// It is a header, and not that of the file.
    pub(super) fn header(reason: impl Into<String>) -> Self {
        Self { kind: RejectionKind::OtherHeader, ..Self::record(reason) }
    }
}

/// What stays the same for all chunks of a file.
#[derive(Clone, Debug)]
pub(super) struct FileColumns {
    pub(super) columns: Columns,
    pub(super) schema: Arc<Schema>,
    /// By field of the file.
    pub(super) roles: Vec<Role>,
    /// Columns that the file does not have: null in all records.
    pub(super) missing: Vec<Role>,
    /// By column of the schema: the unit that may stand behind its numbers; empty where none has one.
    pub(super) suffixes: Vec<Option<Suffix>>,
    /// The sensor of the whole file, where no column has it.
    pub(super) sensor: Option<String>,
    pub(super) origins: bool,
}

impl FileColumns {
    /// The fields that become the columns of `schema`, in a file whose stem is `stem`.
    pub(super) fn new(
        columns: &Columns,
        schema: &Arc<Schema>,
        roles: Roles,
        stem: &str,
        origins: bool,
    ) -> Self {
        let suffixes: Vec<_> = schema.fields().iter().map(|field| columns.suffix(&field.name)).collect();
        let has_suffix = suffixes.iter().any(Option::is_some);
        Self {
            sensor: columns.file_sensor(stem).map(str::to_owned),
            columns: columns.clone(),
            schema: Arc::clone(schema),
            roles: roles.fields,
            missing: roles.missing,
            suffixes: if has_suffix { suffixes } else { Vec::new() },
            origins,
        }
    }

    /// Whether every column is one field, as it stands there: what the fast decoders know.
    pub(super) fn is_plain(&self) -> bool {
        let has_parts = self.roles.iter().any(|role| matches!(role, Role::Part { .. }));
        self.suffixes.is_empty() && !has_parts
    }
}

/// Why bytes cannot be carried.
fn not_utf8(field: &[u8]) -> String {
    format!("{} is not UTF-8; another encoding is named in `encoding`", shown(field))
}

/// The records of one chunk.
pub(super) struct Rows<'a> {
    layout: &'a FileColumns,
    chunk: &'a Chunk,
    sensors: &'a mut dyn SensorLookup,
    /// The last sensor's name, and its id once a record with it was whole: a bad record leaves no sensor behind.
    sensor: (String, Option<SensorId>),
    columns: Vec<Column>,
    text: Text,
    origins: Option<Origins>,
    rows: usize,
    rejections: Vec<Rejection>,
    last_time: LastTime,
    /// The parts of the record's time and of its sensor's name, where they are put together.
    parts: [Vec<Vec<u8>>; 2],
    rounded: Rounded,
}

/// Whole numbers that no float is equal to, in columns of floats: by column, with the float that is nearest.
#[derive(Default)]
struct Rounded {
    /// Those of the record that is being taken in.
    of_record: Vec<(usize, f64)>,
    /// Those of a run of records, by record.
    of_run: Vec<(u32, usize, f64)>,
    /// By column: how many, and the largest.
    accepted: BTreeMap<usize, (u64, f64)>,
}

impl Rounded {
    fn accept(&mut self, at: usize, value: f64) {
        let (count, largest) = self.accepted.entry(at).or_insert((0, value));
        *count += 1;
        *largest = largest.max(value);
    }

    fn accept_record(&mut self) {
        while let Some((at, value)) = self.of_record.pop() {
            self.accept(at, value);
        }
    }

    /// The records of a run up to the end of `records` are decided: those in it are good.
    fn accept_run(&mut self, records: Range<usize>) {
        if self.of_run.is_empty() {
            return;
        }
        for (record, at, value) in std::mem::take(&mut self.of_run) {
            match record as usize {
                record if records.contains(&record) => self.accept(at, value),
                later if later >= records.end => self.of_run.push((record, at, value)),
                _ => {}
            }
        }
    }
}

impl<'a> Rows<'a> {
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

    /// Takes in one field: its bytes, and where they lie in the chunk, or nowhere if they were made anew.
    ///
    /// # Errors
    /// Why the record has to be refused.
    pub(super) fn field(&mut self, role: Role, bytes: &[u8], start: Option<usize>) -> Result<(), Refusal> {
        let trimmed = Columns::trim(bytes);
        // Where the trimmed text begins, counted from where the field does.
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

    /// Notes one part of column `at`, which is the time or the sensor.
    fn part(&mut self, at: usize, part: usize, field: &[u8]) {
        let is_sensor = self.layout.schema.fields()[at].role == FieldRole::Sensor;
        let parts = &mut self.parts[usize::from(is_sensor)];
        if parts.len() <= part {
            parts.resize(part + 1, Vec::new());
        }
        parts[part].clear();
        parts[part].extend_from_slice(field);
    }

    /// All fields of the record have been taken in: puts together what comes from several of them, and fills in the columns that the
    /// file does not have.
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

    /// The text that the parts give; the name of the first that is missing, if one is.
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

    /// The record has a whole number in measurement `at` that is not equal to `value`, the nearest float.
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
            column.values.push(time);
            column.text.push(span);
        }
        Ok(())
    }

    /// The record says no time: it is of the moment at which it came.
    ///
    /// # Errors
    /// Why the record has to be refused: it did not come, it lay there.
    pub(super) fn arrival(&mut self, at: usize) -> Result<(), Refusal> {
        let received = self.chunk.received;
        let time = received
            .ok_or_else(|| Refusal::field(at, "no timestamp, and no time of arrival: it lay in a file"))?;
        if let Column::Time(column) = &mut self.columns[at] {
            column.values.push(time);
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

    /// Notes the sensor's name; it gets its id once the record is whole.
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

    /// The span of a text: in the chunk where it lies there, made anew otherwise.
    pub(super) fn span(&mut self, text: &[u8], start: Option<usize>) -> Span {
        match start {
            Some(start) => Span::new(start, text.len()),
            None => self.text.push(text),
        }
    }

    /// How many good records there are so far.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Makes room for this many good records.
    pub(super) fn reserve(&mut self, records: usize) {
        self.columns.iter_mut().for_each(|column| column.reserve(records));
    }

    /// Fills measurement `at` with the values of many records at once: to be made whole by [`Rows::accept_run`].
    pub(super) fn numbers<R: Run>(
        &mut self,
        at: usize,
        field: &mut FieldOfRun<'_, R>,
        scratch: &mut NumberScratch,
    ) {
        match &mut self.columns[at] {
            Column::F64(Numbers { values, valid }) => {
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

    /// `records` more records have nothing at all for `role`: no number, no text. A record without time or sensor is none.
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

    /// Who knows the sensors.
    pub(super) fn sensors(&mut self) -> &mut dyn SensorLookup {
        self.sensors
    }

    /// The `records` of a run have all their values but the sensor: `names` and `ids` are as [`SensorsOfRun`](super::run::SensorsOfRun) has them, names
    /// are UTF-8 in `text`; or empty where no column has the sensor.
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
            let name = &text[start as usize..][..len as usize];
            *id = self.sensors.id(&String::from_utf8_lossy(name))?;
        }
        self.rows += records.len();
        self.rounded.accept_run(records);
        Ok(())
    }

    /// Takes away the values from record `from` on, of all columns but the sensor's.
    pub(super) fn split_off(&mut self, from: usize) -> Vec<Column> {
        self.columns.iter_mut().map(|column| column.split_off(from.min(column.len()))).collect()
    }

    /// Puts back the values of some of the records that were taken away.
    pub(super) fn append(&mut self, columns: &[Column], records: Range<usize>) {
        for (column, more) in self.columns.iter_mut().zip(columns).filter(|(_, more)| !more.is_empty()) {
            column.append_range(more, records.clone());
        }
    }

    /// Whether it is noted where records come from.
    pub(super) fn has_origins(&self) -> bool {
        self.origins.is_some()
    }

    /// Notes where the next record, of `raw` bytes, came from.
    pub(super) fn origin(&mut self, start: usize, line: u64, raw: usize) {
        if let Some(origins) = &mut self.origins {
            let from = &self.chunk.offset;
            origins.push(from.line + line, from.at + start as u64, Span::new(start, raw));
        }
    }

    /// How many records there are so far, good or bad.
    fn records(&self) -> u64 {
        (self.rows + self.rejections.len()) as u64
    }

    /// The record that began at byte `start` and line `line` of the chunk, and is `raw`, has come to its end: its fields were taken in,
    /// or it has to be refused.
    pub(super) fn end(
        &mut self,
        fields: Result<(), Refusal>,
        start: usize,
        line: u64,
        raw: usize,
    ) -> Result<()> {
        self.end_or(fields, start, line, raw, |refusal| refusal)
    }

    /// The same; where it has to be refused, `instead` says why.
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

    /// The record is bad: it is set aside.
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
