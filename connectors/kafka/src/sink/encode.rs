//! Records to messages: on any worker, in any order.

use std::sync::Arc;

use tidemill_connect::line_protocol::{Encoder as PointEncoder, PointOptions};
use tidemill_engine::batch::{Batch, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::format::Encode;
use tidemill_engine::format::csv::CsvEncoder;
use tidemill_engine::format::jsonl::JsonEncoder;
use tidemill_engine::sensor::Sensors;
use tidemill_engine::sink::{Block, Prepare};

use super::cells::write_cell;
use super::frames::Frame;
use super::topic::{Topic, column};
use super::{Content, Messages, Stamp};

/// Encodes batches as messages.
pub(super) struct Encoder {
    topic: Topic,
    /// The column of the key.
    key: Option<usize>,
    /// Whether messages have the time of their record.
    has_times: bool,
    values: Values,
}

/// The values of messages.
enum Values {
    /// All records of a batch have one: what is between two line ends of this format.
    Text(Content, Box<dyn Encode>),
    /// A record that the protocol cannot say has none.
    Points(PointEncoder),
}

impl Values {
    /// # Errors
    /// A configuration error if the options do not fit the format, or the columns.
    fn new(messages: &Messages, schema: &Schema) -> Result<Self> {
        let Messages { format, measurement, tags, decimals, .. } = messages;
        let is_points = *format == Content::LineProtocol;
        if !is_points && (measurement.is_some() || tags.is_some()) {
            return Err(Error::config("`measurement` and `tags` are for format = \"line_protocol\""));
        }
        if is_points && decimals.is_some() {
            return Err(Error::config("`decimals` is not for format = \"line_protocol\""));
        }
        Ok(match format {
            Content::Json => Self::Text(*format, Box::new(JsonEncoder::new(schema, *decimals))),
            Content::Csv => Self::Text(
                *format,
                Box::new(CsvEncoder { delimiter: b',', decimals: *decimals, safe: false }),
            ),
            Content::LineProtocol => {
                let measurement = measurement.as_deref().unwrap_or("readings");
                let options = PointOptions { measurement, tags: tags.as_deref(), has_unsigned: true };
                Self::Points(PointEncoder::new(&options, schema)?)
            }
        })
    }

    /// Calls `each` with each record that has a value.
    fn each(
        &self,
        batch: &Batch,
        sensors: &Sensors,
        mut each: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut text = Vec::new();
        match self {
            Self::Text(content, encoder) => {
                encoder.encode(batch, sensors, &mut text);
                let mut rest = &text[..];
                for row in 0..batch.len() {
                    let Some((value, after)) = content.split_first(rest) else {
                        return Err(Error::internal("a record was encoded as less than a line"));
                    };
                    rest = after;
                    each(row, value)?;
                }
            }
            Self::Points(encoder) => {
                for row in 0..batch.len() {
                    text.clear();
                    if encoder.encode_record(batch, row, sensors, &mut text) {
                        each(row, text.trim_ascii_end())?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Encoder {
    /// The encoder for records of `schema`.
    ///
    /// # Errors
    /// A configuration error if the options name a column that does not exist, or do not name a topic.
    pub(super) fn new(messages: &Messages, schema: &Arc<Schema>) -> Result<Self> {
        let key = match messages.key.as_deref() {
            None => Some(schema.sensor()),
            Some("") => None,
            Some(name) => Some(column(name, "key", schema)?),
        };
        Ok(Self {
            topic: Topic::parse(&messages.topic, schema)?,
            key,
            has_times: messages.timestamp == Stamp::Event,
            values: Values::new(messages, schema)?,
        })
    }

    /// The topic, if all records have the same.
    pub(super) fn fixed_topic(&self) -> Option<&str> {
        match &self.topic {
            Topic::Fixed(name) => Some(name),
            Topic::Template(_) => None,
        }
    }

    /// What the format could not say, for the end of the run.
    pub(super) fn remarks(&self) -> Vec<String> {
        match &self.values {
            Values::Text(..) => Vec::new(),
            Values::Points(encoder) => encoder.remarks(),
        }
    }
}

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let mut out = Vec::with_capacity(batch.len() * 128);
        let times = batch.times().filter(|_| self.has_times);
        let (mut topic, mut key) = (Vec::new(), Vec::new());
        self.values.each(batch, sensors, |row, value| {
            topic.clear();
            self.topic.write(batch, row, sensors, &mut topic);
            key.clear();
            let has_key = self.key.is_some_and(|column| write_cell(batch, column, row, sensors, &mut key));
            let millis = times.map(|times| times[row].as_nanos().div_euclid(1_000_000));
            let frame = Frame {
                // Kafka has no times before 1970, and 0 is none.
                time: millis.filter(|millis| *millis > 0),
                topic: &topic,
                key: has_key.then_some(&key),
                value,
            };
            frame.write(&mut out)
        })?;
        Ok(Box::new(out))
    }
}

impl Content {
    /// The first record of encoded ones, without its line end, and what follows it.
    fn split_first(self, encoded: &[u8]) -> Option<(&[u8], &[u8])> {
        let end = match self {
            // A line feed in a text is escaped.
            Self::Json | Self::LineProtocol => encoded.iter().position(|byte| *byte == b'\n')?,
            Self::Csv => end_of_csv(encoded)?,
        };
        Some((&encoded[..end], &encoded[end + 1..]))
    }
}

/// The first line feed outside quotes.
fn end_of_csv(encoded: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    encoded.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        *byte == b'\n' && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use tidemill_engine::batch::{Bytes, Column, Field, Numbers, Span, Text, TimeColumn};
    use tidemill_engine::time::Timestamp;

    use super::super::frames::Frames;
    use super::*;

    fn schema() -> Arc<Schema> {
        let fields = vec![
            Field::time("time"),
            Field::sensor("sensor"),
            Field::measurement("value"),
            Field::text("note"),
        ];
        Arc::new(Schema::new(fields).expect("a schema"))
    }

    fn batch(sensors: &mut Sensors) -> Batch {
        let times = [-5, 0, 1_700_000_000_123_456_789].map(Timestamp::from_nanos);
        let ids = ["a", "b", "a"].map(|name| sensors.id(name).expect("room"));
        let text = b"one\ntwo\"";
        let notes = vec![Span::new(0, 8), Span::NULL, Span::new(0, 3)];
        let columns = vec![
            Column::Time(TimeColumn { values: times.to_vec().into(), text: Vec::new() }),
            Column::Sensor(ids.to_vec()),
            Column::F64(Numbers::all(vec![1.5, 2.0, -3.0])),
            Column::Text(notes),
        ];
        Batch::new(schema(), columns, Text::new(Bytes::new(text.to_vec())))
    }

    fn frames(messages: &Messages) -> Vec<(Option<i64>, String, Option<String>, String)> {
        let mut sensors = Sensors::default();
        let batch = batch(&mut sensors);
        let encoder = Encoder::new(messages, &schema()).expect("options");
        let block = encoder.prepare(&batch, &sensors).expect("encoded");
        let bytes = block.downcast::<Vec<u8>>().expect("bytes");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Frames(&bytes)
            .map(|frame| frame.expect("a frame"))
            .map(|frame| (frame.time, text(frame.topic), frame.key.map(text), text(frame.value)))
            .collect()
    }

    #[test]
    fn json_has_a_key_and_a_time() {
        let frames = frames(&Messages::to("out"));
        assert_eq!(frames.len(), 3);
        assert_eq!(frames[0].0, None);
        assert_eq!(frames[2].0, Some(1_700_000_000_123));
        assert_eq!(frames[0].2.as_deref(), Some("a"));
        assert!(frames[0].3.contains(r#""note":"one\ntwo\"""#), "{}", frames[0].3);
        assert!(frames[1].3.ends_with(r#""note":null}"#), "{}", frames[1].3);
    }

    #[test]
    fn csv_is_cut_outside_quotes() {
        let messages = Messages { format: Content::Csv, ..Messages::to("out") };
        let frames = frames(&messages);
        assert!(frames[0].3.ends_with("a,1.5,\"one\ntwo\"\"\""), "{}", frames[0].3);
        assert!(frames[2].3.ends_with("a,-3,one") || frames[2].3.ends_with("a,-3.0,one"), "{}", frames[2].3);
    }

    #[test]
    fn points_have_the_sensor_as_a_tag_and_what_cannot_be_said_is_left_out() {
        let messages = Messages { format: Content::LineProtocol, ..Messages::to("out") };
        let frames = frames(&messages);
        assert_eq!(frames[0].3, "readings,note=one\\ntwo\",sensor=a value=1.5 -5");
        assert_eq!(frames[2].3, "readings,note=one,sensor=a value=-3 1700000000123456789");
        let messages = Messages { measurement: Some("m".into()), tags: Some(Vec::new()), ..messages };
        assert!(self::frames(&messages)[1].3.starts_with("m,sensor=b value=2 0"));
        let mut sensors = Sensors::default();
        let mut batch = batch(&mut sensors);
        *batch.column_mut(2) = Column::F64(Numbers::all(vec![1.5, f64::NAN, f64::INFINITY]));
        let messages = Messages { format: Content::LineProtocol, ..Messages::to("out") };
        let encoder = Encoder::new(&messages, &schema()).expect("options");
        let block = encoder.prepare(&batch, &sensors).expect("encoded");
        let bytes = block.downcast::<Vec<u8>>().expect("bytes");
        assert_eq!(Frames(&bytes).count(), 1, "two records have no value");
        assert!(encoder.remarks().iter().any(|remark| remark.contains('2')), "{:?}", encoder.remarks());
    }

    #[test]
    fn options_of_another_format_are_refused() {
        let wrong =
            |messages: Messages| Encoder::new(&messages, &schema()).err().map(|error| error.to_string());
        let tags = Messages { tags: Some(vec!["note".into()]), ..Messages::to("out") };
        assert!(wrong(tags).is_some_and(|error| error.contains("`measurement` and `tags`")));
        let points = Messages { format: Content::LineProtocol, ..Messages::to("out") };
        assert!(
            wrong(Messages { decimals: Some(1), ..points.clone() })
                .is_some_and(|error| error.contains("`decimals`"))
        );
        let missing = Messages { tags: Some(vec!["nowhere".into()]), ..points };
        assert!(wrong(missing).is_some_and(|error| error.contains("there is no column `nowhere`")));
    }

    #[test]
    fn topic_and_key_come_from_columns() {
        let messages = Messages { key: Some("note".to_owned()), ..Messages::to("plant.{sensor}.{note}") };
        let frames = frames(&messages);
        assert_eq!(frames[0].1, "plant.a.one_two_");
        assert_eq!(frames[1].1, "plant.b.");
        assert_eq!(frames[0].2.as_deref(), Some("one\ntwo\""));
        assert_eq!(frames[1].2, None);
    }

    #[test]
    fn no_key_and_the_time_of_delivery() {
        let messages =
            Messages { key: Some(String::new()), timestamp: Stamp::Delivery, ..Messages::to("out") };
        assert!(frames(&messages).iter().all(|frame| frame.0.is_none() && frame.2.is_none()));
    }
}
