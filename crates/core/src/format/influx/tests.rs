//! Decoding of line protocol, with the messages that a user sees.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::{Influx, InfluxOptions, Precision};
use crate::batch::Bytes;
use crate::error::Result;
use crate::format::columns::{UnknownColumns, Unpivot};
use crate::format::jsonl::{JsonEncoder, UnknownFields};
use crate::format::{Chunk, Decoded, Encode, Format, Head};
use crate::offset::Offset;
use crate::sensor::Sensors;

/// The decoded content of a file: its columns, its records as JSON, its rejections.
#[derive(Debug, Default, PartialEq)]
struct Read {
    columns: Vec<String>,
    rows: Vec<String>,
    rejections: Vec<String>,
    sensors: Vec<String>,
    lines: u64,
}

/// Decodes a file in pieces that end at `cuts`, ascending, and at its end.
fn read_cut(options: &InfluxOptions, text: &[u8], cuts: &[usize]) -> Result<Read> {
    let format = Influx::new(options)?.with_origins(true);
    let head = Head { name: "a.lp", stem: "a", bytes: text, is_whole: true };
    let schema = Arc::new(format.schema(head)?);
    let bound = format.bind(head, &schema)?;
    let columns =
        schema.fields().iter().map(|field| format!("{}: {}", field.name, field.description())).collect();
    let (mut read, mut sensors) = (Read { columns, ..Read::default() }, Sensors::default());
    let (mut at, mut line) = (bound.skip_bytes, 1);
    for &to in cuts.iter().filter(|&&to| to >= bound.skip_bytes).chain([&text.len()]) {
        let length = bound.decoder.complete(&text[at..to], to == text.len());
        let chunk = Chunk {
            sequence: 0,
            file: "a.lp".into(),
            offset: Offset { file: 0, at: at as u64, line },
            bytes: Bytes::new(text[at..at + length].to_vec()),
            decoder: Arc::clone(&bound.decoder),
            witness: None,
            received: None,
        };
        let Decoded { batch, rejections, lines } = chunk.decode(&mut sensors)?;
        for row in 0..batch.len() {
            let mut json = Vec::new();
            JsonEncoder::new(&schema, None).encode(&batch.take(&[row as u32]), &sensors, &mut json);
            read.rows.push(String::from_utf8_lossy(&json).trim_end().to_owned());
        }
        read.rejections.extend(rejections.iter().map(|rejection| rejection.to_string()));
        (at, line, read.lines) = (at + length, line + lines, read.lines + lines);
    }
    read.sensors = sensors.names().map(str::to_owned).collect();
    Ok(read)
}

fn read(options: &InfluxOptions, text: &str) -> Read {
    read_cut(options, text.as_bytes(), &[]).expect("readable")
}

fn error(options: &InfluxOptions, text: &str) -> String {
    read_cut(options, text.as_bytes(), &[]).expect_err("unreadable").to_string()
}

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|&name| name.to_owned()).collect())
}

/// The tag `host` is the sensor.
fn by_host() -> InfluxOptions {
    InfluxOptions { sensor: Some("host".into()), ..InfluxOptions::default() }
}

const TEXT: &str = "\
# of two tables
cpu,host=a,dc=x usage=0.5,idle=99i 1700000000000000000

mem,host=b free=12u,state=\"say \\\"hi\\\"\",ok=T 1700000000000000001
";

#[test]
fn clause_23_tags_and_fields_are_columns() {
    let read = read(&by_host(), TEXT);
    let columns = [
        "time: time",
        "host: sensor",
        "table: text",
        "dc: text",
        "usage: measurement",
        "idle: i64 measurement",
        "free: u64 measurement",
        "state: text",
        "ok: text",
    ];
    assert_eq!(read.columns, columns);
    assert_eq!(
        read.rows,
        [
            r#"{"time":"1700000000000000000","host":"a","table":"cpu","dc":"x","usage":0.5,"idle":99,"free":null,"state":null,"ok":null}"#,
            r#"{"time":"1700000000000000001","host":"b","table":"mem","dc":null,"usage":null,"idle":null,"free":12,"state":"say \"hi\"","ok":"T"}"#,
        ]
    );
    assert_eq!((read.rejections, read.lines), (Vec::new(), 4));
}

#[test]
fn clause_23_without_a_tag_the_series_is_the_sensor() {
    let options = InfluxOptions { table: String::new(), texts: names(&[]), ..InfluxOptions::default() };
    let options = InfluxOptions { unknown_fields: UnknownFields::Ignore, ..options };
    let read = read(&options, "cpu,host=a,dc=x\\ y v=1 5\nmem v=2 6\n");
    assert_eq!(read.columns, ["time: time", "sensor: sensor", "v: measurement"]);
    assert_eq!(read.sensors, ["cpu,host=a,dc=x\\ y", "mem"]);
}

#[test]
fn clause_23_the_columns_may_be_known_before_there_is_a_line() {
    let options = InfluxOptions { measurements: names(&["v"]), ..by_host() };
    let format = Influx::new(&options).expect("good options");
    let head = Head { name: "socket", stem: "socket", bytes: b"", is_whole: false };
    let columns = |format: &Influx| {
        let schema = format.schema(head).expect("columns");
        schema
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name, field.description()))
            .collect::<Vec<_>>()
    };
    assert_eq!(columns(&format), ["time: time", "host: sensor", "table: text", "v: measurement"]);
    let options = InfluxOptions { texts: names(&["dc"]), ..options };
    let format = Influx::new(&options).expect("good options");
    let all = ["time: time", "host: sensor", "table: text", "dc: text", "v: measurement"];
    assert_eq!(columns(&format), all);
    // If all columns are named, the first lines make no difference.
    assert_eq!(read(&options, "cpu,rack=1 w=1 5\n").columns, all);
    let error = Influx::new(&by_host()).expect("good options").schema(head).expect_err("nothing known");
    assert!(error.to_string().contains("`socket` has no line protocol"), "{error}");
}

#[test]
fn clause_23_timestamps_have_a_unit() {
    let options = |precision| InfluxOptions { precision, ..by_host() };
    for (precision, text, time) in [
        (Precision::Seconds, "1700000000", "2023-11-14T22:13:20Z"),
        (Precision::Milliseconds, "1700000000250", "2023-11-14T22:13:20.250Z"),
        (Precision::Microseconds, "-1", "1969-12-31T23:59:59.999999Z"),
        (Precision::Nanoseconds, "1", "1970-01-01T00:00:00.000000001Z"),
    ] {
        let text = format!("t,host=a v=1 {text}\n");
        let format = Influx::new(&options(precision)).expect("good options");
        let head = Head { name: "a.lp", stem: "a", bytes: text.as_bytes(), is_whole: true };
        let schema = Arc::new(format.schema(head).expect("columns"));
        let chunk = Chunk {
            sequence: 0,
            file: "a.lp".into(),
            offset: Offset::default(),
            bytes: Bytes::new([text.as_bytes(), text.as_bytes()].concat()),
            decoder: format.bind(head, &schema).expect("bound").decoder,
            witness: None,
            received: None,
        };
        let batch = chunk.decode(&mut Sensors::default()).expect("decoded").batch;
        let times = batch.times().expect("times").iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(times, [time, time]);
    }
}

#[test]
fn clause_23_lines_that_do_not_fit_are_rejects() {
    let good = "t,host=a v=1,w=\"x\" 5";
    let cases = [
        ("t,host=a v=1", "column `time`: no timestamp"),
        ("t,host=a v=1 ", "no timestamp"),
        ("t,host=a v=1 99999999999999999999", "is not a time"),
        ("t,host=a v=1 5 6", "\"5 6\" after the fields is not a timestamp"),
        ("t,host=a v=1 now", "\"now\" after the fields is not a timestamp"),
        ("t v=1 5", "column `host`: no sensor"),
        ("t v=1,host=\"a\" 5", "\"a\" is a field; a sensor is a tag"),
        ("t,host=a v=\"1\" 5", "column `v`: \"1\" is not a number"),
        ("t,host=a,v=1 w=\"x\" 5", "column `v`: \"1\" is a tag's value, not a number"),
        ("t,host=a v=NaN 5", "field \"v\": not a number, boolean or quoted string"),
        ("t,host=a v=inf 5", "field \"v\": not a number"),
        ("t,host=a v=9223372036854775808i 5", "field \"v\": not a number"),
        ("t,host=a v=1,v=2 5", "duplicate field \"v\""),
        ("t,host=a,host=b v=1 5", "duplicate tag \"host\""),
        ("t,host=a,rack=1 v=1 5", "unknown tag \"rack\""),
        ("t,host=a x=1 5", "unknown field \"x\""),
        ("t,host=a", "no fields"),
        ("t,host= v=1 5", "empty tag value"),
        (",host=a v=1 5", "empty table name"),
        ("t,host=a v 5", "\" \" in a field key, not escaped with a backslash"),
        ("t,host=a w=\"open 5", "field \"w\": unclosed string"),
        ("t,host=a\\\\ v=1 5", "tag value ends with a backslash"),
    ];
    let options = InfluxOptions { measurements: names(&["v"]), texts: names(&["w"]), ..by_host() };
    for (line, why) in cases {
        let read = read(&options, &format!("{good}\n{line}\n{good}\n"));
        assert_eq!((read.rows.len(), read.rejections.len()), (2, 1), "{line}: {read:?}");
        let rejection = &read.rejections[0];
        let place = format!("a.lp, line 2, byte {}: ", good.len() + 1);
        assert!(rejection.starts_with(&place) && rejection.contains(why), "{line}: {rejection}");
    }
}

#[test]
fn clause_23_a_line_feed_ends_a_record_in_quotes_too() {
    let read =
        read(&by_host(), "t,host=a v=1,w=\"x\" 5\nt,host=a v=1,w=\"x\ny\" 5\nt,host=a v=1,w=\"x\" 5\r\n");
    assert_eq!((read.rows.len(), read.rejections.len(), read.lines), (2, 2, 4));
}

#[test]
fn clause_23_integers_are_rounded_to_the_nearest() {
    let read = read(
        &by_host(),
        "t,host=a v=9007199254740993i 5\nt,host=a v=18446744073709551615u 5\nt,host=a v=-0i 5\n",
    );
    let values: Vec<_> = read.rows.iter().filter_map(|row| row.rsplit(':').next()).collect();
    assert_eq!(values, ["9007199254740992}", "1.8446744073709552e19}", "0}"]);
}

#[test]
fn clause_23_options_that_do_not_fit_say_so() {
    let twice = InfluxOptions { measurements: names(&["host"]), ..by_host() };
    assert!(error(&twice, "").contains("`host` is named twice"));
    assert!(error(&by_host(), "t,hots=a v=1 5\n").contains("did you mean `hots`?"));
    assert!(error(&by_host(), "t,host=a table=1 5\n").contains("has a tag or field `table`"));
    assert!(error(&by_host(), "{\"v\": 1}\n").contains("no line protocol"));
    let series = InfluxOptions::default();
    assert!(error(&series, "t,sensor=a v=1 5\n").contains("sensor = \"sensor\""));
}

/// Lines, valid and broken.
fn nasty() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 20] = [
        b"t,host=a v=1 5\n",
        b"t,host=b v=2.5 6\r\n",
        b"t,host=a",
        b" v=1",
        b",w=\"x\"",
        b" 17",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\"",
        b"\\",
        b"#",
        b",",
        b"=",
        b"\t",
        "\u{e9}".as_bytes(),
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
    ];
    let pieces = proptest::collection::vec(select(pieces.to_vec()), 0..60);
    (any::<bool>(), pieces).prop_map(|(has_bom, pieces)| {
        let bom: &[u8] = if has_bom { b"\xef\xbb\xbf" } else { b"" };
        let mut text = [bom, b"t,host=a v=1,w=\"x\" 5\n", &pieces.concat()].concat();
        text.truncate(200);
        text
    })
}

proptest! {
    #[test]
    fn clause_5_line_protocol_cut_anywhere_is_the_same(text in nasty()) {
        let whole = read_cut(&by_host(), &text, &[]).expect("readable");
        for first in 0..=text.len() {
            let pieces = read_cut(&by_host(), &text, &[first]).expect("readable");
            prop_assert_eq!(&pieces, &whole, "cut at {}", first);
            for second in (first + 1..text.len()).take_while(|_| text.len() <= 60) {
                let pieces = read_cut(&by_host(), &text, &[first, second]).expect("readable");
                prop_assert_eq!(&pieces, &whole, "cut at {} and {}", first, second);
            }
        }
    }
}

#[test]
fn clause_23_a_glob_stands_for_fields_with_numbers_and_takes_no_column_away() {
    let text = "weather,room=a t=1,h=2i,ok=true,note=\"x\" 1\nweather,room=b t=3,h=4i,ok=F,note=\"y\" 2\n";
    let by_room = InfluxOptions { sensor: Some("room".into()), ..InfluxOptions::default() };
    let with = |measurements: &[&str], texts: Option<&[&str]>, unknown_fields| InfluxOptions {
        measurements: names(measurements),
        texts: texts.and_then(names),
        unknown_fields,
        ..by_room.clone()
    };
    for glob in ["*", "t*"] {
        let read = read(&with(&[glob, "h"], None, UnknownFields::Reject), text);
        assert_eq!(read.rejections, [""; 0], "{glob}");
        assert!(
            read.rows[0].contains(r#""table":"weather""#) && read.rows[0].contains(r#""t":1"#),
            "{read:?}"
        );
        assert!(read.columns.contains(&"note: text".into()), "{read:?}");
    }
    let ignore = UnknownFields::Ignore;
    let few = read(&with(&["[th]"], Some(&["n*"]), ignore), text);
    assert_eq!(
        few.columns[3..],
        ["note: text", "t: measurement", "h: i64 measurement"].map(String::from).to_vec()[..]
    );
    // Booleans are measurements if their field is named; strings are not. If the columns are known before the first record, they are f64.
    let ok = read(&with(&["ok", "t"], Some(&[]), ignore), text);
    assert!(ok.rows[0].contains(r#""ok":1"#) && ok.rows[1].contains(r#""ok":0"#), "{ok:?}");
    let string = read(&with(&["t"], Some(&[]), ignore), "weather,room=a t=\"true\" 1\n");
    assert!(string.rejections[0].contains("\"true\" is not a number"), "{string:?}");
}

#[test]
fn what_no_record_has_is_said() {
    let text = "weather,room=a t=1,h=2i 1\n";
    let remarks = |measurements: &[&str], texts: Option<&[&str]>| {
        let options = InfluxOptions {
            measurements: names(measurements),
            texts: texts.and_then(names),
            unknown_fields: UnknownFields::Ignore,
            ..InfluxOptions::default()
        };
        let format = Influx::new(&options).expect("good options");
        let head = Head { name: "a.lp", stem: "a", bytes: text.as_bytes(), is_whole: true };
        format.schema(head).expect("columns");
        format.columns().remarks()
    };
    assert_eq!(
        remarks(&["tt"], Some(&["room"])),
        ["`tt` in `measurements` is not a tag or field of the first records"]
    );
    assert_eq!(
        remarks(&["t"], Some(&["rom"])),
        ["`rom` in `texts` is not a tag or field of the first records"]
    );
    assert_eq!(
        remarks(&["x*"], None),
        ["`x*` in `measurements` matches no numeric field of the first records"]
    );
    assert_eq!(remarks(&["t", "h"], Some(&["room"])), [""; 0]);
}

#[test]
fn clause_1_a_sensor_is_put_together_from_tags_and_the_table() {
    let by = |sensor: &str| InfluxOptions { sensor: Some(sensor.into()), ..InfluxOptions::default() };
    let text = "cpu,host=a,dc=x v=1 1\nmem,dc=y,host=b\\ c v=2 2\ncpu,host=a v=3 3\ncpu,host=a,dc=x v=4 4\ncpu,host=a v=5,dc=1 5\n";
    let found = read(&by("{table}/{host}.{dc}"), text);
    assert_eq!(found.columns, ["time: time", "sensor: sensor", "v: measurement"]);
    assert_eq!(found.sensors, ["cpu/a.x", "mem/b c.y"]);
    assert_eq!(found.rows.len(), 3);
    assert!(found.rejections[0].contains("no sensor: `dc` is missing"), "{found:?}");
    assert!(found.rejections[1].contains("\"1\" is a field; a sensor is a tag"), "{found:?}");
    let found = read(&by("{host}-1"), text);
    assert_eq!(found.columns[..3], ["time: time", "sensor: sensor", "table: text"]);
    assert_eq!(found.sensors, ["a-1", "b c-1"]);
    assert!(error(&by("{hots}-1"), text).contains("did you mean `host`?"));
    assert!(error(&by("{host"), text).contains("a `{` is not closed"));
    let known = InfluxOptions { measurements: names(&["v"]), texts: names(&[]), ..by("{host}.{table}") };
    assert_eq!(read(&known, "").columns, ["time: time", "sensor: sensor", "v: measurement"]);
    let twice = InfluxOptions { texts: names(&["host"]), ..known };
    assert!(error(&twice, "").contains("`host` is named twice"));
}

#[test]
fn clause_1_the_sensor_is_what_the_options_or_the_file_are_called() {
    let named = InfluxOptions { sensor_name: Some("press".into()), ..InfluxOptions::default() };
    let found = read(&named, TEXT);
    assert_eq!(found.sensors, ["press"]);
    assert_eq!(found.columns[1..4], ["sensor: sensor", "table: text", "host: text"]);
    let both = InfluxOptions { sensor: Some("host".into()), ..named };
    assert!(error(&both, TEXT).contains("`sensor` and `sensor_name` are mutually exclusive"));
    let of_file = Influx::new(&InfluxOptions::default()).expect("good").with_sensors_of_files();
    assert!(of_file.names_sensors_after_files());
    let of_tag = Influx::new(&by_host()).expect("good").with_sensors_of_files();
    assert!(!of_tag.names_sensors_after_files());
}

#[test]
fn clause_2_values_that_are_missing_and_words_are_for_the_options_to_say() {
    let options = InfluxOptions {
        measurements: names(&["v"]),
        null_values: ["-999", "n/a", "none", "7"].map(str::to_owned).to_vec(),
        true_words: names(&["on"]),
        false_words: names(&["off"]),
        texts: names(&["w"]),
        ..by_host()
    };
    let values = [
        ("-999", "null"),
        ("-999i", "null"),
        ("-9.99e2", "null"),
        ("7u", "null"),
        ("\"n/a\"", "null"),
        ("\"\"", "null"),
        ("\"On\"", "1"),
        ("\"off\"", "0"),
        ("t", "1"),
        ("FALSE", "0"),
        ("-998i", "-998"),
    ];
    for (value, want) in values {
        // As the first of its kind, and as one of many.
        let line = format!("t,host=a v={value},w=\"n/a\" 5\n");
        let found = read(&options, &line.repeat(3));
        let row = format!(r#"{{"time":"5","host":"a","table":"t","w":"n/a","v":{want}}}"#);
        assert_eq!((found.rows, found.rejections), (vec![row; 3], Vec::new()), "{value}");
    }
    let refused = [
        ("t,host=a v=\"1\" 5", "\"1\" is not a number"),
        ("t,host=a v=\"true\" 5", "\"true\" is not a number"),
        ("t,host=none v=1 5", "column `host`: no sensor"),
        ("t,host=a v=1 7", "column `time`: no timestamp"),
    ];
    for (line, why) in refused {
        let found = read(&options, &format!("t,host=a v=1 5\n{}", format!("{line}\n").repeat(2)));
        assert_eq!((found.rows.len(), found.rejections.len()), (1, 2), "{line}: {found:?}");
        assert!(found.rejections.iter().all(|rejection| rejection.contains(why)), "{line}: {found:?}");
    }
    // Without the options, strings are neither words nor nulls.
    let plain = InfluxOptions { measurements: names(&["v"]), ..by_host() };
    assert!(read(&plain, "t,host=a v=\"on\" 5\n").rejections[0].contains("\"on\" is not a number"));
}

#[test]
fn clause_2_fields_of_nothing_but_words_are_measurements_where_the_options_name_the_words() {
    let text = "t,host=a state=\"on\",v=\"n/a\",w=\"x\" 1\nt,host=a state=\"OFF\",v=2,w=\"on\" 2\n";
    assert_eq!(read(&by_host(), text).columns[3..], ["state: text", "v: text", "w: text"]);
    let words = InfluxOptions { true_words: names(&["on"]), false_words: names(&["off"]), ..by_host() };
    let options = InfluxOptions { null_values: vec!["n/a".into()], ..words };
    let found = read(&options, text);
    assert_eq!(found.columns[3..], ["state: measurement", "v: measurement", "w: text"]);
    assert_eq!(found.rows[0], r#"{"time":"1","host":"a","table":"t","state":1,"v":null,"w":"x"}"#);
}

#[test]
fn clause_1_measurements_become_sensors_that_still_say_whose_they_are() {
    let unpivot = |sensor: &str| Some(Unpivot { sensor: sensor.into(), ..Unpivot::default() });
    let options = InfluxOptions { measurements: names(&["*"]), ..InfluxOptions::default() };
    let check = |options: InfluxOptions| Influx::new(&options).and_then(|format| format.check_unpivot());
    let series = check(InfluxOptions { unpivot: unpivot("{column}"), ..options.clone() });
    assert!(series.expect_err("mixed").to_string().contains("would get the same name"));
    let of_tag =
        check(InfluxOptions { sensor: Some("host".into()), unpivot: unpivot("{column}"), ..options.clone() });
    assert!(of_tag.expect_err("mixed").to_string().contains("would get the same name"));
    check(InfluxOptions { unpivot: unpivot("{sensor}.{column}"), ..options.clone() }).expect("told apart");
    let one = InfluxOptions { sensor_name: Some("x".into()), unpivot: unpivot("{column}"), ..options };
    check(one).expect("one sensor");
}

#[test]
fn columns_of_the_first_file_alone_have_no_meaning_where_records_name_their_fields() {
    let options = InfluxOptions { unknown_columns: UnknownColumns::Ignore, ..by_host() };
    assert!(error(&options, TEXT).contains("has no meaning for line protocol"));
}

#[test]
fn some_tags_and_fields_are_read_and_called_otherwise_and_the_others_do_not_matter() {
    let text = "air,room=a,by=x Temp=1.5,hum=40 1\nair,room=b Temp=2,odd=\"y\",hum=\"?\" 2\nair,room=a Temp=3,late=t 3\n";
    let options = InfluxOptions {
        sensor: Some("room".into()),
        measurements: names(&["temp"]),
        columns: names(&["b*"]),
        rename: [("Temp".to_owned(), "temp".to_owned())].into_iter().collect(),
        ..InfluxOptions::default()
    };
    let found = read(&options, text);
    assert_eq!(found.columns, ["time: time", "room: sensor", "by: text", "temp: measurement"]);
    assert_eq!(found.rejections, [""; 0]);
    assert_eq!(found.rows[1], "{\"time\":\"2\",\"room\":\"b\",\"by\":null,\"temp\":2}");
    assert_eq!(found.rows.len(), 3);
    let named = read(&InfluxOptions { columns: names(&[]), measurements: None, ..options.clone() }, text);
    assert_eq!(named.columns, ["time: time", "room: sensor"]);
    let both = InfluxOptions { texts: names(&[]), ..options };
    assert!(error(&both, text).contains("`columns` and `texts` are mutually exclusive"));
}
