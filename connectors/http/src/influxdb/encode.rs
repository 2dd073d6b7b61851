//! Records as lines of line protocol. What the protocol cannot say is left out and counted.

use std::sync::atomic::{AtomicU64, Ordering};

use tidemill_engine::batch::{Batch, Column, FieldRole, FieldType, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::sink::{Block, Prepare};

use super::InfluxdbOptions;

/// The first and the last time that InfluxDB has.
const FIRST: i64 = i64::MIN + 2;
const LAST: i64 = i64::MAX - 1;

/// Encodes batches: on any thread, in any order.
pub(super) struct Encoder {
    /// The measurement, escaped.
    measurement: Vec<u8>,
    /// Each tag as a column, and its escaped name.
    tags: Vec<(usize, Vec<u8>)>,
    fields: Vec<(usize, Vec<u8>)>,
    time: usize,
    /// Whether the server has unsigned integers.
    has_unsigned: bool,
    left_out: LeftOut,
}

/// What the protocol cannot say.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Records without any value.
    pub(super) records: AtomicU64,
    /// Values that are NaN or infinite, or integers that the server cannot store.
    pub(super) values: AtomicU64,
}

impl Encoder {
    /// An encoder of records with these columns.
    pub(super) fn new(options: &InfluxdbOptions, schema: &Schema) -> Result<Self> {
        let time = schema.time().ok_or_else(|| {
            Error::config("points of InfluxDB need a time column, by which a repeated delivery is recognised")
                .with_help("name it in [source] `time`")
        })?;
        for name in options.tags.iter().flatten() {
            check_tag(name, schema)?;
        }
        let (mut tags, mut fields) = (Vec::new(), Vec::new());
        for (at, field) in schema.fields().iter().enumerate() {
            let is_tag = match (field.role, &options.tags) {
                (FieldRole::Time, _) => continue,
                (FieldRole::Sensor, _) => true,
                (_, Some(tags)) => tags.iter().any(|tag| **tag == *field.name),
                (role, None) => role == FieldRole::Tag && field.ty == FieldType::Text,
            };
            let mut name = Vec::new();
            push_name(field.name.as_bytes(), &mut name);
            if is_tag { &mut tags } else { &mut fields }.push((at, name));
        }
        // As the server sorts them, which saves it the work.
        tags.sort_by(|(_, a), (_, b)| a.cmp(b));
        if fields.is_empty() {
            return Err(Error::config("a point needs a field, and all columns are tags"));
        }
        let mut measurement = Vec::new();
        push_escaped(options.measurement.as_bytes(), b", ", &mut measurement);
        let has_unsigned = options.database.is_none();
        Ok(Self { measurement, tags, fields, time, has_unsigned, left_out: LeftOut::default() })
    }

    /// What was left out so far.
    pub(super) fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Appends the lines of `batch`.
    pub(super) fn encode(&self, batch: &Batch, sensors: &Sensors, out: &mut Vec<u8>) {
        let Column::Time(times) = &batch.columns()[self.time] else { return };
        let (mut records, mut values) = (0, 0);
        for row in 0..batch.len() {
            let nanos = times.values[row].as_nanos();
            let start = out.len();
            out.extend_from_slice(&self.measurement);
            for (at, name) in &self.tags {
                push_tag(batch, *at, row, name, sensors, out);
            }
            let before = out.len();
            for (at, name) in &self.fields {
                values += u64::from(!self.push_field(batch, *at, row, name, before, out));
            }
            if out.len() == before || !(FIRST..=LAST).contains(&nanos) {
                out.truncate(start);
                records += 1;
                continue;
            }
            out.push(b' ');
            out.extend_from_slice(nanos.to_string().as_bytes());
            out.push(b'\n');
        }
        self.left_out.records.fetch_add(records, Ordering::Relaxed);
        self.left_out.values.fetch_add(values, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tidemill_engine::batch::{Bytes, Field, Numbers, Span, Text, TimeColumn};
    use tidemill_engine::format::influx::{Influx, InfluxOptions};
    use tidemill_engine::format::{Chunk, Format, Head};
    use tidemill_engine::offset::Offset;
    use tidemill_engine::time::Timestamp;

    use super::*;

    /// A record: sensor, time, float, integer, tag, text.
    type Row = (String, i64, Option<f64>, Option<i64>, Option<String>, Option<String>);

    fn schema() -> Schema {
        let note = Field::measurement("note").with_type(FieldType::Text);
        let fields = vec![
            Field::time("time"),
            Field::sensor("sensor"),
            Field::measurement("f"),
            Field::measurement("i").with_type(FieldType::I64),
            Field::text("site"),
            note,
        ];
        Schema::new(fields).expect("a schema")
    }

    fn options() -> InfluxdbOptions {
        let options = serde_json::json!({ "url": "http://localhost", "bucket": "b", "measurement": "m" });
        serde_json::from_value(options).expect("options")
    }

    fn encoded(rows: &[Row]) -> (String, LeftOut) {
        let (mut sensors, mut text) = (Sensors::with_limit(1000), Text::default());
        let ids = rows.iter().map(|row| sensors.id(&row.0).expect("an id")).collect();
        let mut spans = |texts: Vec<&Option<String>>| -> Vec<Span> {
            texts
                .iter()
                .map(|value| value.as_ref().map_or(Span::NULL, |value| text.push(value.as_bytes())))
                .collect()
        };
        let (sites, notes) =
            (spans(rows.iter().map(|row| &row.4).collect()), spans(rows.iter().map(|row| &row.5).collect()));
        let times: Vec<Timestamp> = rows.iter().map(|row| Timestamp::from_nanos(row.1)).collect();
        let columns = vec![
            Column::Time(TimeColumn { values: times.into(), text: Vec::new() }),
            Column::Sensor(ids),
            Column::F64(rows.iter().map(|row| row.2).collect::<Numbers<f64>>()),
            Column::I64(rows.iter().map(|row| row.3).collect::<Numbers<i64>>()),
            Column::Text(sites),
            Column::Text(notes),
        ];
        let batch = Batch::new(Arc::new(schema()), columns, text);
        let encoder = Encoder::new(&options(), &schema()).expect("an encoder");
        let mut out = Vec::new();
        encoder.encode(&batch, &sensors, &mut out);
        (String::from_utf8(out).expect("text"), encoder.left_out)
    }

    /// The lines, as tidemill reads them: time, sensor, float, integer, tag, text of each.
    fn decoded(lines: &str) -> Vec<Row> {
        let columns = ["f", "i", "site", "note"].map(str::to_owned);
        let options = InfluxOptions {
            sensor: Some("sensor".into()),
            measurements: Some(columns[..2].to_vec()),
            types: [("i".to_owned(), FieldType::I64)].into_iter().collect(),
            texts: Some(columns[2..].to_vec()),
            ..InfluxOptions::default()
        };
        let format = Influx::new(&options).expect("a format");
        let schema = Arc::new(format.declared("x").expect("columns").expect("all of them"));
        let head = Head { name: "x", stem: "", bytes: b"", is_whole: true };
        let decoder = format.bind(head, &schema).expect("a decoder").decoder;
        let offset = Offset { file: 0, at: 0, line: 1 };
        let bytes = Bytes::new(lines.as_bytes().to_vec());
        let chunk =
            Chunk { sequence: 0, file: "x".into(), offset, bytes, decoder, witness: None, received: None };
        let mut sensors = Sensors::default();
        let decoded = chunk.decode(&mut sensors).expect("records");
        assert!(decoded.rejections.is_empty(), "{:?} in {lines}", decoded.rejections);
        let batch = &decoded.batch;
        let at = |name| batch.schema().index_of(name).expect(name);
        let text = |name, row: usize| match &batch.columns()[at(name)] {
            Column::Text(spans) => {
                batch.text.get(spans[row]).map(|text| String::from_utf8(text.to_vec()).expect("text"))
            }
            _ => None,
        };
        let row = |row: usize| {
            let number = |name| batch.columns()[at(name)].number(row);
            let time = batch.times().expect("times")[row].as_nanos();
            let integer = number("i").and_then(|number| number.as_integer()).map(|value| value as i64);
            let sensor = sensors.name(batch.sensors()[row]).to_owned();
            (
                sensor,
                time,
                number("f").map(|number| number.as_f64()),
                integer,
                text("site", row),
                text("note", row),
            )
        };
        (0..batch.len()).map(row).collect()
    }

    #[test]
    fn what_the_protocol_cannot_say_is_left_out_and_counted() {
        let row = |f, i| ("s".to_owned(), 5, f, i, None, None);
        let (lines, left_out) = encoded(&[
            row(Some(f64::NAN), Some(1)),
            row(None, None),
            row(Some(f64::INFINITY), None),
            row(Some(1e300), None),
        ]);
        assert_eq!(lines, "m,sensor=s i=1i 5\nm,sensor=s f=1e300 5\n");
        assert_eq!((left_out.values.into_inner(), left_out.records.into_inner()), (2, 2));
        let (lines, _) =
            encoded(&[("a, =b\\".into(), 1, Some(0.1), None, Some("x\ny".into()), Some("\"\\".into()))]);
        assert_eq!(lines, "m,sensor=a\\,\\ \\=b,site=x\\ny f=0.1,note=\"\\\"\\\\\" 1\n");
    }

    proptest! {
        #[test]
        fn lines_read_back_as_they_were(rows in proptest::collection::vec((
            "x[a-zäß,= \"-]{0,9}y", -9_000_000_000_000_000_000..9_000_000_000_000_000_000_i64, proptest::option::of(-1e300..1e300_f64),
            any::<Option<i64>>(), proptest::option::of("x[a-zäß,= \"]{0,9}y"), proptest::option::of("x[a-zäß,= \"\\\\]{0,9}")), 0..20)) {
            let (lines, left_out) = encoded(&rows);
            let expected: Vec<Row> = rows.into_iter().filter(|row| row.2.is_some() || row.3.is_some() || row.5.is_some()).collect();
            prop_assert_eq!(lines.lines().count(), expected.len());
            prop_assert_eq!(decoded(&lines), expected);
            prop_assert_eq!(left_out.values.into_inner(), 0);
        }
    }
}
