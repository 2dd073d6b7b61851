//! Any number of lines at a time gives the same records, rejections, positions and sensors as the reference decoder.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use crate::format::influx::{Influx, InfluxOptions, Precision};
use crate::format::jsonl::UnknownFields;
use crate::format::{Format, Head, testing};

#[derive(Clone, Debug)]
struct Setting {
    options: InfluxOptions,
    max_sensors: usize,
}

fn check(setting: &Setting, text: &[u8]) -> std::result::Result<(), TestCaseError> {
    let format = Influx::new(&setting.options).expect("good options").with_origins(true);
    let head = Head { name: "t.lp", stem: "t", bytes: b"", is_whole: false };
    let schema = Arc::new(format.schema(head).expect("columns"));
    testing::check_lines(format.decoder("t", &schema), text, setting.max_sensors)
}

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|&name| name.to_owned()).collect())
}

fn setting() -> impl Strategy<Value = Setting> {
    let units = vec![Precision::Nanoseconds, Precision::Milliseconds, Precision::Seconds];
    // Numbers, names, times and strings as in typical lines.
    let nulls: [&[&str]; 4] = [&[], &["1"], &["a", "n/a", "0"], &["-5", "cpu,host=a,dc=x", "t"]];
    let nulls = select(nulls.to_vec());
    (any::<[bool; 5]>(), select(units), nulls, select(&[1usize, 3, 1000][..])).prop_map(
        |([ignore, sensor, table, is_named, words], precision, nulls, max_sensors)| {
            let options = InfluxOptions {
                precision,
                sensor: sensor.then(|| "host".into()),
                measurements: names(&["v", "n"]),
                texts: names(&["dc", "state", "free"]),
                table: if table { "table".into() } else { String::new() },
                unknown_fields: if ignore { UnknownFields::Ignore } else { UnknownFields::Reject },
                sensor_name: (is_named && !sensor).then(|| "the one".into()),
                null_values: nulls.iter().map(|&null| null.to_owned()).collect(),
                true_words: if words { names(&["ok", "on"]) } else { None },
                ..InfluxOptions::default()
            };
            Setting { options, max_sensors }
        },
    )
}

/// A line, mostly valid.
fn line() -> impl Strategy<Value = String> {
    let table = select(
        &["cpu", "cpu", "cpu", "mem", "my\\ table", "", "#cpu", " cpu", " #cpu", "\u{e9}", "a=b", "x\\"][..],
    );
    let host = select(
        &["a", "b", "a", "a-long-name-of-a-sensor", "a\\ b", "\u{e9}", "", "a=b", "\"q\"", "tab\t", "a\\\\b"]
            [..],
    );
    let number = prop_oneof![
        6 => (-99_999..99_999i32).prop_map(|v| (f64::from(v) / 1000.0).to_string()),
        2 => (-99_999..99_999i32).prop_map(|v| format!("{v}i")),
        2 => select(&["1u", "-1u", "-0i", "-0", "007", "00i", "1e400", "-1E-5", "1.", ".5", "-", "+1", "NaN", "inf", "t", "\"1\"", "1.5i",
            "\"ok\"", "\"\"", "\"n/a\"", "9223372036854775807i", "9223372036854775808i", "-9223372036854775808i", "18446744073709551615u", "18446744073709551616u",
            "123456789012345678i", "0.1234567890123456789", "9007199254740993i", "1i1", "null", "true", ""][..]).prop_map(str::to_owned),
    ];
    let state = select(
        &[
            "\"ok\"",
            "\" ok \"",
            "\"\"",
            "\"a,b c=d\"",
            "\"\\\"\"",
            "\"\\\\\"",
            "\"a\\b\"",
            "\"open",
            "t",
            "FALSE",
            "true",
            "tru",
            "12i",
            "-1.5",
            "ok",
            "\"x\"y",
        ][..],
    );
    let time = select(
        &[
            " 1700000000000000000",
            " 1700000000000000001",
            " 1700000000",
            " -5",
            " 0",
            "  7",
            " 9223372036854775807",
            " 9223372036854775808",
            " -9223372036854775808",
            " 00000000000000000000000012",
            "",
            " ",
            " 7 ",
            " 7 8",
            " x",
            " 1.5",
            " -",
        ][..],
    );
    let odd = select(&[0u8, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9][..]);
    let end = select(&["\n", "\n", "\n", "\n", "\n", "\n", "\r\n", "\n\n", "\r", "\n# x\n", "\n \t\n"][..]);
    (table, host, number.clone(), number, state, time, odd, end).prop_map(
        |(table, host, v, n, state, time, odd, end)| match odd {
            1 => format!("{table},dc=x,host={host} v={v},n={n}{time}{end}"),
            2 => format!("{table},host={host} n={n}{time}{end}"),
            3 => format!("{table},host={host},host=b v={v}{time}{end}"),
            4 => format!("{table},host={host},unknown=b v={v},more=1{time}{end}"),
            5 => format!("{table} v={v}{time}{end}"),
            6 => format!("{table},v={host} v={v}{time}{end}"),
            7 => format!("{table},n={host} v={v},host=1{time}{end}"),
            8 => format!("{table},host={host},dc=y state={state},free={n}{time}{end}"),
            9 => format!("{table},host={host}{time}{end}"),
            _ => format!("{table},host={host},dc=x v={v},n={n},state={state}{time}{end}"),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn clause_5_line_protocol_that_is_nearly_regular(
        setting in setting(), lines in proptest::collection::vec(line(), 0..30), cut in 0..5usize,
    ) {
        let text = lines.concat();
        check(&setting, &text.as_bytes()[..text.len().saturating_sub(cut)])?;
    }

    #[test]
    fn clause_5_line_protocol_of_several_tables_in_turn(
        setting in setting(), rows in proptest::collection::vec((0..9u8, -99_999..99_999i32, 0..200u8), 1..80), tables in 1..20usize,
    ) {
        // Occasionally a row is odd.
        let row = |(at, &(host, value, odd)): (usize, &(u8, i32, u8))| {
            let value = match odd { 0 => "\"odd\"".to_owned(), 1 => "1i".into(), _ => (f64::from(value) / 100.0).to_string() };
            let tags = ",dc=x".repeat(usize::from(at % tables % 2 == 0));
            let unknown: String = (0..at % tables).map(|n| format!(",u{n}={n}i")).collect();
            format!("t{},host=h{host}{tags} v={value}{unknown} {}\n", at % tables, at * 1_000)
        };
        check(&setting, rows.iter().enumerate().map(row).collect::<String>().as_bytes())?;
    }

    #[test]
    fn clause_5_line_protocol_with_bytes_changed(
        setting in setting(), lines in proptest::collection::vec(line(), 0..30),
        changes in testing::changes(b"\"\\,= #i\t\r\n\x00\x1f\xff\xc3-.0t"),
    ) {
        check(&setting, &testing::changed(lines.concat(), changes))?;
    }

    #[test]
    fn clause_5_any_bytes_are_line_protocol_or_rejects(setting in setting(), text in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&setting, &text)?;
    }
}

#[test]
fn a_comment_behind_blanks_is_no_table() {
    let setting = Setting {
        options: InfluxOptions { measurements: names(&["v"]), texts: names(&[]), ..InfluxOptions::default() },
        max_sensors: 10,
    };
    check(&setting, b"\tt v=1 5\n\tt v=1 5\n\t#t v=1 5\n\tt v=2 6\n").expect("the same");
}

#[test]
fn limits_are_those_of_the_reference() {
    let options =
        InfluxOptions { measurements: names(&["v"]), texts: names(&["w"]), ..InfluxOptions::default() };
    let setting = Setting { options, max_sensors: 10 };
    let field = |len: usize| format!("t v=1,w=\"{}\" 1\n", "x".repeat(len));
    let tag = |len: usize| format!("t,w={} v=1 1\n", "x".repeat(len));
    let wide = |len: usize| format!("t v=1{} 1\n", " ".repeat(len));
    let fields: String = [5, (256 << 10) - 2, (256 << 10) - 1, 5].map(field).concat();
    let tags: String = [5, 256 << 10, (256 << 10) + 1, 5].map(tag).concat();
    let record: String = [1, (1 << 20) - 7, (1 << 20) - 6, 1].map(wide).concat();
    for text in [fields, tags, record] {
        check(&setting, text.as_bytes()).expect("the same");
    }
}
