//! Decoding of files, clause by clause, with the messages that a user sees.

use std::sync::Arc;

use proptest::prelude::*;

use super::columns::{ColumnOptions, Decimal};
use super::csv::{Csv, Dialect};
use super::jsonl::{JsonLines, JsonOptions};
use super::{Decode, Format, Head};
use crate::batch::{Batch, Bytes, Column};
use crate::error::Result;
use crate::format::{Chunk, Decoded};
use crate::offset::Offset;
use crate::sensor::Sensors;

/// The complete decoded content of a file, as text.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<String>,
    pub(super) origins: Vec<String>,
    pub(super) rejections: Vec<String>,
    pub(super) sensors: Vec<String>,
    pub(super) lines: u64,
}

fn cell(batch: &Batch, column: &Column, row: usize, sensors: &Sensors) -> String {
    let text = |span| batch.text.get(span).map(|text| String::from_utf8_lossy(text).into_owned());
    match column {
        Column::Time(time) => format!("{}={:?}", text(time.text[row]).unwrap_or_default(), time.values[row]),
        Column::Sensor(ids) => sensors.name(ids[row]).to_owned(),
        Column::F64(numbers) => numbers.get(row).map_or("null".to_owned(), |value| format!("{value:?}")),
        Column::Text(spans) => text(spans[row]).map_or("null".to_owned(), |text| format!("{text:?}")),
        other => format!("{other:?}"),
    }
}

impl Read {
    fn add(&mut self, decoded: &Decoded, sensors: &Sensors) {
        let batch = &decoded.batch;
        for row in 0..batch.len() {
            let cells = batch.columns().iter().map(|column| cell(batch, column, row, sensors));
            self.rows.push(cells.collect::<Vec<_>>().join(" | "));
        }
        let origins = batch.origins.iter();
        for (origins, row) in origins.flat_map(|origins| (0..origins.len()).map(move |row| (origins, row))) {
            let raw = batch.text.get(origins.get(row).raw).unwrap_or_default();
            self.origins.push(format!("{}, {:?}", origins.position(row), String::from_utf8_lossy(raw)));
        }
        for rejection in &decoded.rejections {
            self.rejections.push(format!("{rejection}: {:?}", String::from_utf8_lossy(&rejection.raw)));
        }
        self.lines += decoded.lines;
    }
}

/// Decodes a file in blocks of `block` bytes.
pub(super) fn read_in_blocks(format: &dyn Format, bytes: &[u8], block: usize) -> Result<Read> {
    read_cut(format, bytes, (1..).map_while(|n: usize| n.checked_mul(block)))
}

/// Decodes a file in pieces that end at `cuts`, ascending, and at its end.
pub(super) fn read_cut(
    format: &dyn Format,
    bytes: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> Result<Read> {
    let head = Head { name: "a.csv", stem: "stem", bytes, is_whole: true };
    let schema = Arc::new(format.columns().declared(&format.schema(head)?)?);
    let bound = format.bind(head, &schema)?;
    let columns =
        schema.fields().iter().map(|field| format!("{}: {}", field.name, field.description())).collect();
    let (mut read, mut sensors) = (Read { columns, ..Read::default() }, Sensors::default());
    let (mut from, mut line) = (bound.skip_bytes, 1 + bound.skip_lines);
    let cuts =
        cuts.into_iter().skip_while(|&cut| cut < bound.skip_bytes).take_while(|&cut| cut < bytes.len());
    for to in cuts.chain([bytes.len()]) {
        let length = bound.decoder.complete(&bytes[from..to], to == bytes.len());
        if length > 0 {
            let chunk = chunk(&bound.decoder, &bytes[from..from + length], from, line);
            let decoded = chunk.decode(&mut sensors)?;
            read.add(&decoded, &sensors);
            line += decoded.lines;
        }
        from += length;
    }
    read.sensors = sensors.names().map(str::to_owned).collect();
    Ok(read)
}

pub(super) fn chunk(decoder: &Arc<dyn Decode>, bytes: &[u8], at: usize, line: u64) -> Chunk {
    Chunk {
        sequence: 0,
        file: "a.csv".into(),
        offset: Offset { file: 0, at: at as u64, line },
        bytes: Bytes::new(bytes.to_vec()),
        decoder: Arc::clone(decoder),
        witness: None,
        received: None,
    }
}

pub(super) fn read(format: &dyn Format, bytes: impl AsRef<[u8]>) -> Read {
    read_in_blocks(format, bytes.as_ref(), usize::MAX).expect("readable")
}

pub(super) fn error(format: &dyn Format, bytes: &str) -> String {
    read_in_blocks(format, bytes.as_bytes(), usize::MAX).expect_err("unreadable").to_string()
}

/// Columns `t`, `s` and `v`; all others are text.
pub(super) fn named() -> ColumnOptions {
    ColumnOptions {
        time: Some("t".into()),
        sensor: Some("s".into()),
        measurements: Some(vec!["v".into()]),
        ..ColumnOptions::default()
    }
}

pub(super) fn csv(columns: &ColumnOptions) -> Csv {
    Csv::new(&Dialect::default(), columns).expect("good options").with_origins(true)
}

pub(super) fn json(columns: &ColumnOptions) -> JsonLines {
    JsonLines::new(&JsonOptions::default(), columns).expect("good options").with_origins(true)
}

#[test]
fn clause_1_a_long_file_is_read_in_its_own_order() {
    let options = ColumnOptions { measurements: None, ..named() };
    let read = read(
        &csv(&options),
        "s,t,v,note\na,2026-01-01T00:00:00Z,1.5,hi\nb, 2026-01-01T00:00:01+01:00 ,-2,\n",
    );
    assert_eq!(read.columns, ["s: sensor", "t: time", "v: measurement", "note: text"]);
    let rows = [
        "a | 2026-01-01T00:00:00Z=2026-01-01T00:00:00Z | 1.5 | \"hi\"",
        "b | 2026-01-01T00:00:01+01:00=2025-12-31T23:00:01Z | -2.0 | null",
    ];
    assert_eq!(read.rows, rows);
    assert_eq!(read.origins[1], "a.csv, line 3, byte 41, \"b, 2026-01-01T00:00:01+01:00 ,-2,\"");
    assert_eq!((read.rejections.len(), read.lines), (0, 2));
}

#[test]
fn clause_1_a_wide_file_has_many_measurements_and_its_stem_as_sensor() {
    let dialect = Dialect { delimiter: ";".into(), ..Dialect::default() };
    let options =
        ColumnOptions { time: Some("t".into()), decimal: Decimal::Comma, ..ColumnOptions::default() };
    let format = Csv::new(&dialect, &options).expect("good options");
    let wide = read(&format, "p;t;q;unit;none\n1,5;2026-01-01 00:00:00;;°C;\n2;2026-01-01 00:00:01;nan;K;\n");
    let columns =
        ["p: measurement", "t: time", "sensor: sensor", "q: measurement", "unit: text", "none: text"];
    assert_eq!(wide.columns, columns);
    assert_eq!(wide.rows[0], "1.5 | 2026-01-01 00:00:00=2026-01-01T00:00:00Z | stem | null | \"°C\" | null");
    assert!(wide.rows[1].starts_with("2.0 |") && wide.rows[1].contains("| NaN |"), "{wide:?}");

    let options = ColumnOptions { sensor_name: Some("boiler".into()), ..ColumnOptions::default() };
    assert_eq!(read(&csv(&options), "v\n1\n").rows, ["boiler | 1.0"]);
}

#[test]
fn clause_1_a_sensor_column_that_is_not_named_is_asked_for() {
    let message = error(&csv(&ColumnOptions::default()), "sensor,v\na,1\n");
    assert!(message.contains("`a.csv`") && message.contains("sensor = \"sensor\""), "{message}");
    let message = error(&json(&ColumnOptions::default()), "{\"sensor\": \"a\"}\n");
    assert!(message.contains("sensor = \"sensor\""), "{message}");
}

#[test]
fn clause_1_a_column_that_is_not_there_is_named_with_the_nearest() {
    let options = ColumnOptions { time: Some("tme".into()), ..ColumnOptions::default() };
    let message = error(&csv(&options), "time,v\n");
    assert!(
        message.contains("`a.csv` has no column `tme`") && message.contains("did you mean `time`?"),
        "{message}"
    );
    let options = ColumnOptions { measurements: Some(vec!["pressure".into()]), ..ColumnOptions::default() };
    let message = error(&csv(&options), "x,y\n");
    assert!(message.contains("`pressure`") && message.contains("`x`, `y`"), "{message}");
    let options = ColumnOptions { rename: [("x".into(), "y".into())].into(), ..ColumnOptions::default() };
    assert!(error(&csv(&options), "x,y\n").contains("two columns called `y`"));
    let options = ColumnOptions { rename: [("z".into(), "w".into())].into(), ..ColumnOptions::default() };
    assert!(error(&csv(&options), "x,y\n").contains("`a.csv` has no column `z` (option `rename`)"));
}

#[test]
fn clause_1_a_column_is_one_thing_only() {
    for options in [
        ColumnOptions { sensor: Some("t".into()), ..named() },
        ColumnOptions { measurements: Some(vec!["t".into()]), ..named() },
        ColumnOptions { measurements: Some(vec!["v".into(), "v".into()]), ..named() },
    ] {
        let error = Csv::new(&Dialect::default(), &options).expect_err("named twice").to_string();
        assert!(error.contains("twice"), "{error}");
    }
}

#[test]
fn clause_2_nulls_are_not_numbers_and_non_finite_numbers_are() {
    let options = ColumnOptions { null_values: vec!["".into(), "n/a".into(), "-999".into()], ..named() };
    let lines = ["", " n/a ", "-999", "NaN", "-INF", "N/A", "12 m", "abc"];
    let text: String = lines.iter().map(|value| format!("2026-01-01T00:00:00Z,a,{value}\n")).collect();
    let read = read(&csv(&options), format!("t,s,v\n{text}"));
    let values: Vec<_> = read.rows.iter().filter_map(|row| row.rsplit(" | ").next()).collect();
    assert_eq!(values, ["null", "null", "null", "NaN", "-inf"]);
    let reasons: Vec<_> = read.rejections.iter().map(|r| r.split(": ").nth(2).unwrap_or_default()).collect();
    assert_eq!(reasons, ["\"N/A\" is not a number", "\"12 m\" is not a number", "\"abc\" is not a number"]);
}

#[test]
fn clause_2_a_record_needs_a_time_and_a_sensor() {
    let options = ColumnOptions { null_values: vec!["-".into()], ..named() };
    let read =
        read(&csv(&options), "t,s,v\n,a,1\n-,a,1\n2026-01-01T00:00:00Z,,1\n2026-01-01T00:00:00Z,-,1\n");
    let reasons: Vec<_> = read.rejections.iter().map(|r| r.split(": ").nth(2).unwrap_or_default()).collect();
    assert_eq!(reasons, ["no timestamp", "no timestamp", "no sensor", "no sensor"]);
}

#[test]
fn clause_2_carried_text_is_never_a_null_value() {
    let options = ColumnOptions { null_values: vec!["-".into()], ..named() };
    let read = read(&csv(&options), "t,s,v,note\n2026-01-01T00:00:00Z,a,1,-\n");
    assert!(read.rows[0].ends_with("| \"-\""), "{read:?}");
}

#[test]
fn clause_4_a_bad_time_is_a_reject_that_says_why() {
    let read =
        read(&csv(&named()), "t,s,v\n2026-02-30T00:00:00Z,a,1\n2026-01-01T25:00:00Z,a,1\nyesterday,a,1\n");
    assert_eq!(read.rows.len(), 0);
    for (rejection, why) in read.rejections.iter().zip(["no such day", "hour out of range", "\"yesterday\""])
    {
        assert!(rejection.contains("column `t`") && rejection.contains(why), "{rejection}");
    }
    let options = ColumnOptions { time_format: "ms".into(), ..named() };
    let text = "t,s,v\n1500,a,1\n";
    assert!(self::read(&csv(&options), text).rows[0].starts_with("1500=1970-01-01T00:00:01.500Z"));
}

#[test]
fn clause_5_invalid_utf_8_is_a_reject_only_where_text_is_carried() {
    let read = read(&csv(&named()), b"t,s,v,note\n2026-01-01T00:00:00Z,a,\xff,x\n2026-01-01T00:00:00Z,a,1,\xff\n2026-01-01T00:00:00Z,\xff,1,x\n");
    let columns: Vec<_> = read.rejections.iter().map(|r| r.split(": ").nth(1).unwrap_or_default()).collect();
    assert_eq!(columns, ["column `v`", "column `note`", "column `s`"]);
    let options = ColumnOptions { null_values: vec!["".into()], ..ColumnOptions::default() };
    assert_eq!(self::read(&csv(&options), b"v,w\n1,\"2\"\n").rows, ["stem | 1.0 | 2.0"]);
}

#[test]
fn clause_5_files_of_one_input_have_the_same_columns_in_any_order() {
    let format = csv(&named());
    let head = |name, bytes| Head { name, stem: "stem", bytes, is_whole: true };
    let schema = Arc::new(format.schema(head("a.csv", b"t,s,v\n")).expect("columns"));
    let bound = format.bind(head("b.csv", b"v,t,s\n"), &schema).expect("same columns");
    let chunk = chunk(&bound.decoder, b"1,2026-01-01T00:00:00Z,a", 0, 1);
    assert_eq!(chunk.decode(&mut Sensors::default()).expect("decoded").batch.len(), 1);
    let message = |bytes| format.bind(head("b.csv", bytes), &schema).err().map(|error| error.to_string());
    assert!(message(b"t,s\n").is_some_and(|m| m.contains("`b.csv` has no column `v`")));
    assert!(message(b"t,s,v,w\n").is_some_and(|m| m.contains("`b.csv` has a column `w`")));
}

#[test]
fn clause_5_a_later_file_with_a_sensor_column_too_many_is_an_error() {
    let format = csv(&ColumnOptions::default());
    let head = |name, bytes| Head { name, stem: "stem", bytes, is_whole: true };
    let schema = Arc::new(format.schema(head("a.csv", b"v\n1\n")).expect("columns"));
    let error = format.bind(head("b.csv", b"v,sensor\n1,a\n"), &schema).err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("`b.csv` has a column `sensor`")));
}

#[test]
fn clause_5_records_fields_and_counts_beyond_the_limits_are_rejects() {
    let long = "x".repeat(300 << 10);
    let longer = "x".repeat((1 << 20) + 1);
    let many = ",".repeat(5000);
    let options = ColumnOptions { measurements: Some(vec![]), ..ColumnOptions::default() };
    let read = read(&csv(&options), format!("a,b\n{long},1\n{longer},2\n{many}\n\"{longer}\",3\nx,y\n"));
    let lines: Vec<_> = read.rejections.iter().filter_map(|r| r.split(", ").nth(1)).collect();
    assert_eq!(lines, ["line 2", "line 3", "line 4", "line 5"]);
    assert_eq!(read.rows, ["stem | \"x\" | \"y\""]);
}

#[test]
fn clause_7_a_rejected_record_leaves_no_sensor_behind() {
    let read = read(&csv(&named()), "t,s,v\n2026-01-01T00:00:00Z,bad,x\n2026-01-01T00:00:00Z,good,1\n");
    assert_eq!(read.sensors, ["good"]);
    let position = "a.csv, line 2, byte 6: column `v`: \"x\" is not a number: \"2026-01-01T00:00:00Z,bad,x\"";
    assert_eq!(read.rejections, [position]);
}

#[test]
fn clause_7_long_texts_are_shortened_in_reasons() {
    let read = read(&csv(&named()), format!("t,s,v\n2026-01-01T00:00:00Z,a,{}\n", "é".repeat(500)));
    let reason = read.rejections[0].split(": ").nth(2).unwrap_or_default();
    assert!(reason.chars().count() < 70 && reason.contains('…'), "{reason}");
}

proptest! {
    #[test]
    fn clause_5_any_bytes_give_records_and_rejects_and_no_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), block in 1..50usize,
    ) {
        for format in [&csv(&ColumnOptions::default()) as &dyn Format, &json(&ColumnOptions::default())] {
            if let Ok(whole) = read_in_blocks(format, &bytes, usize::MAX) {
                prop_assert_eq!(read_in_blocks(format, &bytes, block).expect("readable"), whole);
            }
        }
    }
}
