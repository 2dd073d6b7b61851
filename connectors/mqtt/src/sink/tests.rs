//! Topics and messages of records.

use proptest::prelude::*;
use tidemill_engine::batch::{Batch, Column, Field, FieldRole, FieldType, Numbers, Span, Text, TimeColumn};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::time::Timestamp;

use super::topic::Topic;
use super::*;

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

fn messages(options: &Publication, all: &[(&str, Option<f64>)]) -> Vec<(String, String)> {
    let (batch, sensors) = records(all);
    let encoder = Encoder::new(options, &schema()).expect("options");
    let block = encoder.prepare(&batch, &sensors).expect("a block");
    let bytes = block.downcast::<Vec<u8>>().expect("bytes");
    let message = |message: Result<(&str, &[u8])>| {
        let (topic, payload) = message.expect("a message");
        (topic.to_owned(), String::from_utf8(payload.to_vec()).expect("UTF-8"))
    };
    Encoded(&bytes).map(message).collect()
}

fn topic(text: &str, slashes: bool, sensor: &str) -> String {
    let (batch, sensors) = records(&[(sensor, None)]);
    let mut out = String::new();
    Topic::new(text, slashes, &schema()).expect(text).write(&batch, 0, &sensors, &mut out);
    out
}

#[test]
fn records_are_objects_or_numbers() {
    let json = Publication::new("plant/{sensor}");
    let made = messages(&json, &[("a", Some(1.5)), ("b", None)]);
    assert_eq!(made[0].0, "plant/a");
    assert_eq!(made[0].1, r#"{"time":"1970-01-01T00:00:00Z","sensor":"a","v":1.5,"line":"north\n\"1\""}"#);
    assert_eq!((made[1].0.as_str(), made.len()), ("plant/b", 2));
    let number = Publication { payload: Content::Number, ..json };
    let all = [("a", Some(1.5)), ("b", None), ("c", Some(f64::NAN)), ("d", Some(-2.0))];
    let payloads: Vec<_> = messages(&number, &all).into_iter().map(|(_, payload)| payload).collect();
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
fn what_is_no_topic_is_a_mistake() {
    for wrong in ["", "a/+", "a/#", "a{", "a}", "{}", "{*}", "{nothing}", "$SYS/{sensor}", "a\0"] {
        let error = Topic::new(wrong, false, &schema()).expect_err(wrong);
        assert!(error.message().contains("`topic`"), "{error}");
    }
}

#[test]
fn a_number_needs_a_column_of_numbers() {
    let number = |column: Option<&str>| Publication {
        payload: Content::Number,
        column: column.map(str::to_owned),
        ..Publication::new("a")
    };
    assert!(Encoder::new(&number(Some("v")), &schema()).is_ok());
    for wrong in ["line", "sensor", "w"] {
        let error = Encoder::new(&number(Some(wrong)), &schema()).map(drop).expect_err(wrong);
        assert!(error.message().contains("`column`"), "{error}");
    }
    let two = Schema::new(vec![
        Field::time("time"),
        Field::sensor("s"),
        Field::measurement("v"),
        Field::measurement("w"),
    ])
    .expect("a schema");
    assert!(Encoder::new(&number(None), &two).is_err());
    assert!(
        Encoder::new(&Publication { column: Some("v".into()), ..Publication::new("a") }, &schema()).is_err()
    );
}

proptest! {
    #[test]
    fn no_name_makes_another_topic(sensor in ".{0,20}", slashes in any::<bool>()) {
        let made = topic("plant/{sensor}/temp", slashes, &sensor);
        prop_assert!(!made.contains(['+', '#', '\0']));
        prop_assert!(made.starts_with("plant/") && made.ends_with("/temp"));
        prop_assert!(slashes || made.matches('/').count() == 2, "{}", made);
    }

    #[test]
    fn damaged_messages_are_an_error(bytes in any::<Vec<u8>>()) {
        prop_assert!(Encoded(&bytes).count() <= bytes.len() / 8 + 1);
    }
}
