//! Every kind of column as text, encoded field by field, compared with records that are composed in blocks.

use std::sync::Arc;

use super::Encode;
use super::csv::CsvEncoder;
use super::jsonl::JsonEncoder;
use crate::batch::{
    Batch, Booleans, Bytes, Column, Field, FieldRole, Mask, Numbers, Schema, Span, Text, TimeColumn,
};
use crate::sensor::Sensors;
use crate::time::Timestamp;

/// More than two blocks.
const ROWS: usize = 300;

/// The text of a time that is the whole chunk: copying past its end would be out of bounds.
const TIME: &str = "2026-01-01 00:00";

const NAMES: [&str; 4] = ["plain", "a,b", "=sum", "a name that is longer than what is copied at once"];

fn number(row: usize) -> Option<f64> {
    match row % 11 {
        3 => None,
        5 => Some(f64::NAN),
        6 => Some(f64::NEG_INFINITY),
        7 => Some(0.0),
        8 => Some(1e300),
        _ => Some(row as f64 / -7.0),
    }
}

/// Some rows have a text, so that both borrowed and formatted times occur.
fn has_time_text(row: usize) -> bool {
    row < 150 || row.is_multiple_of(2)
}

fn carried(row: usize) -> Option<&'static str> {
    [None, Some(""), Some("say \"x\""), Some("plain"), Some("-1")][row % 5]
}

fn batch(sensors: &mut Sensors) -> Batch {
    let ids = NAMES.map(|name| sensors.id(name).expect("room"));
    let mut text = Text::new(Bytes::new(TIME.as_bytes().to_vec()));
    let time_spans =
        (0..ROWS).map(|row| if has_time_text(row) { Span::new(0, TIME.len()) } else { Span::NULL });
    let times =
        TimeColumn { values: vec![Timestamp::from_nanos(0); ROWS].into(), text: time_spans.collect() };
    let spans =
        (0..ROWS).map(|row| carried(row).map_or(Span::NULL, |value| text.push(value.as_bytes()))).collect();
    let columns = vec![
        Column::Time(times),
        Column::Sensor((0..ROWS).map(|row| ids[row % 4]).collect()),
        Column::F64((0..ROWS).map(number).collect()),
        Column::Bool(Booleans::all(Mask::from_fn(ROWS, |row| row.is_multiple_of(3)))),
        Column::U64(Numbers::all((0..ROWS as u64).map(|row| row.pow(6)).collect())),
        Column::Text(spans),
        Column::F64((0..ROWS).map(|row| Some(row as f64 / 120.0)).collect()),
    ];
    let own = [Field::time("time"), Field::sensor("sensor")];
    let others = ["value", "flag", "count", "text", "scaled"].into_iter().zip(&columns[2..]);
    let others = others.map(|(name, column)| Field::new(name, FieldRole::Measurement, column.value_type()));
    let schema = Schema::new(own.into_iter().chain(others).collect());
    Batch::new(Arc::new(schema.expect("a schema")), columns, text)
}

fn encoded(encoder: &dyn Encode, batch: &Batch, sensors: &Sensors) -> String {
    let mut out = Vec::new();
    encoder.encode(batch, sensors, &mut out);
    String::from_utf8(out).expect("text")
}

fn time(row: usize) -> String {
    if has_time_text(row) { TIME.to_owned() } else { "1970-01-01T00:00:00Z".to_owned() }
}

fn float(value: f64, decimals: Option<u8>) -> String {
    let mut out = Vec::new();
    super::text::write_float(value, decimals, &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn clause_18_csv_of_every_kind_of_column() {
    let mut sensors = Sensors::default();
    let batch = batch(&mut sensors);
    let name = |row: usize| match NAMES[row % 4] {
        "a,b" => "\"a,b\"".to_owned(),
        "=sum" => "\"'=sum\"".to_owned(),
        name => name.to_owned(),
    };
    let text = |row: usize| match carried(row) {
        None => String::new(),
        Some("") => "\"\"".to_owned(),
        Some("-1") => "\"'-1\"".to_owned(),
        Some(text) if text.contains('"') => "\"say \"\"x\"\"\"".to_owned(),
        Some(text) => text.to_owned(),
    };
    for decimals in [None, Some(2)] {
        let encoder = CsvEncoder { delimiter: b',', decimals, safe: true };
        let lines = (0..ROWS).map(|row| {
            let value = number(row).map_or(String::new(), |value| float(value, decimals));
            let (flag, count) = (row.is_multiple_of(3), (row as u64).pow(6));
            let scaled = float(row as f64 / 120.0, decimals);
            format!("{},{},{value},{flag},{count},{},{scaled}\n", time(row), name(row), text(row))
        });
        assert_eq!(encoded(&encoder, &batch, &sensors), lines.collect::<String>());
    }
}

#[test]
fn clause_18_json_lines_of_every_kind_of_column() {
    let mut sensors = Sensors::default();
    let batch = batch(&mut sensors);
    let text = |row: usize| carried(row).map_or("null".to_owned(), |text| format!("{text:?}"));
    for decimals in [None, Some(2)] {
        let encoder = JsonEncoder::new(batch.schema(), decimals);
        let lines = (0..ROWS).map(|row| {
            let value = match number(row) {
                None => "null".to_owned(),
                Some(value) if value.is_finite() => float(value, decimals),
                Some(value) => format!("\"{}\"", float(value, None)),
            };
            let (flag, count) = (row.is_multiple_of(3), (row as u64).pow(6));
            let scaled = float(row as f64 / 120.0, decimals);
            format!(
                "{{\"time\":\"{}\",\"sensor\":\"{}\",\"value\":{value},\"flag\":{flag},\"count\":{count},\"text\":{},\"scaled\":{scaled}}}\n",
                time(row),
                NAMES[row % 4],
                text(row)
            )
        });
        assert_eq!(encoded(&encoder, &batch, &sensors), lines.collect::<String>());
    }
}

#[test]
fn a_record_of_one_null_is_no_blank_line() {
    let mut sensors = Sensors::default();
    let id = sensors.id("").expect("room");
    let schema = Schema::new(vec![Field::sensor("sensor")]).expect("a schema");
    let batch = Batch::new(Arc::new(schema), vec![Column::Sensor(vec![id; 3])], Text::default());
    let encoder = CsvEncoder { delimiter: b',', decimals: None, safe: false };
    assert_eq!(encoded(&encoder, &batch, &sensors), "\"\"\n".repeat(3));
}
