//! Decoding of files, clause by clause, with the messages that a user sees.

use std::sync::Arc;

use proptest::prelude::*;

use super::columns::{ColumnOptions, Decimal};
use super::csv::{Csv, Dialect};
use super::jsonl::{JsonLines, JsonOptions, Layout, UnknownFields};
use super::{Decode, Format, Head};
use crate::batch::{Batch, Bytes, Column};
use crate::error::Result;
use crate::format::{Chunk, Decoded};
use crate::offset::Offset;
use crate::sensor::Sensors;

/// The complete decoded content of a file, as text.
#[derive(Debug, Default, PartialEq)]
struct Read {
    columns: Vec<String>,
    rows: Vec<String>,
    origins: Vec<String>,
    rejections: Vec<String>,
    sensors: Vec<String>,
    lines: u64,
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
fn read_in_blocks(format: &dyn Format, bytes: &[u8], block: usize) -> Result<Read> {
    read_cut(format, bytes, (1..).map_while(|n: usize| n.checked_mul(block)))
}

/// Decodes a file in pieces that end at `cuts`, ascending, and at its end.
fn read_cut(format: &dyn Format, bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Result<Read> {
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

fn chunk(decoder: &Arc<dyn Decode>, bytes: &[u8], at: usize, line: u64) -> Chunk {
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

fn read(format: &dyn Format, bytes: impl AsRef<[u8]>) -> Read {
    read_in_blocks(format, bytes.as_ref(), usize::MAX).expect("readable")
}

fn error(format: &dyn Format, bytes: &str) -> String {
    read_in_blocks(format, bytes.as_bytes(), usize::MAX).expect_err("unreadable").to_string()
}

/// Columns `t`, `s` and `v`; all others are text.
fn named() -> ColumnOptions {
    ColumnOptions {
        time: Some("t".into()),
        sensor: Some("s".into()),
        measurements: Some(vec!["v".into()]),
        ..ColumnOptions::default()
    }
}

fn csv(columns: &ColumnOptions) -> Csv {
    Csv::new(&Dialect::default(), columns).expect("good options").with_origins(true)
}

fn json(columns: &ColumnOptions) -> JsonLines {
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

#[test]
fn json_lines_are_the_same_table() {
    let lines = r#"{"t": "2026-01-01T00:00:00Z", "s": "a", "v": 1.50, "x": "say \"hi\"", "y": [1, {"z": "]"}]}

  {"s": 7, "t": "2026-01-01T00:00:01Z"}
{"t": "2026-01-01T00:00:02Z", "s": "a", "v": "NaN", "x": ""}
{"t": "2026-01-01T00:00:03Z", "s": "a", "v": null, "y": true}
"#;
    let read = read(&json(&named()), lines);
    assert_eq!(read.columns, ["t: time", "s: sensor", "v: measurement", "x: text", "y: text"]);
    assert_eq!(read.rejections, Vec::<String>::new());
    assert_eq!(
        read.rows[0],
        "2026-01-01T00:00:00Z=2026-01-01T00:00:00Z | a | 1.5 | \"say \\\"hi\\\"\" | \"[1, {\\\"z\\\": \\\"]\\\"}]\""
    );
    assert!(read.rows[1].ends_with("| 7 | null | null | null"), "{read:?}");
    assert!(read.rows[2].ends_with("| a | NaN | \"\" | null"), "{read:?}");
    assert!(read.rows[3].ends_with("| a | null | null | \"true\""), "{read:?}");
    assert!(read.origins[1].starts_with("a.csv, line 3,"), "{read:?}");
}

#[test]
fn json_lines_that_do_not_fit_are_rejects() {
    let good = r#"{"t": 1, "s": "a", "v": 1}"#;
    let deep = format!(r#"{{"t": 1, "s": "a", "v": {}1{}}}"#, "[".repeat(65), "]".repeat(65));
    let cases = [
        (r#"{"t": 1, "s": "a", "v": 1"#, "EOF while parsing"),
        ("1", "expected"),
        (r#"{"t": 1, "s": "a", "v": 1, "v": 2}"#, "`v`"),
        (r#"{"s": "a", "v": 1}"#, "no timestamp"),
        (r#"{"t": 1, "v": 1}"#, "no sensor"),
        (r#"{"t": 1, "s": null, "v": 1}"#, "no sensor"),
        (r#"{"t": 1, "s": "a", "v": "abc"}"#, "is not a number"),
        (r#"{"t": 1, "s": "a", "v": "on"}"#, "is not a number"),
        (deep.as_str(), "64"),
    ];
    let options = ColumnOptions { time_format: "s".into(), ..named() };
    for (line, why) in cases {
        let read = read(&json(&options), format!("{good}\n{line}\n{good}\n"));
        let expected = format!("a.csv, line 2, byte {}: ", good.len() + 1);
        assert_eq!((read.rows.len(), read.rejections.len()), (2, 1), "{line}");
        let rejection = &read.rejections[0];
        assert!(rejection.starts_with(&expected) && rejection.contains(why), "{rejection}");
        assert!(!rejection.contains("at line"), "{rejection}");
    }
}

#[test]
fn json_lines_leave_unknown_fields_out_where_told_to() {
    let options = JsonOptions { unknown_fields: UnknownFields::Ignore, ..JsonOptions::default() };
    let format = JsonLines::new(&options, &ColumnOptions::default()).expect("good options");
    let head = Head { name: "a.jsonl", stem: "stem", bytes: b"{\"v\": 1}\n", is_whole: true };
    let schema = Arc::new(format.schema(head).expect("columns"));
    let bound = format.bind(head, &schema).expect("bound");
    let line = b"{\"v\": 1, \"w\": [[2]]}";
    let decoded = chunk(&bound.decoder, line, 0, 1).decode(&mut Sensors::default()).expect("decoded");
    assert_eq!((decoded.batch.len(), decoded.rejections.len()), (1, 0));

    let strict = json(&ColumnOptions::default()).bind(head, &schema).expect("bound");
    let decoded = chunk(&strict.decoder, line, 0, 1).decode(&mut Sensors::default()).expect("decoded");
    assert_eq!(decoded.rejections[0].reason, "unknown field `w`");
}

#[test]
fn json_brackets_in_strings_are_no_nesting() {
    let line = format!(r#"{{"v": 1, "x": {{"y": "\"{}"}}}}"#, "[".repeat(100));
    assert_eq!(read(&json(&ColumnOptions::default()), &line).rows.len(), 1);
}

#[test]
fn json_numbers_have_a_point_and_those_in_quotes_the_mark_of_the_options() {
    let options = ColumnOptions { decimal: Decimal::Comma, ..ColumnOptions::default() };
    let read = read(&json(&options), "{\"v\":1.5,\"w\":\"2,5\"}\n{\"v\":\"3,5\",\"w\":-4e-1}\n");
    assert_eq!(read.columns, ["sensor: sensor", "v: measurement", "w: measurement"]);
    assert_eq!(read.rows.len(), 2);
}

#[test]
fn clause_5_nested_objects_give_fields_with_dotted_names() {
    let lines = r#"{"id":"a","meta":{"time":"2026-01-01T00:00:00Z","gw":[{"rssi":-80},{"rssi":-90}]},"data":{"temp":"21.5","ok":true,"note":"x"}}
{"id":"b","meta":{"time":"2026-01-01T00:00:01Z","gw":[]},"data":{"temp":"","ok":false}}
{"id":"c","meta":{"time":"2026-01-01T00:00:02Z","gw":null},"data":null}
{"id":"d","meta":{"time":"2026-01-01T00:00:03Z","gw":[{"rssi":-70}]},"data.temp":3,"data":{"temp":4,"ok":true}}
"#;
    let options = ColumnOptions {
        time: Some("meta.time".into()),
        sensor: Some("id".into()),
        rename: [("meta.gw.0.rssi".into(), "rssi".into())].into(),
        ..ColumnOptions::default()
    };
    let read = read(&json(&options), lines);
    assert_eq!(
        read.columns,
        [
            "id: sensor",
            "meta.time: time",
            "meta.gw: text",
            "rssi: measurement",
            "data.temp: measurement",
            "data.ok: text",
            "data.note: text"
        ]
    );
    assert_eq!(read.rejections, Vec::<String>::new());
    let rows = [
        r#"a | 2026-01-01T00:00:00Z=2026-01-01T00:00:00Z | "[{\"rssi\":-80},{\"rssi\":-90}]" | -80.0 | 21.5 | "true" | "x""#,
        r#"b | 2026-01-01T00:00:01Z=2026-01-01T00:00:01Z | "[]" | null | null | "false" | null"#,
        r#"c | 2026-01-01T00:00:02Z=2026-01-01T00:00:02Z | null | null | null | null | null"#,
        r#"d | 2026-01-01T00:00:03Z=2026-01-01T00:00:03Z | "[{\"rssi\":-70}]" | -70.0 | 3.0 | "true" | null"#,
    ];
    assert_eq!(read.rows, rows);
    let named = ColumnOptions {
        measurements: Some(vec!["data.temp".into(), "data.ok".into(), "meta.gw.1.rssi".into()]),
        columns: Some(vec!["data".into()]),
        rename: [].into(),
        ..options
    };
    let read = self::read(&json(&named), lines);
    assert_eq!(read.rejections, Vec::<String>::new());
    let first = r#"a | 2026-01-01T00:00:00Z=2026-01-01T00:00:00Z | -90.0 | "{\"temp\":\"21.5\",\"ok\":true,\"note\":\"x\"}" | 21.5 | 1.0"#;
    assert_eq!(read.rows[0], first);
}

#[test]
fn clause_5_elements_of_an_array_become_records() {
    let lines = "{\"id\":\"a\",\"r\":[{\"v\":1},{\"v\":\"x\"},{\"v\":3}]}\n{\"id\":\"b\",\"r\":[]}\n{\"id\":\"c\"}\n{\"id\":\"d\",\"r\":7}\n";
    let options = ColumnOptions {
        sensor: Some("id".into()),
        measurements: Some(vec!["r.v".into()]),
        ..ColumnOptions::default()
    };
    let unfold = JsonOptions { unfold: Some("r".into()), ..JsonOptions::default() };
    let format = JsonLines::new(&unfold, &options).expect("good options").with_origins(true);
    let read = read(&format, lines);
    assert_eq!(read.rows, ["a | 1.0", "a | 3.0"]);
    assert_eq!(read.origins[1], "a.csv, line 1, byte 33, \"{\\\"v\\\":3}\"");
    assert_eq!(
        read.rejections,
        [
            "a.csv, line 1, byte 23: column `r.v`: \"x\" is not a number: \"{\\\"v\\\":\\\"x\\\"}\"",
            "a.csv, line 3, byte 61: there is no array `r` to unfold: \"{\\\"id\\\":\\\"c\\\"}\"",
            "a.csv, line 4, byte 72: `r` is not an array, as `unfold` requires: \"{\\\"id\\\":\\\"d\\\",\\\"r\\\":7}\""
        ]
    );
    let many =
        format!("{{\"id\":\"{}\",\"r\":[{{\"v\":1}}{}]}}\n", "x".repeat(1000), ",{\"v\":1}".repeat(17_000));
    let read = self::read(&format, lines.to_owned() + &many);
    assert!(read.rejections[3].contains("16777216 are allowed"), "{}", &read.rejections[3][..200]);
}

#[test]
fn clause_5_values_are_told_apart_by_their_structure() {
    let options = ColumnOptions { sensor: Some("s".into()), ..ColumnOptions::default() };
    let rows = ["a | 1.0", "b | 2.0", "c | 3.0"];
    for text in [
        "[{\"s\":\"a\",\"v\":1},{\"s\":\"b\",\"v\":2},{\"s\":\"c\",\"v\":3}]",
        "[\n  {\"s\": \"a\", \"v\": 1},\n  {\"s\": \"b\", \"v\": 2},\n  {\"s\": \"c\", \"v\": 3}\n]\n",
        "[{\"s\":\"a\",\"v\":1},{\"s\":\"b\",\"v\":2}]\n[{\"s\":\"c\",\"v\":3}]\n",
        "{\"s\":\"a\",\"v\":1}{\"s\":\"b\",\"v\":2} {\"s\":\"c\",\"v\":3}",
        "{\n\"s\":\"a\",\n\"v\":1\n}\n{\n\"s\":\"b\",\n\"v\":2\n}\n{\n\"s\":\"c\",\n\"v\":3\n}\n",
        "{\"s\":\"a\",\"v\":1}\n[{\"s\":\"b\",\"v\":2},{\"s\":\"c\",\"v\":3}]\n",
    ] {
        let whole = read(&json(&options), text);
        assert_eq!((&whole.rows[..], whole.rejections.len()), (&rows.map(str::to_owned)[..], 0), "{text}");
        for cut in 0..text.len() {
            assert_eq!(
                read_cut(&json(&options), text.as_bytes(), [cut]).expect("readable"),
                whole,
                "{text} at {cut}"
            );
        }
    }
}

#[test]
fn clause_5_one_broken_value_is_one_reject_that_says_where() {
    let text = "[\n {\"v\":1},\n {\"v\":\n 2 3},\n {\"v\":\"4\n},\n {\"v\":5}\n] x\n";
    let read = read(
        &json(&ColumnOptions { measurements: Some(vec!["v".into()]), ..ColumnOptions::default() }),
        text,
    );
    assert_eq!(read.rows, ["stem | 1.0", "stem | 5.0"]);
    let places: Vec<_> =
        read.rejections.iter().map(|r| r.rsplit_once(": ").map_or("", |(place, _)| place)).collect();
    assert_eq!(
        places,
        [
            "a.csv, line 3, byte 13: not a JSON object: expected `,` or `}`, line 2 of it, column 4",
            "a.csv, line 5, byte 27: not a JSON object: control character (\\u0000-\\u001F) found while parsing a string, column 7",
            "a.csv, line 8, byte 49: not a JSON object: expected value, column 1"
        ]
    );
}

/// Lines of JSON, valid and broken, at most 256 bytes.
fn nasty_json() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 21] = [
        b"{\"s\":\"a\"",
        b",\"v\":1",
        b",\"v\":\"x\\n\"",
        b",\"x\":[{}]",
        b"}",
        b"}\n",
        b"{\"s\":\"b\",\"v\":2.5}\r\n",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\t",
        b"\"",
        b"\\",
        b"[",
        b"\\u00e9",
        "é".as_bytes(),
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"{}",
    ];
    let pieces = proptest::sample::select(pieces.to_vec());
    (any::<bool>(), proptest::collection::vec(pieces, 0..80)).prop_map(|(has_bom, pieces)| {
        let bom: &[u8] = if has_bom { b"\xef\xbb\xbf" } else { b"" };
        let mut text = [bom, b"{\"s\":\"a\",\"v\":1}\n", &pieces.concat()].concat();
        text.truncate(256);
        text
    })
}

/// Consecutive JSON values, valid and broken, at most 200 bytes.
fn nasty_values() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 26] = [
        b"{\"s\":\"a\",\"v\":1}",
        b"{\"s\":\"a\",\"w\":[{\"v\":1},{\"v\":\"x\"},3]}",
        b"{\n  \"s\": \"b\",\n  \"w\": [\n    1\n  ]\n}",
        b"{\"s\":\"a\"",
        b",\"v\":1",
        b",\"n\":{\"x\":\"}\"}",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\"",
        b"\"s\"",
        b"\\",
        b"tru",
        b"-1.5e3",
        b"\x1e",
        "é".as_bytes(),
        b"\0",
        b"\xff",
        b"{}",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| {
        let mut text = pieces.concat();
        text.truncate(200);
        text
    })
}

#[test]
fn clause_5_what_is_broken_between_values_ends_at_the_same_place_wherever_it_is_cut() {
    for unfold in [None, Some("w".to_owned())] {
        let options = JsonOptions { layout: Layout::Values, unfold, ..JsonOptions::default() };
        let columns = ColumnOptions { time: None, sensor: Some("s".into()), ..ColumnOptions::default() };
        let format = JsonLines::new(&options, &columns).expect("good options").with_origins(true);
        let text = br#""{}{}{"s":"a","v":1}"#;
        let Ok(whole) = read_cut(&format, text, []) else { continue };
        for cut in 0..=text.len() {
            assert_eq!(read_cut(&format, text, [cut]).expect("readable"), whole, "cut at {cut}");
        }
        for block in 1..=text.len() {
            assert_eq!(read_in_blocks(&format, text, block).expect("readable"), whole, "pieces of {block}");
        }
    }
}

proptest! {
    #[test]
    fn clause_5_json_lines_cut_anywhere_are_the_same(text in nasty_json(), ignore in any::<bool>()) {
        let unknown_fields = if ignore { UnknownFields::Ignore } else { UnknownFields::Reject };
        let options = ColumnOptions { time: None, ..named() };
        let format = JsonLines::new(&JsonOptions { unknown_fields, ..JsonOptions::default() }, &options).expect("good options").with_origins(true);
        let whole = read(&format, &text);
        for first in 0..=text.len() {
            let pieces = read_cut(&format, &text, [first]).expect("readable");
            prop_assert_eq!(&pieces, &whole, "cut at {}", first);
            for second in (first + 1..text.len()).take_while(|_| text.len() <= 40) {
                let pieces = read_cut(&format, &text, [first, second]).expect("readable");
                prop_assert_eq!(&pieces, &whole, "cut at {} and {}", first, second);
            }
        }
        for block in 1..=text.len().min(40) {
            let pieces = read_in_blocks(&format, &text, block).expect("readable");
            prop_assert_eq!(&pieces, &whole, "pieces of {}", block);
        }
    }

    #[test]
    fn clause_5_values_cut_anywhere_are_the_same(
        text in nasty_values(), is_auto in any::<bool>(), unfold in any::<bool>(),
    ) {
        let layout = if is_auto { Layout::Auto } else { Layout::Values };
        let options = JsonOptions { layout, unfold: unfold.then(|| "w".into()), ..JsonOptions::default() };
        let columns = ColumnOptions { time: None, sensor: Some("s".into()), ..ColumnOptions::default() };
        let format = JsonLines::new(&options, &columns).expect("good options").with_origins(true);
        let Ok(whole) = read_cut(&format, &text, []) else { return Ok(()) };
        let head = |bytes, is_whole| Head { name: "a.csv", stem: "stem", bytes, is_whole };
        let schema = Arc::new(format.schema(head(&text, true)).expect("readable"));
        let shown = |bytes, is_whole| format.bind(head(bytes, is_whole), &schema).expect("bound").decoder.beginning().to_vec();
        let beginning = shown(&text, true);
        // The saved beginning of a decoder makes an equal one.
        prop_assert_eq!(&shown(&beginning, true), &beginning);
        for cut in 0..=text.len() {
            let pieces = read_cut(&format, &text, [cut]).expect("readable");
            prop_assert_eq!(&pieces, &whole, "cut at {}", cut);
            if format.can_bind(head(&text[..cut], false)) {
                prop_assert_eq!(&shown(&text[..cut], false), &beginning, "known after {}", cut);
            }
        }
        for block in 1..=text.len().min(40) {
            let pieces = read_in_blocks(&format, &text, block).expect("readable");
            prop_assert_eq!(&pieces, &whole, "pieces of {}", block);
        }
    }

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
