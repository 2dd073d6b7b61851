//! Topics and messages of records.

use std::sync::Arc;

use proptest::prelude::*;
use tidemill_engine::batch::{
    Batch, Column, Field, FieldRole, FieldType, Numbers, Schema, Span, Text, TimeColumn,
};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::time::Timestamp;

use tidemill_engine::error::Result;
use tidemill_engine::sink::Prepare;

use super::*;

/// As MQTT has them.
const RULES: Rules = Rules {
    option: "topic",
    separator: '/',
    wildcards: ['+', '#'],
    spaces: true,
    empty_levels: true,
    longest: 65_535,
    example: "plant/{sensor}",
};

/// As NATS has them.
const SUBJECTS: Rules = Rules {
    option: "subject",
    separator: '.',
    wildcards: ['*', '>'],
    spaces: false,
    empty_levels: false,
    ..RULES
};

fn encoder(text: &str, content: Content, column: Option<&str>, schema: &Schema) -> Result<Encoder> {
    Encoder::new(Topic::new(text, RULES, false, schema)?, content, column, schema)
}

fn schema() -> Schema {
    let tag = Field::new("line", FieldRole::Tag, FieldType::Text);
    Schema::new(vec![Field::time("time"), Field::sensor("sensor"), Field::measurement("v"), tag])
        .expect("a schema")
}

/// A record for each sensor and value.
fn records(all: &[(&str, Option<f64>)]) -> (Batch, Sensors) {
    let mut sensors = Sensors::with_limit(9);
    let ids = all.iter().map(|(sensor, _)| sensors.id(sensor).expect("an id")).collect();
    let mut text = Text::default();
    let lines: Vec<Span> = all.iter().map(|_| text.push(b"north\n\"1\"")).collect();
    let values = (0..all.len() as i64).map(Timestamp::from_nanos).collect::<Vec<_>>().into();
    let times = TimeColumn { values, text: Vec::new() };
    let numbers = all.iter().map(|(_, value)| *value).collect::<Numbers<f64>>();
    let columns = vec![Column::Time(times), Column::Sensor(ids), Column::F64(numbers), Column::Text(lines)];
    (Batch::new(Arc::new(schema()), columns, text), sensors)
}

fn messages(text: &str, content: Content, all: &[(&str, Option<f64>)]) -> Vec<(String, String)> {
    let (batch, sensors) = records(all);
    let encoder = encoder(text, content, None, &schema()).expect("options");
    let block = encoder.prepare(&batch, &sensors).expect("a block");
    let bytes = block.downcast::<Vec<u8>>().expect("bytes");
    let message = |message: Result<(&str, &[u8])>| {
        let (topic, payload) = message.expect("a message");
        (topic.to_owned(), String::from_utf8(payload.to_vec()).expect("UTF-8"))
    };
    Outbox(&bytes).map(message).collect()
}

fn topic(text: &str, levels: bool, sensor: &str) -> String {
    written(text, RULES, levels, sensor)
}

fn written(text: &str, rules: Rules, levels: bool, sensor: &str) -> String {
    let (batch, sensors) = records(&[(sensor, None)]);
    let mut out = String::new();
    Topic::new(text, rules, levels, &schema()).expect(text).write(&batch, 0, &sensors, &mut out);
    out
}

#[test]
fn records_are_objects_or_numbers() {
    let made = messages("plant/{sensor}", Content::Json, &[("a", Some(1.5)), ("b", None)]);
    assert_eq!(made[0].0, "plant/a");
    assert_eq!(made[0].1, r#"{"time":"1970-01-01T00:00:00Z","sensor":"a","v":1.5,"line":"north\n\"1\""}"#);
    assert_eq!((made[1].0.as_str(), made.len()), ("plant/b", 2));
    let all = [("a", Some(1.5)), ("b", None), ("c", Some(f64::NAN)), ("d", Some(-2.0))];
    let payloads: Vec<_> =
        messages("a", Content::Number, &all).into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(payloads, ["1.5", "null", "NaN", "-2"]);
}

#[test]
fn names_are_parts_of_levels_unless_they_may_be_more() {
    assert_eq!(topic("plant/{sensor}/{line}", false, "a/+#b\0"), "plant/a___b_/north_\"1\"");
    assert_eq!(topic("plant/{sensor}", true, "a/b"), "plant/a/b");
    assert_eq!(topic("{sensor}", true, "$SYS/x"), "_SYS/x");
    assert_eq!(topic("{sensor}", false, ""), "_");
    assert_eq!(topic("{sensor}", false, &"ü".repeat(40_000)).len(), 65_534);
}

#[test]
fn subjects_have_no_spaces_and_no_empty_levels() {
    let subject = |text, levels, sensor| written(text, SUBJECTS, levels, sensor);
    assert_eq!(subject("plant.{sensor}", false, "a.b c>*"), "plant.a_b_c__");
    assert_eq!(subject("plant.{sensor}", true, ".a..b."), "plant._a._b._");
    assert_eq!(subject("{sensor}", true, "."), "_");
    for wrong in ["", "a..b", ".a", "a.", "a b", "a.>", "a.*"] {
        let error = Topic::new(wrong, SUBJECTS, false, &schema()).expect_err(wrong);
        assert!(error.message().contains("`subject`"), "{error}");
    }
}

#[test]
fn what_is_no_topic_is_a_mistake() {
    for wrong in ["", "a/+", "a/#", "a{", "a}", "{}", "{*}", "{nothing}", "$SYS/{sensor}", "a\0"] {
        let error = Topic::new(wrong, RULES, false, &schema()).expect_err(wrong);
        assert!(error.message().contains("`topic`"), "{error}");
    }
}

#[test]
fn a_number_needs_a_column_of_numbers() {
    let number = |column, schema: &Schema| encoder("a", Content::Number, column, schema);
    assert!(number(Some("v"), &schema()).is_ok());
    for wrong in ["line", "sensor", "w"] {
        let error = number(Some(wrong), &schema()).map(drop).expect_err(wrong);
        assert!(error.message().contains("`column`"), "{error}");
    }
    let two = Schema::new(vec![
        Field::time("time"),
        Field::sensor("s"),
        Field::measurement("v"),
        Field::measurement("w"),
    ])
    .expect("a schema");
    assert!(number(None, &two).is_err());
    assert!(encoder("a", Content::Json, Some("v"), &schema()).is_err());
}

proptest! {
    #[test]
    fn no_name_makes_a_subject_with_an_empty_level(sensor in "[a.>* ]{0,9}", levels in any::<bool>()) {
        let made = written("plant.{sensor}.{line}", SUBJECTS, levels, &sensor);
        prop_assert!(made.split('.').all(|level| !level.is_empty()), "{}", made);
        prop_assert!(!made.contains(['*', '>', ' ']));
    }

    #[test]
    fn no_name_makes_another_topic(sensor in ".{0,20}", levels in any::<bool>()) {
        let made = topic("plant/{sensor}/temp", levels, &sensor);
        prop_assert!(!made.contains(['+', '#', '\0']));
        prop_assert!(made.starts_with("plant/") && made.ends_with("/temp"));
        prop_assert!(levels || made.matches('/').count() == 2, "{}", made);
    }

    #[test]
    fn damaged_messages_are_an_error(bytes in any::<Vec<u8>>()) {
        prop_assert!(Outbox(&bytes).count() <= bytes.len() / 8 + 1);
    }
}
