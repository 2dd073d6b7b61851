//! Line protocol compared with a published parser, the crate `influxdb-line-protocol`: both accept the same lines, with the same values,
//! and reject the same lines. Each exception is narrow and explained here.

use influxdb_line_protocol::{FieldValue, ParsedLine, parse_lines};
use proptest::prelude::*;
use proptest::sample::select;

use super::line::{Line, blanks, parse};
use crate::batch::Number;

/// The content of a line as text: its table, tags, fields and time.
type Said = (String, Vec<(String, String)>, Vec<(String, String)>, Option<i64>);

fn by_published(line: &ParsedLine<'_>) -> Said {
    let tags = line.series.tag_set.iter().flatten();
    let tags = tags.map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let said = |value: &FieldValue<'_>| match value {
        FieldValue::I64(value) => number(Number::I64(*value)),
        FieldValue::U64(value) => number(Number::U64(*value)),
        FieldValue::F64(value) => number(Number::F64(*value)),
        FieldValue::String(text) => format!("text {text}"),
        FieldValue::Boolean(_) => "boolean".to_owned(),
    };
    let fields = line.field_set.iter().map(|(key, value)| (key.to_string(), said(value))).collect();
    (line.series.measurement.to_string(), tags, fields, line.timestamp)
}

fn number(value: Number) -> String {
    match value {
        Number::F64(value) => format!("number {:x}", value.to_bits()),
        integer => format!("{integer:?}"),
    }
}

fn by_us(text: &[u8], line: &Line<'_>) -> Said {
    let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let tags = line.tags.iter().map(|(key, value)| (string(&key.content), string(&value.content))).collect();
    let fields = line.fields.iter().map(|(key, value)| {
        let said = match value.number {
            Some(value) => number(value),
            None if text[value.text.place.start] == b'"' => format!("text {}", string(&value.text.content)),
            None => "boolean".to_owned(),
        };
        (string(&key.content), said)
    });
    let time = line.time.clone().map(|time| string(&text[time]).parse().expect("a number of 64 bits"));
    (string(&line.table.content), tags, fields.collect(), time)
}

/// The published parser accepts unescaped commas in keys, unescaped equals signs in tag values, and one comma after the only field,
/// contrary to the published syntax; here such a line is rejected.
fn is_lax(said: &Said, text: &str, why: &str) -> bool {
    let (_, tags, fields, _) = said;
    let has_comma = tags.iter().chain(fields).any(|(key, _)| key.contains(','));
    let has_equals = tags.iter().any(|(_, value)| value.contains('='));
    let ends_in_comma = fields.len() == 1 && (text.ends_with(',') || text.contains(", "));
    has_comma && why.starts_with("\",\" in a ")
        || has_equals && why.starts_with("\"=\" in a tag value")
        || ends_in_comma && why.contains("field key")
}

fn check(text: &str) -> std::result::Result<(), TestCaseError> {
    let is_record = !matches!(text.as_bytes().get(blanks(text.as_bytes())), None | Some(b'#'));
    let published = parse_lines(text).next();
    prop_assert_eq!(published.is_some(), is_record, "{:?}", text);
    let Some(published) = published else { return Ok(()) };
    let ours = parse(text.as_bytes()).map_err(|refusal| refusal.reason);
    match (published.map(|line| by_published(&line)), ours) {
        (Ok(published), Ok(ours)) => prop_assert_eq!(by_us(text.as_bytes(), &ours), published, "{:?}", text),
        (Ok(published), Err(why)) => {
            prop_assert!(is_lax(&published, text, &why), "refused {:?}: {}", text, why)
        }
        // A line may have trailing spaces and no time, or a time that overflows: both are rejected later, as a record.
        (Err(_), Ok(ours)) => {
            let is_too_long = |time: &str| time.parse::<i64>().is_err();
            let is_bad_time = ours.time.clone().is_none_or(|time| is_too_long(&text[time]));
            prop_assert!(is_bad_time, "taken {:?}", text);
        }
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

#[test]
fn lines_of_the_published_reference_are_read_alike() {
    let lines = [
        "myMeasurement,tag1=value1,tag2=value2 fieldKey=\"fieldValue\" 1556813561098000000",
        "myMeasurement fieldKey=-1.234456e+78 1",
        "myMeasurement fieldKey=12485903i,other=18446744073709551615u",
        "my\\ Measurement fieldKey=\"string value\"",
        "myMeasurement fieldKey=\"\\\"string\\\" within a string\"",
        "myMeasurement,tag\\ Key1=tag\\ Value1,tag\\ Key2=tag\\ Value2 fieldKey=100",
        "myMeasurement,tagKey=\u{1f36d} fieldKey=\"Launch \u{1f680}\" 1556813561098000000",
        "# a comment",
        "m,t=\\\\ v=1",
        "m,t=a\\\\\\ b v=1",
        "m,t=\\a v=\"\\\\\\\\\"",
    ];
    lines.iter().try_for_each(|line| check(line)).expect("alike");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn line_protocol_is_read_as_by_the_published_parser(pieces in proptest::collection::vec(select(&[
        "m", "cpu", ",", ",", "=", "=", " ", " ", "a", "b=", "\\", "\\ ", "\\,", "\\=", "\"", "\"text\"", "\\\"", "1", "-", "12i", "3u", "1.5",
        "e5", "E-2", ".", "t", "true", "FALSE", " 17", " 1700000000000000000", "#", "\t", "\0", "\u{e9}", "f=1", " f=1", ",host=a", "i", "u",
    ][..]), 0..16)) {
        check(&pieces.concat())?;
    }

    #[test]
    fn line_protocol_that_is_good_is_read_as_by_the_published_parser(
        table in name(), tags in proptest::collection::vec((name(), name()), 0..4), fields in proptest::collection::vec((name(), value()), 1..4),
        time in proptest::option::of(any::<i64>()), spaces in " {1,2}", end in " {0,2}",
    ) {
        let tags: String = tags.iter().map(|(key, value)| format!(",{key}={value}")).collect();
        let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let time = time.map(|time| format!("{spaces}{time}{end}")).unwrap_or_default();
        check(&format!("{table}{tags}{spaces}{}{time}", fields.join(",")))?;
    }
}

fn name() -> &'static str {
    "([a-z0-9\"\u{e9}_.]|\\\\[ ,=\\\\a]){1,6}"
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|value| format!("{value}i")),
        any::<u64>().prop_map(|value| format!("{value}u")),
        any::<f64>()
            .prop_filter("a number", |value| value.is_finite())
            .prop_map(|value| format!("{value:e}")),
        "-?[0-9]{1,20}([.][0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        "\"([a-z ,=#\u{e9}]|\\\\[\"\\\\a]){0,8}\"",
        select(&["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"][..])
            .prop_map(str::to_owned),
    ]
}
