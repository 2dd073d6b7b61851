//! Any number of lines at a time gives the same records, rejections, positions and sensors as the reference decoder.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use crate::format::columns::ColumnOptions;
use crate::format::jsonl::{JsonLines, JsonOptions, UnknownFields};
use crate::format::{Format, Head, testing};

#[derive(Clone, Debug)]
struct Setting {
    options: JsonOptions,
    columns: ColumnOptions,
    max_sensors: usize,
}

fn check(setting: &Setting, text: &[u8]) -> std::result::Result<(), TestCaseError> {
    let format = JsonLines::new(&setting.options, &setting.columns).expect("good options").with_origins(true);
    // The columns must not depend on the lines to be decoded.
    let head =
        Head { name: "t.jsonl", stem: "stem", bytes: &[HEAD.as_bytes(), text].concat(), is_whole: true };
    let schema = Arc::new(format.schema(Head { bytes: HEAD.as_bytes(), ..head }).expect("columns"));
    testing::check_lines(format.decoder(head, &schema), text, setting.max_sensors)
}

/// All columns.
const HEAD: &str = "{\"t\":\"2026-01-01T00:00:00Z\",\"s\":\"a\",\"v\":1,\"w\":\"x\",\"n\":{\"x\":\"\"}}\n";

fn setting() -> impl Strategy<Value = Setting> {
    (any::<[bool; 4]>(), select(&[1usize, 3, 1000][..])).prop_map(
        |([ignore, time, sensor, nulls], max_sensors)| {
            let unknown_fields = if ignore { UnknownFields::Ignore } else { UnknownFields::Reject };
            let columns = ColumnOptions {
                time: time.then(|| "t".into()),
                sensor: sensor.then(|| "s".into()),
                measurements: Some(vec!["v".into()]),
                null_values: if nulls { vec!["-999".into(), "b".into()] } else { Vec::new() },
                ..ColumnOptions::default()
            };
            Setting {
                options: JsonOptions { unknown_fields, ..JsonOptions::default() },
                columns,
                max_sensors,
            }
        },
    )
}

/// The fields of a line as key and value, mostly valid.
fn fields() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let time = select(
        &[
            "\"2026-01-01T00:00:00Z\"",
            "\"2026-01-01T00:00:00.250Z\"",
            "\" 2026-02-01 00:00:07+01:00\"",
            "\"\"",
            "null",
            "7",
            "\"2026-01-01T00:00:0\\u0030Z\"",
        ][..],
    );
    let sensor = select(
        &[
            "\"a\"",
            "\"b\"",
            "\"a\"",
            "\"long-name-of-a-sensor\"",
            "\" a \"",
            "\"\"",
            "null",
            "true",
            "-12",
            "\"é\"",
            "\"a\\\"b\"",
            "\"a\\/b\"",
            "\"\\u0061\"",
            "\"\\u0020a\\t\"",
            "\"long\\u002dname-of-a-sensor\"",
            "\"\\u00e9\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
        ][..],
    );
    let value = prop_oneof![
        6 => (-99_999..99_999i32).prop_map(|v| (f64::from(v) / 1000.0).to_string()),
        2 => select(&["null", "-999", "\"1.5\"", "\"NaN\"", "1e400", "-1E-5", "\" 3.5 \"", "01", "1.", ".5", "-", "\"x\"", "true", "[1]", "0.1234567890123456789", "\"\"", "\"1\\u002e5\""][..]).prop_map(str::to_owned),
    ];
    let text = select(
        &[
            "\"w\"",
            "\" w \"",
            "\"\"",
            "null",
            "false",
            "1.50",
            "{\"x\":\"}\"}",
            "\"tab\\t\"",
            "\"\\\\ \\\" \\u20ac\"",
            "\"\\u0000\"",
            "\"\\ude00\"",
            "\"\\x\"",
            "\"line\tend\"",
            "\"é\"",
            "\"b\"",
        ][..],
    );
    let odd = select(&[0u8, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12][..]);
    (time, sensor, value, text, odd).prop_map(|(t, s, v, w, odd)| {
        let mut fields = vec![("t", t.to_owned()), ("s", s.to_owned()), ("v", v), ("w", w.to_owned())];
        match odd {
            1 => fields.swap(0, 2),
            2 => drop(fields.remove(2)),
            3 => drop(fields.pop()),
            4 => fields.push(("v", "1".into())),
            5 => fields.push(("unknown", "\"x\"".into())),
            6 => drop(fields.remove(0)),
            7 => fields.push(("n", "{\"x\":1}".into())),
            8 => fields.push(("n.x", "\"literal\"".into())),
            9 => fields.extend([("n", "{\"x\":1}".into()), ("n.x", "2".into())]),
            10 => fields.push(("n", "null".into())),
            11 => fields[2].0 = "\\u0076",
            12 => fields[3].0 = "w\\",
            _ => {}
        }
        fields
    })
}

/// A line with whitespace in several styles.
fn line((fields, blanks, end): (Vec<(&str, String)>, u8, &str)) -> String {
    let (colon, comma) = [(":", ","), (": ", ", "), ("\t:", ",  ")][usize::from(blanks)];
    let fields: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\"{colon}{value}")).collect();
    format!("{{{}}}{end}", fields.join(comma))
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let ends =
        select(&["\n", "\n", "\n", "\n", "\n", "\n", "\r\n", "\r", " \n", "\n\n", "}\n", ",\n", ""][..]);
    let blanks = select(&[0u8, 0, 0, 0, 0, 0, 1, 2][..]);
    proptest::collection::vec((fields(), blanks, ends).prop_map(line), 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn clause_5_json_lines_that_are_nearly_regular(setting in setting(), lines in lines(), cut in 0..5usize) {
        let text = lines.concat();
        check(&setting, &text.as_bytes()[..text.len().saturating_sub(cut)])?;
    }

    #[test]
    fn clause_5_json_lines_that_are_regular(
        setting in setting(), rows in proptest::collection::vec((0..9u8, -99_999..99_999i32, 0..200u8), 1..60), end in select(&["\n", "\r\n"][..]),
    ) {
        // Occasionally a row is odd.
        let row = |&(sensor, value, odd): &(u8, i32, u8)| {
            let value = match odd { 0 => "\"odd\"".to_owned(), 1 => "null".to_owned(), 2 => "\"1\\n\"".into(), _ => (f64::from(value) / 100.0).to_string() };
            format!("{{\"t\": \"2026-01-01T00:00:00.000Z\", \"s\": \"temp-{sensor}\", \"v\": {value}, \"w\": \"w\"}}{end}")
        };
        check(&setting, rows.iter().map(row).collect::<String>().as_bytes())?;
    }

    #[test]
    fn clause_5_json_lines_with_escapes_in_every_string(
        setting in setting(), rows in proptest::collection::vec((0..9u8, -99_999..99_999i32, 0..200u8), 1..60),
    ) {
        // A record has a field that is ignored or unknown; occasionally a string is odd.
        let row = |&(sensor, value, odd): &(u8, i32, u8)| {
            let (name, text) = match odd { 0 => ("", "\\ud800"), 1 => ("\\u0", "w"), 2..50 => ("temp", "w"), _ => ("te\\u006dp\\/", "\\\"w\\\" \\\\ \\u00e9") };
            format!("{{\"\\u0074\":\"2026-01-01T00:00:00.000Z\",\"s\":\"{name}{sensor}\",\"v\":{value},\"w\":\"{text}\",\"n\":\"\\n\"}}\n")
        };
        check(&setting, rows.iter().map(row).collect::<String>().as_bytes())?;
    }

    #[test]
    fn clause_5_json_lines_with_bytes_changed(
        setting in setting(), lines in lines(), changes in testing::changes(b"\"\\{}[]:,0-.e \t\r\n\x00\x1f\xff\xc3n"),
    ) {
        check(&setting, &testing::changed(lines.concat(), changes))?;
    }
}

#[test]
fn limits_are_those_of_the_reference() {
    let columns = ColumnOptions { measurements: Some(vec!["v".into()]), ..ColumnOptions::default() };
    let setting = Setting { options: JsonOptions::default(), columns, max_sensors: 10 };
    let line = |len: usize| format!("{{\"v\":1,\"w\":\"{}\"}}\n", "x".repeat(len));
    let wide = |len: usize| format!("{{\"v\":1{},\"w\":\"x\"}}\n", " ".repeat(len));
    let field: String = [5, (256 << 10) - 2, (256 << 10) - 1, 5].map(line).concat();
    let record: String = [1, (1 << 20) - 15, (1 << 20) - 14, 1].map(wide).concat();
    check(&setting, field.as_bytes()).expect("the same");
    check(&setting, record.as_bytes()).expect("the same");
}
