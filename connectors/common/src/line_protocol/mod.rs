//! Records as lines of line protocol. What the protocol cannot say is left out and counted.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use tidemill_engine::batch::{Batch, Column, Field, FieldRole, FieldType, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::sink::{Block, Prepare};

/// The first and the last time that InfluxDB has.
const FIRST: i64 = i64::MIN + 2;
const LAST: i64 = i64::MAX - 1;

/// How points are made of records.
#[derive(Clone, Copy, Debug)]
pub struct PointOptions<'a> {
    /// The measurement of all points.
    pub measurement: &'a str,
    /// The columns that become tags beside the sensor; by default all columns of text that are no measurements.
    pub tags: Option<&'a [String]>,
    /// Whether the reader has unsigned integers.
    pub has_unsigned: bool,
}

impl PointOptions<'_> {
    /// Whether the column `field`, which is not the time, is a tag.
    fn is_tag(&self, field: &Field) -> bool {
        match (field.role, self.tags) {
            (FieldRole::Sensor, _) => true,
            (_, Some(tags)) => tags.iter().any(|tag| **tag == *field.name),
            (role, None) => role == FieldRole::Tag && field.ty == FieldType::Text,
        }
    }
}

/// Encodes batches: on any thread, in any order.
pub struct Encoder {
    /// The measurement, escaped.
    measurement: Vec<u8>,
    /// Each tag as a column, and its escaped name.
    tags: Vec<(usize, Vec<u8>)>,
    fields: Vec<(usize, Vec<u8>)>,
    time: usize,
    has_unsigned: bool,
    left_out: LeftOut,
}

/// What the protocol cannot say.
#[derive(Debug, Default)]
struct LeftOut {
    /// Records without any value, or of a time that the protocol does not have.
    records: AtomicU64,
    /// Values that are NaN or infinite, or integers that the reader does not have.
    values: AtomicU64,
}

impl Encoder {
    /// An encoder of records with these columns.
    ///
    /// # Errors
    /// A configuration error if there is no time, or no column for a tag or a field.
    pub fn new(options: &PointOptions<'_>, schema: &Schema) -> Result<Self> {
        let time = schema.time().ok_or_else(|| {
            Error::config("points need a time column, by which one that is written again is recognised")
                .with_help("name it in [source] `time`")
        })?;
        for name in options.tags.into_iter().flatten() {
            check_tag(name, schema)?;
        }
        let (mut tags, mut fields) = (Vec::new(), Vec::new());
        for (at, field) in schema.fields().iter().enumerate().filter(|(at, _)| *at != time) {
            let mut name = Vec::new();
            push_name(field.name.as_bytes(), &mut name);
            if options.is_tag(field) { &mut tags } else { &mut fields }.push((at, name));
        }
        // As the server sorts them, which saves it the work.
        tags.sort_by(|(_, a), (_, b)| a.cmp(b));
        if fields.is_empty() {
            return Err(Error::config("a point needs a field, and all columns are tags"));
        }
        let mut measurement = Vec::new();
        push_escaped(options.measurement.as_bytes(), b", ", &mut measurement);
        Ok(Self {
            measurement,
            tags,
            fields,
            time,
            has_unsigned: options.has_unsigned,
            left_out: LeftOut::default(),
        })
    }

    /// What was left out so far, for the end of the run.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let LeftOut { records, values } = &self.left_out;
        let (records, values) = (records.load(Ordering::Relaxed), values.load(Ordering::Relaxed));
        let values = (values > 0).then(|| {
            format!("{values} values were left out, because line protocol has no NaN, infinity or integer of that size")
        });
        let records = (records > 0).then(|| {
            format!("{records} records were left out, because they have no value or a time that line protocol does not have")
        });
        values.into_iter().chain(records).collect()
    }

    /// Appends the lines of `batch`.
    pub fn encode(&self, batch: &Batch, sensors: &Sensors, out: &mut Vec<u8>) {
        for row in 0..batch.len() {
            self.encode_record(batch, row, sensors, out);
        }
    }

    /// Appends the line of record `row` of `batch`; `false` if there is none, since the protocol cannot say it, which is counted.
    pub fn encode_record(&self, batch: &Batch, row: usize, sensors: &Sensors, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        out.extend_from_slice(&self.measurement);
        for (at, name) in &self.tags {
            push_tag(batch, *at, row, name, sensors, out);
        }
        let before = out.len();
        for (at, name) in &self.fields {
            if !self.push_field(batch, *at, row, name, before, out) {
                self.left_out.values.fetch_add(1, Ordering::Relaxed);
            }
        }
        let nanos = self.nanos(batch, row).filter(|nanos| (FIRST..=LAST).contains(nanos));
        let Some(nanos) = nanos.filter(|_| out.len() > before) else {
            out.truncate(start);
            self.left_out.records.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        out.push(b' ');
        out.extend_from_slice(nanos.to_string().as_bytes());
        out.push(b'\n');
        true
    }

    fn nanos(&self, batch: &Batch, row: usize) -> Option<i64> {
        match &batch.columns()[self.time] {
            Column::Time(times) => Some(times.values[row].as_nanos()),
            _ => None,
        }
    }

    /// Appends a field unless it is null; whether the protocol can say it.
    fn push_field(
        &self,
        batch: &Batch,
        at: usize,
        row: usize,
        name: &[u8],
        first: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        out.push(if start == first { b' ' } else { b',' });
        out.extend_from_slice(name);
        out.push(b'=');
        let written = match &batch.columns()[at] {
            Column::F64(numbers) => numbers.get(row).map(|value| push_float(value, out)),
            Column::I64(numbers) => numbers.get(row).map(|value| push_integer(value, "i", out)),
            Column::U64(numbers) => {
                numbers.get(row).map(|value| match (self.has_unsigned, i64::try_from(value)) {
                    (true, _) => push_integer(value, "u", out),
                    (false, Ok(value)) => push_integer(value, "i", out),
                    (false, Err(_)) => false,
                })
            }
            Column::Bool(booleans) => booleans.get(row).map(|value| {
                out.extend_from_slice(if value { b"true" } else { b"false" });
                true
            }),
            Column::Text(spans) => batch.text.get(spans[row]).map(|text| {
                out.push(b'"');
                push_escaped(String::from_utf8_lossy(text).as_bytes(), b"\"\\", out);
                out.push(b'"');
                true
            }),
            Column::Time(_) | Column::Sensor(_) => None,
        };
        if written != Some(true) {
            out.truncate(start);
        }
        written != Some(false)
    }
}

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let mut out = Vec::with_capacity(batch.len() * 64);
        self.encode(batch, sensors, &mut out);
        Ok(Box::new(out))
    }
}

fn check_tag(name: &str, schema: &Schema) -> Result<()> {
    let field = schema.index_of(name).map(|at| &schema.fields()[at]);
    match field {
        Some(field) if field.ty == FieldType::Text && field.role != FieldRole::Time => Ok(()),
        Some(_) => Err(Error::config(format!("`tags`: `{name}` is not a column of text"))),
        None => {
            let has = schema.fields().iter().map(|field| &*field.name).collect::<Vec<_>>().join("`, `");
            Err(Error::config(format!("`tags`: there is no column `{name}`"))
                .with_help(format!("the columns are `{has}`")))
        }
    }
}

/// Appends a tag, unless it is null or empty, which the protocol cannot say.
fn push_tag(batch: &Batch, at: usize, row: usize, name: &[u8], sensors: &Sensors, out: &mut Vec<u8>) {
    let value = match &batch.columns()[at] {
        Column::Sensor(ids) => sensors.name(ids[row]).into(),
        Column::Text(spans) => match batch.text.get(spans[row]) {
            Some(text) => String::from_utf8_lossy(text),
            None => return,
        },
        _ => return,
    };
    let start = out.len();
    out.push(b',');
    out.extend_from_slice(name);
    out.push(b'=');
    let before = out.len();
    push_name(value.as_bytes(), out);
    if out.len() == before {
        out.truncate(start);
    }
}

/// Appends the name of a tag or field, or the value of a tag. A backslash at its end would escape what comes after it: it is left out, as Telegraf does.
fn push_name(text: &[u8], out: &mut Vec<u8>) {
    let end = text.iter().rposition(|&byte| byte != b'\\').map_or(0, |last| last + 1);
    push_escaped(&text[..end], b",= ", out);
}

/// Appends text with a backslash before each of `special`. A line break would end the line: it becomes `\n`.
fn push_escaped(text: &[u8], special: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => {
                if special.contains(&byte) {
                    out.push(b'\\');
                }
                out.push(byte);
            }
        }
    }
}

/// Appends a float, unless it is NaN or infinite.
fn push_float(value: f64, out: &mut Vec<u8>) -> bool {
    if value.is_finite() {
        // The shortest text that reads back to the same bits.
        let plain = (1e-5..1e17).contains(&value.abs()) || value == 0.0;
        let text = if plain { value.to_string() } else { format!("{value:e}") };
        out.extend_from_slice(text.as_bytes());
    }
    value.is_finite()
}

fn push_integer(value: impl std::fmt::Display, suffix: &str, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(format!("{value}{suffix}").as_bytes());
    true
}
