//! Lines as they are written, and as tidemill reads them.

use std::sync::Arc;

use proptest::prelude::*;
use tidemill_engine::batch::{Bytes, Numbers, Span, Text, TimeColumn};
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
    let options = PointOptions { measurement: "m", tags: None, has_unsigned: true };
    let encoder = Encoder::new(&options, &schema()).expect("an encoder");
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
