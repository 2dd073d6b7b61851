//! Decoding of JSON, clause by clause.

use std::sync::Arc;

use proptest::prelude::*;

use super::columns::{ColumnOptions, Decimal};
use super::jsonl::{JsonLayout, JsonLines, JsonOptions, UnknownFields};
use super::tests::{chunk, json, named, read, read_cut, read_in_blocks};
use super::{Format, Head};
use crate::sensor::Sensors;

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
        let options = JsonOptions { layout: JsonLayout::Values, unfold, ..JsonOptions::default() };
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
        let layout = if is_auto { JsonLayout::Auto } else { JsonLayout::Values };
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
}
