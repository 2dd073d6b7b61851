//! Messages of every payload, as the records that they become.

use std::borrow::Cow;
use std::time::Duration;

use proptest::prelude::*;
use tidemill_engine::batch::{Batch, Column};
use tidemill_engine::error::{Rejection, Result};
use tidemill_engine::format::columns::ColumnOptions;
use tidemill_engine::sensor::Sensors;
use tidemill_engine::source::{Input, OpenOptions, Source};
use tidemill_engine::time::Timestamp;

use super::*;

/// The options in `toml`.
fn messages(toml: &str) -> Messages {
    let table = tidemill_toml(toml);
    let mut options = tidemill_engine::options::Options::new(table.into_inner(), 0..0);
    let read = Messages::configure(
        &mut options,
        &[Payload::Number, Payload::Json, Payload::Jsonl, Payload::Csv, Payload::Influx, Payload::Senml],
    );
    let diagnostics = options.finish();
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    read.expect("valid options")
}

fn tidemill_toml(text: &str) -> toml::Spanned<toml::de::DeTable<'_>> {
    toml::de::DeTable::parse(text).expect("TOML")
}

/// The envelope of tests: a topic, and its levels `line` and `sensor`.
fn envelope(names: &[&str]) -> Envelope {
    Envelope {
        fields: &["@topic"],
        prefixes: &["@header:"],
        names: names.iter().map(|&name| name.to_owned()).collect(),
        sensor: "@topic",
    }
}

const RECEIVED: Timestamp = Timestamp::from_nanos(1_700_000_000_123_456_789);

/// Messages that are all there at once.
struct All {
    messages: Vec<(&'static str, Vec<u8>)>,
    names: Vec<String>,
}

impl Subscription for All {
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn receive(&mut self, lines: &mut Lines, _wait: Duration) -> Result<Received> {
        for (topic, payload) in self.messages.drain(..) {
            let value = |field: usize| match self.names[field].as_str() {
                "@topic" => Some(Cow::Borrowed(topic)),
                "line" => topic.split('/').next().map(Cow::Borrowed),
                "sensor" => topic.split('/').nth(1).map(Cow::Borrowed),
                _ => None,
            };
            lines.push(&payload, RECEIVED, value);
        }
        Ok(Received::End)
    }

    fn position(&self) -> Result<Option<Vec<u8>>> {
        Ok(Some(b"here".to_vec()))
    }
}

/// The records of these messages, one text each, and the rejections.
fn read(
    messages: &Messages,
    envelope: &Envelope,
    all: &[(&'static str, &[u8])],
) -> (Vec<String>, Vec<Rejection>) {
    let decoding = messages.decoding("test", envelope, &OpenOptions::default()).expect("a decoding");
    let names = decoding.fields.clone();
    let messages = all.iter().map(|&(topic, payload)| (topic, payload.to_vec())).collect();
    let mut source = MessageSource::new(All { messages, names }, Lines::new(decoding, "test", 1 << 20));
    let mut sensors = Sensors::default();
    let (mut records, mut rejections) = (Vec::new(), Vec::new());
    source.begin().expect("begun");
    while let Some(input) = source.next(&mut sensors).expect("input") {
        let decoded = match input {
            Input::Chunk(chunk) => chunk.decode(&mut sensors).expect("decoded"),
            Input::Records(decoded) => decoded,
            _ => continue,
        };
        records.extend((0..decoded.batch.len()).map(|row| text_of(&decoded.batch, row, &sensors)));
        rejections.extend(decoded.rejections);
    }
    (records, rejections)
}

/// `name=value` of every column.
fn text_of(batch: &Batch, row: usize, sensors: &Sensors) -> String {
    let fields = batch.schema().fields().iter().zip(batch.columns());
    let texts = fields.map(|(field, column)| {
        let value = match column {
            Column::Time(times) => times.values[row].to_string(),
            Column::Sensor(ids) => sensors.name(ids[row]).to_owned(),
            Column::Text(spans) => batch
                .text
                .get(spans[row])
                .map_or("null".into(), |text| String::from_utf8_lossy(text).into_owned()),
            numbers => numbers.number(row).map_or("null".into(), |number| number.to_string()),
        };
        format!("{}={value}", field.name)
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn records(toml: &str, names: &[&str], all: &[(&'static str, &[u8])]) -> Vec<String> {
    let (records, rejections) = read(&messages(toml), &envelope(names), all);
    assert!(rejections.is_empty(), "{rejections:?}");
    records
}

const TIME: &str = "2023-11-14T22:13:20.123456789Z";

#[test]
fn a_number_is_a_record_of_the_time_of_arrival_and_the_topic() {
    let out = records("payload = 'number'", &[], &[("plant/t1", b"20.5"), ("plant/t,2", b" 7 ")]);
    assert_eq!(
        out,
        [format!("time={TIME} sensor=plant/t1 value=20.5"), format!("time={TIME} sensor=plant/t,2 value=7")]
    );
    let out =
        records("payload = 'number'\nmeasurements = ['temp']", &["line", "sensor"], &[("l1/t1", b"20.5")]);
    assert_eq!(out, [format!("time={TIME} sensor=t1 line=l1 temp=20.5")]);
}

#[test]
fn fields_of_the_envelope_are_columns_of_objects() {
    let toml = "payload = 'json'\ntime = 't'\nmeasurements = ['a.v']\nfields = ['@topic']\nrename = { '@topic' = 'where' }";
    let one = br#"{ "t": "2026-01-01T00:00:00Z",
        "a": { "v": 1.5 }, "other": [1, 2] }"#;
    let out = records(
        toml,
        &["line", "sensor"],
        &[
            ("l1/s1", one),
            (
                "l1/s\"2",
                br#"[{"t":"2026-01-01T00:00:01Z","a":{"v":2}},{"t":"2026-01-01T00:00:02Z","a":{"v":3}}]"#,
            ),
        ],
    );
    assert_eq!(
        out,
        [
            "line=l1 sensor=s1 where=l1/s1 t=2026-01-01T00:00:00Z a.v=1.5",
            "line=l1 sensor=s\"2 where=l1/s\"2 t=2026-01-01T00:00:01Z a.v=2",
            "line=l1 sensor=s\"2 where=l1/s\"2 t=2026-01-01T00:00:02Z a.v=3",
        ]
        .map(str::to_owned)
        .map(|text| in_order(&text)),
    );
}

/// The same fields in the order of the columns of the test above.
fn in_order(text: &str) -> String {
    let mut parts: Vec<_> = text.split(' ').collect();
    parts.sort_by_key(|part| {
        ["t=", "sensor=", "a.v=", "line=", "where="].iter().position(|name| part.starts_with(name))
    });
    parts.join(" ")
}

#[test]
fn delimited_text_and_line_protocol_have_the_fields_too() {
    let csv = "payload = 'csv'\nnames = ['id', 'v', 'note']\nsensor = '{line}-{id}'\nmeasurements = ['v']";
    let out = records(
        csv,
        &["line"],
        &[("l1/x", b"a,1.5,ok\r\nb,2,\"two\nlines, \"\"quoted\"\"\"\n"), ("l2/x", b"c,3,x")],
    );
    assert_eq!(out.len(), 3);
    assert!(
        out[0].contains("sensor=l1-a") && out[1].contains("sensor=l1-b") && out[2].contains("sensor=l2-c"),
        "{out:?}"
    );
    assert!(out[1].contains("note=two\nlines, \"quoted\""), "{out:?}");
    let influx =
        "payload = 'influx'\nmeasurements = ['v']\ncolumns = []\nsensor = '{line}/{host}'\ntable = ''";
    let out = records(
        influx,
        &["line"],
        &[("l 1/x", b"m,host=a v=1.5 1700000000000000000\n# no record\nm,host=b v=2i")],
    );
    assert!(
        out[0].contains("v=1.5")
            && out[0].contains("sensor=l 1/a")
            && out[0].contains("2023-11-14T22:13:20Z"),
        "{out:?}"
    );
    assert!(out[1].contains("v=2") && out[1].contains(TIME), "{out:?}");
}

#[test]
fn readings_of_senml_are_records() {
    let out = records(
        "payload = 'senml'\nfields = ['@topic']",
        &[],
        &[("x", br#"[{"bn":"dev:","n":"t","u":"Cel","v":20.5},{"n":"l","vs":"on, off"}]"#)],
    );
    assert_eq!(
        out[0],
        format!("@topic=x time={TIME} sensor=dev:t value=20.5 text=null unit=Cel quality=null")
    );
    assert!(out[1].contains("value=null text=on, off"), "{out:?}");
    let (records, rejections) = read(
        &messages("payload = 'senml'"),
        &envelope(&[]),
        &[("x", br#"[{"n":"a","v":1}]"#), ("x", b"[{}]"), ("x", br#"[{"n":"b","v":2}]"#)],
    );
    assert_eq!((records.len(), rejections.len()), (2, 1));
    assert_eq!((rejections[0].raw.as_slice(), rejections[0].position.line), (b"[{}]".as_slice(), 2));
}

#[test]
fn options_that_do_not_fit_are_errors_that_say_so() {
    let error = |toml: &str, names: &[&str]| {
        let decoding = messages(toml).decoding("test", &envelope(names), &OpenOptions::default());
        decoding.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(error("payload = 'json'", &[]).contains("`measurements` must name them"));
    assert!(error("payload = 'csv'\nmeasurements = ['v']", &[]).contains("needs `names`"));
    assert!(error("payload = 'number'\nfields = ['@key']", &[]).contains("`fields` names `@key`"));
    assert!(error("payload = 'number'\ntime = '@sent'", &[]).contains("`time` names `@sent`"));
    assert!(error("payload = 'number'\ntime_format = 'ms'", &[]).contains("`time_format` does not apply"));
    assert!(error("payload = 'number'\nmeasurements = ['a', 'b']", &[]).contains("one measurement"));
    assert_eq!(error("payload = 'number'\nfields = ['@header:site']", &[]), "");
    let columns = ColumnOptions { sensor_name: Some("one".into()), ..ColumnOptions::default() };
    let one = Messages::new(Payload::Number, columns)
        .decoding("test", &envelope(&[]), &OpenOptions::default())
        .expect("valid");
    assert_eq!(one.fields, [ARRIVAL]);
}

#[test]
fn patterns_give_the_levels_of_a_topic() {
    let (pattern, names) = TopicPattern::new("topic", "plant/{line}/+/{sensor}/#", '/').expect("a pattern");
    assert_eq!(names, ["line", "sensor"]);
    assert_eq!(pattern.get("plant/l1/x/s1/more/levels", 1), Some("s1"));
    assert_eq!(
        (pattern.get("plant/l1/x/s1", 0), pattern.get("plant/l1/x", 0), pattern.get("other/l1/x/s1", 0)),
        (Some("l1"), None, None)
    );
    let (exact, _) = TopicPattern::new("subject", "plant.{sensor}", '.').expect("a pattern");
    assert_eq!((exact.get("plant.a", 0), exact.get("plant.a.b", 0)), (Some("a"), None));
    for wrong in ["a/#/b", "a/{}", "a/{x}/{x}", "a/{@x}", "a/b{x}"] {
        assert!(TopicPattern::new("topic", wrong, '/').is_err(), "{wrong}");
    }
}

#[test]
fn a_position_has_the_place_in_the_lines() {
    let decoding = messages("payload = 'number'")
        .decoding("test", &envelope(&[]), &OpenOptions::default())
        .expect("a decoding");
    let all = |messages: Vec<(&'static str, Vec<u8>)>| {
        MessageSource::new(
            All { messages, names: decoding.fields.clone() },
            Lines::new(decoding.clone(), "test", 1 << 20),
        )
    };
    let mut first = all(vec![("a", b"1".to_vec()), ("a", b"x".to_vec())]);
    let mut sensors = Sensors::default();
    let _input = first.next(&mut sensors).expect("input");
    let saved = first.save().expect("saved").expect("a position");
    let mut second = all(vec![("a", b"y".to_vec())]);
    second.restore(&saved).expect("restored");
    assert_eq!(second.offset(), first.offset());
    let Some(Input::Chunk(chunk)) = second.next(&mut sensors).expect("input") else { panic!("a chunk") };
    assert_eq!(chunk.decode(&mut sensors).expect("decoded").rejections[0].position.line, 3);
    for damaged in [&saved[..5], &[], &[9; 40]] {
        assert!(second.restore(damaged).is_err());
    }
}

/// A short message before and after `payload`, which has these levels of its topic: the records of the short ones, and the reasons for which something is rejected.
fn between_others(toml: &str, topic: &'static str, payload: &[u8]) -> (usize, Vec<String>) {
    let good: &[u8] = b"{\"v\": 1}";
    let all: [(&'static str, &[u8]); 3] = [("l/s", good), (topic, payload), ("l/s", good)];
    let (records, rejections) = read(&messages(toml), &envelope(&["line", "sensor"]), &all);
    (records.len(), rejections.into_iter().map(|rejection| rejection.reason).collect())
}

const OBJECTS: &str = "payload = 'jsonl'\nmeasurements = ['v']";

#[test]
fn a_field_that_is_too_long_rejects_its_message_alone() {
    let long: &'static str = format!("{}/s", "x".repeat(1025)).leak();
    let (records, reasons) = between_others(OBJECTS, long, b"{\"v\": 2}\n{\"v\": 3}");
    assert_eq!((records, reasons.len()), (2, 1));
    assert!(reasons[0].contains("the field `line` of the message has 1025 bytes"), "{reasons:?}");
    let longest: &'static str = format!("{}/s", "x".repeat(1024)).leak();
    assert_eq!(between_others(OBJECTS, longest, b"{\"v\": 2}").0, 3);
}

#[test]
fn a_message_of_few_bytes_does_not_become_gigabytes() {
    // 100,000 lines of 3 bytes, each with a field of 1 KB.
    let topic: &'static str = format!("{}/s", "x".repeat(1000)).leak();
    let (lines, array) = ("{}\n".repeat(100_000), format!("[{}]", ["{}"; 100_000].join(",")));
    let json = "payload = 'json'\nmeasurements = ['v']";
    for (toml, payload) in [(OBJECTS, &lines), (json, &array)] {
        let (records, reasons) = between_others(toml, topic, payload.as_bytes());
        assert_eq!((records, reasons.len()), (2, 1), "{toml}");
        assert!(reasons[0].contains("64 MiB more than the message"), "{reasons:?}");
    }
    // A large message that does not grow is read.
    let (records, reasons) = between_others(OBJECTS, "l/s", "{\"v\": 1}\n".repeat(100_000).as_bytes());
    assert_eq!((records, reasons), (100_002, Vec::new()));
}

#[test]
fn a_message_without_a_record_is_counted() {
    for (toml, payload) in [
        ("payload = 'json'\nmeasurements = ['v']", &b"[]"[..]),
        ("payload = 'json'\nmeasurements = ['v']", b""),
        (OBJECTS, b"\n \n"),
        ("payload = 'csv'\nnames = ['v']\nmeasurements = ['v']", b"\n"),
        ("payload = 'senml'", b"[]"),
        ("payload = 'senml'", b"[{\"bn\":\"a\"}]"),
    ] {
        let open = OpenOptions::default();
        let decoding = messages(toml).decoding("test", &envelope(&[]), &open).expect("a decoding");
        let names = decoding.fields.clone();
        let all = All { messages: vec![("x", payload.to_vec())], names };
        let mut source = MessageSource::new(all, Lines::new(decoding, "test", 1 << 20));
        source.begin().expect("begun");
        assert!(source.next(&mut Sensors::default()).expect("input").is_none(), "{toml}");
        assert_eq!(source.remarks(), ["1 messages without a payload were skipped"], "{toml}");
        assert_eq!(open.meter.counter("empty").load(std::sync::atomic::Ordering::Relaxed), 1, "{toml}");
    }
}

#[test]
fn readings_that_are_too_many_are_left_out_and_counted() {
    let decoding = messages("payload = 'senml'").decoding("test", &envelope(&[]), &OpenOptions::default());
    let mut lines = Lines::new(decoding.expect("a decoding"), "test", 1 << 20);
    let long = "x".repeat(1025);
    let reading = Reading { sensor: &long, ..Reading::default() };
    (0..20_000).for_each(|_| lines.push_reading(&reading, RECEIVED, |_| None));
    let (accepted, rejections) = lines.check(usize::MAX).expect("checked");
    assert_eq!((accepted, rejections.len()), (0, 10_001));
    assert!(rejections[10_000].reason.contains("the others are not read"), "{}", rejections[10_000].reason);
    let left_out = "10000 readings were not read: there were too many in their messages";
    assert!(lines.remarks().iter().any(|remark| remark == left_out), "{:?}", lines.remarks());
    lines.push_reading(&Reading { sensor: "good", ..reading }, RECEIVED, |_| None);
    assert_eq!(lines.check(usize::MAX).expect("checked").0, 1);
}

/// A subscription that must not be asked.
struct Absent;

impl Subscription for Absent {
    fn begin(&mut self) -> Result<()> {
        Err(tidemill_engine::error::Error::unavailable("nobody is there"))
    }

    fn receive(&mut self, _lines: &mut Lines, _wait: Duration) -> Result<Received> {
        self.begin().map(|()| Received::End)
    }
}

#[test]
fn repaired_lines_are_read_again_and_nobody_is_asked() {
    let repaired: [&[u8]; 3] = [
        b"{\"line\":\"l1\",\"sensor\":\"s1\",\"@arrival\":\"2026-01-01T00:00:00Z\",\"v\": 1}",
        b"broken",
        b"{\"line\":\"l2\",\"sensor\":\"s2\",\"@arrival\":\"2026-01-01T00:00:00Z\",\"v\": 3}",
    ];
    let letters = Some(repaired.map(<[u8]>::to_vec).to_vec().into());
    let open = OpenOptions { letters, ..OpenOptions::default() };
    let decoding = messages(OBJECTS).decoding("test", &envelope(&["line", "sensor"]), &open);
    // A chunk for each of them.
    let mut source = MessageSource::new(Absent, Lines::new(decoding.expect("a decoding"), "test", 1));
    assert!(source.reads_letters());
    source.begin().expect("begun");
    let (mut sensors, mut records, mut rejections) = (Sensors::default(), Vec::new(), Vec::new());
    while let Some(input) = source.next(&mut sensors).expect("input") {
        let Input::Chunk(chunk) = input else { panic!("a chunk") };
        let decoded = chunk.decode(&mut sensors).expect("decoded");
        records.extend((0..decoded.batch.len()).map(|row| text_of(&decoded.batch, row, &sensors)));
        rejections.extend(decoded.rejections);
    }
    assert_eq!((records.len(), rejections.len()), (2, 1));
    assert!(records[1].contains("sensor=s2") && records[1].contains("line=l2"), "{records:?}");
    assert_eq!((rejections[0].position.line, rejections[0].raw.as_slice()), (2, b"broken".as_slice()));
}

/// Payloads of a stranger: random bytes, and pieces that mean something in one of the formats.
fn strange() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"{\"v\":1}".to_vec()),
        Just(b"{".to_vec()),
        Just(b"}".to_vec()),
        Just(b"[".to_vec()),
        Just(b"]".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b",".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"m v=1".to_vec()),
        Just(b"m,a=b v=\"x".to_vec()),
        Just(b"1.5".to_vec()),
        Just(b"#".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\xff\xfe".to_vec()),
        Just(b"[{\"n\":\"a\",\"v\":1}]".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever a message contains, the ones before and behind it are read as if it were not there, and each of its lines is a record or a rejection.
    #[test]
    fn no_message_harms_another(payload in strange()) {
        let cases: [(&str, &[u8]); 5] = [
            ("payload = 'number'", b"20.5"),
            ("payload = 'json'\nmeasurements = ['v']", b"{\"v\":20.5}"),
            ("payload = 'csv'\nnames = ['v']\nmeasurements = ['v']", b"20.5"),
            ("payload = 'influx'\nmeasurements = ['v']\ncolumns = []\nsensor = '@topic'\ntable = ''", b"m v=20.5"),
            ("payload = 'senml'", b"[{\"n\":\"good\",\"v\":20.5}]"),
        ];
        for (toml, good) in cases {
            let (out, _) = read(&messages(toml), &envelope(&[]), &[("good", good), ("strange", &payload), ("good", good)]);
            let is_good = |record: &&String| record.contains("20.5") && record.contains("=good");
            let found = out.iter().filter(is_good).count();
            prop_assert_eq!(found, 2, "{}: {:?}", toml, out);
            prop_assert!(is_good(&&out[0]) && is_good(&out.last().expect("records")), "{}: {:?}", toml, out);
        }
    }
}

#[test]
fn the_schemas_list_each_option_once() {
    let mut all: Vec<String> = Vec::new();
    for schema in Messages::schemas(&[Payload::Influx]) {
        let own = schema.get("properties").and_then(|own| own.as_object()).expect("options").clone();
        all.extend(own.keys().cloned());
    }
    let mut once = all.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), all.len(), "{all:?}");
    assert!(all.iter().any(|name| name == "missing_time") && all.iter().all(|name| name != "layout"));
}
