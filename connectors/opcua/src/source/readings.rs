//! Values as readings.

use std::borrow::Cow;

use opcua::types::{StatusCode, StatusCodeInfoType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_connect::message::{Envelope, Lines, Reading};
use tidemill_engine::time::Timestamp;

use crate::nodes::Node;
use crate::value::{Content, Measured, code, severity};

/// What becomes of a value whose status is Bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bad {
    /// The record has no value.
    #[default]
    Null,
    /// The record is rejected.
    Reject,
    /// The record has the value that the server sends along, if it does.
    Keep,
}

/// A field of the envelope.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    Node,
    Path,
    Name,
    Status,
    Low,
    High,
    /// A level with this name.
    Level(String),
}

impl Field {
    fn of(name: &str) -> Self {
        match name {
            "@node" => Self::Node,
            "@path" => Self::Path,
            "@name" => Self::Name,
            "@status" => Self::Status,
            "@low" => Self::Low,
            "@high" => Self::High,
            level => Self::Level(level.to_owned()),
        }
    }

    fn value<'n>(&self, node: &'n Node, status: StatusCode) -> Option<Cow<'n, str>> {
        let text = match self {
            Self::Node => Some(node.written.as_str()),
            Self::Path => Some(node.path.as_str()),
            Self::Name => Some(node.name.as_str()),
            Self::Status => return Some(code(status)),
            Self::Low => node.low.as_deref(),
            Self::High => node.high.as_deref(),
            Self::Level(name) => node.level(name),
        };
        text.map(Cow::Borrowed)
    }
}

/// The fields that values have besides those of readings; `names` are those of levels.
pub(super) fn envelope(names: Vec<String>) -> Envelope {
    let fields = &["@node", "@path", "@name", "@status", "@low", "@high"];
    Envelope { fields, prefixes: &[], names, sensor: "@path" }
}

/// Writes values as readings, and counts what is special about them.
pub(super) struct Readings {
    fields: Vec<Field>,
    bad: Bad,
    counts: Counts,
}

/// For the remarks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    bad: u64,
    overflows: u64,
}

impl Readings {
    /// `fields` are those that lines ask for, in their order.
    pub(super) fn new(fields: &[String], bad: Bad) -> Self {
        Self { fields: fields.iter().map(|name| Field::of(name)).collect(), bad, counts: Counts::default() }
    }

    /// Writes a value of `node` that was received `at` this time.
    pub(super) fn push(&mut self, node: &Node, value: &Measured, at: Timestamp, lines: &mut Lines) {
        let Measured { status, time, content } = value;
        let status = *status;
        if status.info_type() == StatusCodeInfoType::DataValue && status.overflow() {
            self.counts.overflows += 1;
        }
        self.counts.bad += u64::from(status.is_bad());
        let content = match (status.is_bad(), self.bad) {
            (true, Bad::Null) => Ok(&Content::Nothing),
            (true, Bad::Reject) => Err(Cow::Owned(format!("the status is {}", code(status)))),
            _ => content.as_ref().map_err(|why| Cow::Borrowed(*why)),
        };
        let (number, text) = match content {
            Ok(Content::Nothing) => (None, None),
            Ok(Content::Number(number)) => (Some(*number), None),
            Ok(Content::Text(text)) => (None, Some(text.as_str())),
            Err(why) => return lines.reject(format!("{}: {why}", node.path), node.written.as_bytes()),
        };
        let reading = Reading {
            time: *time,
            sensor: &node.sensor,
            value: number,
            text,
            unit: node.unit.as_deref(),
            quality: Some(severity(status)),
        };
        let fields = &self.fields;
        lines.push_reading(&reading, at, |field| {
            fields.get(field).and_then(|field| field.value(node, status))
        });
    }

    /// Remarks for the end of the run.
    pub(super) fn remarks(&self) -> Vec<String> {
        let Counts { bad, overflows } = self.counts;
        let outcome = match self.bad {
            Bad::Null => "their records have no value",
            Bad::Reject => "their records were rejected",
            Bad::Keep => "their values were kept",
        };
        let all = [
            (bad, format!("{bad} values had the status Bad: {outcome}")),
            (
                overflows,
                format!(
                    "a queue of the server overflowed {overflows} times, and values are lost: raise `queue_size`, or lower `publishing_interval`"
                ),
            ),
        ];
        all.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect()
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{DataValue, DateTime, Variant};
    use tidemill_connect::message::Messages;
    use tidemill_engine::format::columns::ColumnOptions;
    use tidemill_engine::source::OpenOptions;

    use super::*;

    fn node() -> Node {
        Node {
            written: "ns=2;s=t".into(),
            path: "Objects/north/t".into(),
            name: "t".into(),
            sensor: "north/t".into(),
            levels: vec![("line".into(), "north".into())],
            unit: Some("°C".into()),
            low: Some("-5".into()),
            high: Some("20".into()),
            ..Node::default()
        }
    }

    /// Bytes that the lines of these values have, records and rejections, and the remarks.
    fn pushed(bad: Bad, values: &[DataValue]) -> (usize, Vec<String>, Vec<String>) {
        let fields = ["@status", "@low"].map(str::to_owned).to_vec();
        let messages = Messages::readings(ColumnOptions::default(), fields);
        let decoding = messages.decoding("opc", &envelope(vec!["line".into()]), &OpenOptions::default());
        let decoding = decoding.expect("options");
        let mut readings = Readings::new(&decoding.fields, bad);
        let mut lines = Lines::new(decoding, "opc", 1 << 20);
        for value in values {
            readings.push(&node(), &Measured::from(value), Timestamp::from_nanos(0), &mut lines);
        }
        let (records, rejections) = lines.check(usize::MAX).expect("decoded");
        (records, rejections.into_iter().map(|rejection| rejection.reason).collect(), readings.remarks())
    }

    fn value(value: impl Into<Variant>, status: StatusCode) -> DataValue {
        DataValue::new_at_status(value, DateTime::ymd(2026, 1, 1), status)
    }

    #[test]
    fn bad_values_are_nothing_rejected_or_kept_and_always_counted() {
        let values = [
            value(1.5, StatusCode::Good),
            value(2.5, StatusCode::BadSensorFailure),
            value("warm", StatusCode::UncertainSensorNotAccurate),
        ];
        for (bad, records, rejected) in [(Bad::Null, 3, 0), (Bad::Reject, 2, 1), (Bad::Keep, 3, 0)] {
            let (found, reasons, remarks) = pushed(bad, &values);
            assert_eq!((found, reasons.len()), (records, rejected), "{bad:?} {reasons:?}");
            assert!(remarks.concat().contains("1 values had the status Bad"), "{remarks:?}");
            assert!(
                reasons.iter().all(|why| why.contains("BadSensorFailure") && why.contains("Objects/north/t"))
            );
        }
    }

    #[test]
    fn overflows_are_counted_only_where_the_bits_say_so() {
        let overflow = StatusCode::Good.set_info_type(StatusCodeInfoType::DataValue).set_overflow(true);
        let remarks =
            pushed(Bad::Null, &[value(1.0, overflow), value(1.0, StatusCode::Good.set_overflow(true))]).2;
        assert!(remarks.concat().contains("overflowed 1 times"), "{remarks:?}");
    }

    #[test]
    fn what_is_no_single_value_is_rejected() {
        let (records, reasons, _) = pushed(Bad::Null, &[value(vec![1.0, 2.0], StatusCode::Good)]);
        assert_eq!(records, 0);
        assert!(reasons.concat().contains("an array"), "{reasons:?}");
    }
}
