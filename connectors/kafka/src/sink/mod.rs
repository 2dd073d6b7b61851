//! `kafka`, the sink: records as messages of a topic.
//!
//! An epoch is a transaction. Its number is in the same transaction, as metadata of an offset that a consumer group of the writer's own commits: a delivery that finds it there
//! has been made before. So with `--state` each record is in the topic exactly once for consumers that read committed messages.

mod cells;
mod delivery;
mod encode;
mod frames;
mod producer;
pub(crate) mod topic;

use std::sync::Arc;

use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::{Deserialize, Serialize};
use tidemill_engine::batch::Schema;
use tidemill_engine::error::Result;
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options, merged, parameters_of};
use tidemill_engine::probe::Probe;
use tidemill_engine::sink::{Component, Prepare, Repeat, Sink, SinkContext, SinkSpec};

use crate::connection::Connection;
use delivery::Delivery;
use encode::Encoder;

/// Records as messages of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Kafka {
    /// How the cluster is reached.
    pub connection: Connection,
    /// What messages are made of records.
    pub messages: Messages,
}

inventory::submit! { Component::of::<Kafka>("kafka", "messages of an Apache Kafka topic, exactly once") }

/// What messages are made of records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Messages {
    /// The topic, which must exist. `{column}` stands for the text of a column, in which other characters than letters, digits, `.`, `_` and `-` become
    /// `_`: "plant.{sensor}".
    pub topic: String,
    /// What a message contains: a JSON object, the line of a CSV file that has no header, or a line of line protocol.
    #[serde(default)]
    pub format: Content,
    /// The column with the key of a message, by which Kafka's default partitioner chooses the partition; by default, the sensor. "" is no key.
    #[serde(default)]
    pub key: Option<String>,
    /// The time of a message: that of the record ("event"; records before 1970 have that of their delivery), or that of its delivery ("delivery").
    #[serde(default)]
    pub timestamp: Stamp,
    /// Whether the records of an epoch are a transaction, so that each is there exactly once for consumers that read committed messages. Without
    /// it, a restart or a failure repeats records.
    #[serde(default = "yes")]
    pub transactions: bool,
    /// How batches of messages are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// With `format = "line_protocol"`: the measurement of the points; by default "readings".
    #[serde(default)]
    pub measurement: Option<String>,
    /// With `format = "line_protocol"`: the columns of text that are tags, such as `["line", "site"]`; by default all columns that are no measurements. The sensor is always a tag. Other columns are
    /// fields.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Digits after the decimal point; by default, the shortest text that reads back to the same bits.
    #[serde(default)]
    pub decimals: Option<u8>,
}

/// What a message contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A JSON object.
    #[default]
    Json,
    /// The line of a CSV file without its end.
    Csv,
    /// A line of line protocol without its end, as InfluxDB and Telegraf read it.
    LineProtocol,
}

/// The time of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stamp {
    /// The time of its record.
    #[default]
    Event,
    /// The time of its delivery.
    Delivery,
}

/// A compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// The one that every client knows.
    Gzip,
    /// Fast.
    Snappy,
    /// Fast.
    Lz4,
    /// The smallest.
    Zstd,
}

fn yes() -> bool {
    true
}

impl Messages {
    /// JSON objects in `topic`.
    pub fn to(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            format: Content::default(),
            key: None,
            timestamp: Stamp::default(),
            transactions: true,
            compression: Compression::default(),
            measurement: None,
            tags: None,
            decimals: None,
        }
    }
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Configure for Kafka {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![schemars::schema_for!(Connection), schemars::schema_for!(Messages)]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        // Both are read before any error returns, so that every mistake is reported.
        let (connection, messages) = (options.take(), options.take());
        Some(Self { connection: connection?, messages: messages? })
    }
}

impl SinkSpec for Kafka {
    fn name(&self) -> &str {
        "kafka"
    }

    fn parameters(&self) -> serde_json::Value {
        merged([parameters_of(&self.connection), parameters_of(&self.messages)])
    }

    fn repeat(&self) -> Repeat {
        match self.messages.transactions {
            true => Repeat::Harmless,
            false => Repeat::Duplicates,
        }
    }

    fn delivers(&self) -> bool {
        true
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { connection: self.connection.with_base(base), ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        self.connection.check()?;
        Encoder::new(&self.messages, &Arc::new(schema.clone())).map(drop)
    }

    fn probe(&self, _schema: Option<&Schema>, probe: &mut Probe) {
        let topic = &*self.messages.topic;
        // Those of a template are known when records are.
        let topics = if topic.contains('{') { &[][..] } else { &[topic][..] };
        crate::probe::probe(&self.connection, topics, probe);
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let encoder = Arc::new(Encoder::new(&self.messages, schema)?);
        let delivery = Delivery::new(self, encoder.fixed_topic(), context)?;
        delivery.check_topic()?;
        Ok(Box::new(Open { encoder, delivery }))
    }
}

/// The sink in use.
struct Open {
    encoder: Arc<Encoder>,
    delivery: Delivery,
}

impl Sink for Open {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as Arc<dyn Prepare>)
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        self.delivery.deliver(epoch, rows)
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        Ok(self.encoder.remarks())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.pause()
    }
}
