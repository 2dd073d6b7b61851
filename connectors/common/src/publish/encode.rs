//! Records as messages, in the bytes that are kept until they are delivered: topic and payload of each, after their lengths.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_engine::batch::{Batch, Column, FieldRole, Number, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::format::Encode;
use tidemill_engine::format::jsonl::JsonEncoder;
use tidemill_engine::sensor::Sensors;
use tidemill_engine::sink::{Block, Prepare};

use super::topic::Topic;

/// What a message contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The record as an object.
    #[default]
    Json,
    /// A single value.
    Number,
}

/// Makes messages of batches, on any thread.
pub struct Encoder {
    topic: Topic,
    content: Payload,
}

enum Payload {
    Json(JsonEncoder),
    /// The number in this column.
    Number(usize),
}

impl Encoder {
    /// Messages for `topic`; a number is that of `column`, or else the only measurement.
    ///
    /// # Errors
    /// A configuration error if the options do not fit the columns.
    pub fn new(topic: Topic, content: Content, column: Option<&str>, schema: &Schema) -> Result<Self> {
        let content = match content {
            Content::Json if column.is_some() => {
                return Err(Error::config("`column` is for payload = \"number\""));
            }
            Content::Json => Payload::Json(JsonEncoder::new(schema, None)),
            Content::Number => Payload::Number(number(column, schema)?),
        };
        Ok(Self { topic, content })
    }
}

/// The column with the number: the one that is named, or else the only measurement.
fn number(column: Option<&str>, schema: &Schema) -> Result<usize> {
    let measurements = || {
        let fields = schema.fields().iter().enumerate();
        fields.filter(|(_, field)| field.role == FieldRole::Measurement)
    };
    let names = || measurements().map(|(_, field)| &*field.name).collect::<Vec<_>>().join(", ");
    let at = match column {
        Some(name) => schema.index_of(name),
        None => measurements().next().filter(|_| measurements().count() == 1).map(|(at, _)| at),
    };
    let is_number = |at: &usize| schema.fields()[*at].ty.is_number();
    at.filter(is_number).ok_or_else(|| {
        let what = match column {
            Some(name) => format!("`column` {name:?} is not a column of numbers"),
            None => "payload = \"number\" needs `column`".to_owned(),
        };
        Error::config(what).with_help(format!("the measurements are {}", names()))
    })
}

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let (mut out, mut topic) = (Vec::new(), String::new());
        let mut each = |row: usize, payload: &[u8]| {
            self.topic.write(batch, row, sensors, &mut topic);
            push(topic.as_bytes(), &mut out);
            push(payload, &mut out);
        };
        match &self.content {
            Payload::Json(encoder) => {
                let mut text = Vec::new();
                encoder.encode(batch, sensors, &mut text);
                let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
                lines.enumerate().for_each(|(row, line)| each(row, line));
            }
            Payload::Number(at) => {
                let column = &batch.columns()[*at];
                (0..batch.len()).for_each(|row| each(row, text_of(column, row).as_bytes()));
            }
        }
        Ok(Box::new(out))
    }
}

/// A number as JSON has it.
fn text_of(column: &Column, row: usize) -> String {
    match column.number(row) {
        None => "null".to_owned(),
        Some(Number::F64(value)) if value.is_nan() => "NaN".to_owned(),
        Some(Number::F64(value)) => value.to_string(),
        Some(Number::Bool(value)) => value.to_string(),
        Some(number) => number.as_integer().unwrap_or_default().to_string(),
    }
}

fn push(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The messages in what [`Encoder`] has written: topic and payload of each.
pub struct Outbox<'a>(pub &'a [u8]);

impl<'a> Outbox<'a> {
    fn part(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        self.0 = rest;
        Some(part)
    }
}

impl<'a> Iterator for Outbox<'a> {
    type Item = Result<(&'a str, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = self.part().and_then(|topic| Some((std::str::from_utf8(topic).ok()?, self.part()?)));
        if message.is_none() {
            self.0 = &[];
        }
        Some(message.ok_or_else(|| Error::data("the messages that were kept cannot be read")))
    }
}
