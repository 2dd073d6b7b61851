//! `kafka`, the source: messages of topics.
//!
//! | module | |
//! |---|---|
//! | `start`, `partitions`, `fields` | options: where to begin, which partitions, what of a message becomes a column |
//! | `reader` | the running source: messages become lines |
//! | `group` | what librdkafka reports about the consumer group |
//! | `assignment` | the answers to it |
//! | `begin` | questions to the brokers |
//! | `registry` | payloads with the wire format of a schema registry |
//! | `slots`, `positions` | how far each partition is read; what checkpoints have of it |

mod assignment;
mod begin;
mod fields;
mod group;
mod partitions;
mod positions;
mod reader;
mod registry;
mod slots;
mod start;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::{Deserialize, Serialize};
use tidemill_connect::message::{Lines, MessageSource, Messages, Payload};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options, merged, parameters_of};
use tidemill_engine::probe::Probe;
use tidemill_engine::source::{Component, OneOrMany, OpenOptions, Recovery, Source, SourceSpec, Traits};

use crate::connection::Connection;
use crate::patience::Patience;
use crate::sink::topic::check_name;
use fields::{Field, envelope};
use reader::{Reader, Setup};
use registry::Registry;
pub use registry::RegistryOptions;
pub use start::Start;

/// What messages may contain.
const PAYLOADS: &[Payload] = &[
    Payload::Number,
    Payload::Json,
    Payload::Jsonl,
    Payload::Csv,
    Payload::Influx,
    Payload::Senml,
    Payload::Avro,
];

/// How long brokers may take to answer when the run begins.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// Bytes that librdkafka fetches ahead.
const QUEUE_KIB: &str = "16384";

/// When to fetch again where so much was waiting: librdkafka's own second leaves brokers and workers idle (five million small messages: 22.8 s).
const FULL_MS: &str = "5";

/// How long a member of the group may not be heard of: as long do its partitions wait for it when it has ended.
const SESSION_MS: &str = "10000";

/// Messages of topics.
#[derive(Clone, Debug, PartialEq)]
pub struct Kafka {
    /// How the cluster is reached.
    pub connection: Connection,
    /// What is read.
    pub topics: Topics,
    /// What messages contain.
    pub messages: Messages,
}

inventory::submit! { Component::of::<Kafka>("kafka", "messages of Apache Kafka topics") }

/// What is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Topics {
    /// The topic, or a list of topics; "^plant-.*" stands for all that match this regular expression.
    pub topic: OneOrMany,
    /// The consumer group. Processes of the same group divide the partitions among them, and positions are committed to it.
    pub group: String,
    /// Reads only these partitions, always: "0-3" or "0,2,5-7". Without it, the group decides which partitions this process reads, and that may change: then the
    /// stages begin anew with the sensors of a partition that has moved.
    #[serde(default)]
    pub partitions: Option<String>,
    /// Where a partition is read from if neither a checkpoint nor the group has a position: "earliest", "latest", a time such as "2026-01-31T08:00:00Z" (the first message that is
    /// not older), or an offset.
    #[serde(default)]
    pub offset: Start,
    /// What happens if messages were deleted before they were read (`retention.ms` of the topic): "stop" ends the run, "accept" goes on with the first message that is there.
    #[serde(default)]
    pub gaps: Gaps,
    /// Which messages of transactions are read: "read_committed" waits for the end of a transaction and leaves out the aborted ones, "read_uncommitted" reads all.
    #[serde(default)]
    pub isolation: Isolation,
    /// The schema registry whose wire format payloads have, for "avro", and for "json" that is written with JSON Schema: `{ url = "https://registry:8081" }`, with `user` and `password`, or a
    /// `token`, and `tls` where it needs them.
    #[serde(default)]
    pub registry: Option<RegistryOptions>,
}

/// What happens if messages were deleted before they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gaps {
    /// The run ends with an error.
    #[default]
    Stop,
    /// The run goes on with the first message that is there.
    Accept,
}

/// Which messages of transactions are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Those of committed transactions.
    #[default]
    ReadCommitted,
    /// All.
    ReadUncommitted,
}

impl Isolation {
    fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::ReadUncommitted => "read_uncommitted",
        }
    }
}

impl Topics {
    /// Reads `topic` from its beginning, as a member of `group`.
    pub fn new(topic: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            topic: OneOrMany::One(topic.into()),
            group: group.into(),
            partitions: None,
            offset: Start::default(),
            gaps: Gaps::default(),
            isolation: Isolation::default(),
            registry: None,
        }
    }

    fn names(&self) -> &[String] {
        match &self.topic {
            OneOrMany::One(topic) => std::slice::from_ref(topic),
            OneOrMany::Many(topics) => topics,
        }
    }

    fn fixed(&self) -> Result<Option<Vec<i32>>> {
        self.partitions.as_deref().map(partitions::parse).transpose()
    }

    fn check(&self) -> Result<()> {
        let fixed = self.fixed()?;
        self.offset.parse()?;
        if self.group.is_empty() {
            return Err(Error::config("`group` is empty").with_help("give the group of this pipeline a name"));
        }
        if self.names().is_empty() {
            return Err(Error::config("`topic` names no topic"));
        }
        for name in self.names() {
            match (name.starts_with('^'), &fixed) {
                (false, _) => check_name(name)?,
                (true, None) => {}
                (true, Some(_)) => {
                    return Err(Error::config(format!(
                        "`partitions` cannot be those of a pattern such as {name:?}"
                    ))
                    .with_help("name the topics"));
                }
            }
        }
        Ok(())
    }
}

impl Kafka {
    /// The messages of these topics.
    pub fn new(connection: Connection, topics: Topics, messages: Messages) -> Self {
        Self { connection, topics, messages }
    }

    /// The client of the schema registry, which contacts nobody yet.
    fn registry(&self, stop: &Arc<AtomicBool>) -> Result<Option<Registry>> {
        let payload = self.messages.payload();
        match (&self.topics.registry, payload) {
            (None, Payload::Avro) => {
                Err(Error::config("payload = \"avro\" needs `registry`, which has the schemas")
                    .with_help("such as registry = { url = \"https://registry:8081\" }"))
            }
            (None, _) => Ok(None),
            (Some(options), Payload::Avro | Payload::Json) => {
                Registry::new(options, payload == Payload::Avro, Arc::clone(stop)).map(Some)
            }
            (Some(_), _) => Err(Error::config(
                "`registry` does not apply: only payloads of \"avro\" and \"json\" have its wire format",
            )),
        }
    }

    fn config(&self) -> Result<rdkafka::ClientConfig> {
        let mut config = self.connection.config()?;
        let reset = match self.topics.gaps {
            Gaps::Stop => "error",
            Gaps::Accept => "earliest",
        };
        for (name, value) in [
            ("group.id", self.topics.group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", reset),
            ("isolation.level", self.topics.isolation.name()),
            // Members keep what they have while others come and go.
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("allow.auto.create.topics", "false"),
        ] {
            config.set(name, value);
        }
        for (name, value) in [
            ("queued.max.messages.kbytes", QUEUE_KIB),
            ("fetch.queue.backoff.ms", FULL_MS),
            ("session.timeout.ms", SESSION_MS),
        ] {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        Ok(config)
    }
}

impl Configure for Kafka {
    fn schemas() -> Vec<JsonSchemaOf> {
        let own = [schemars::schema_for!(Connection), schemars::schema_for!(Topics)];
        own.into_iter().chain(Messages::schemas(PAYLOADS)).collect()
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        // All are read before any error returns, so that every mistake is reported.
        let (connection, topics) = (options.take(), options.take());
        let messages = Messages::configure(options, PAYLOADS);
        Some(Self { connection: connection?, topics: topics?, messages: messages? })
    }
}

impl SourceSpec for Kafka {
    fn name(&self) -> &str {
        "kafka"
    }

    fn parameters(&self) -> serde_json::Value {
        merged([parameters_of(&self.connection), parameters_of(&self.topics), self.messages.parameters()])
    }

    fn traits(&self) -> Traits {
        Traits { is_bounded: false, is_replayable: false, is_open: true, recovery: Recovery::Replayed }
    }

    fn losses(&self) -> Vec<&'static str> {
        match self.topics.gaps {
            Gaps::Stop => Vec::new(),
            Gaps::Accept => vec![
                "with `gaps = \"accept\"`, messages that were deleted before they were read are left out",
            ],
        }
    }

    fn repeats(&self) -> Vec<&'static str> {
        match self.topics.partitions {
            Some(_) => Vec::new(),
            None => vec![
                "without `partitions`, another process of the group reads again what a killed one had not committed",
            ],
        }
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        let registry = self.topics.registry.as_ref().map(|registry| registry.with_base(base));
        let topics = Topics { registry, ..self.topics.clone() };
        Some(Arc::new(Self {
            connection: self.connection.with_base(base),
            topics,
            messages: self.messages.clone(),
        }))
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn probe(&self, probe: &mut Probe) {
        let names = self.topics.names().iter().filter(|name| !name.starts_with('^'));
        crate::probe::probe(&self.connection, &names.map(String::as_str).collect::<Vec<_>>(), probe);
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        self.connection.check()?;
        self.topics.check()?;
        let brokers = self.connection.brokers.clone();
        let decoding = self.messages.decoding(&brokers, &envelope(), options)?;
        let fields = decoding.fields.iter().map(|name| Field::of(name)).collect();
        let lines = Lines::new(decoding, self.topics.names().join(","), options.chunk_size);
        let registry = self.registry(&options.stop)?;
        let setup = Setup {
            config: self.config()?,
            brokers,
            topics: self.topics.names().to_vec(),
            fixed: self.topics.fixed()?,
            from: self.topics.offset.parse()?,
            fields,
            clock: options.clock.clone(),
            cuts: options.cuts.clone(),
            patience: Patience { stop: Arc::clone(&options.stop), limit: FIRST_ANSWER },
            accepts_gaps: matches!(self.topics.gaps, Gaps::Accept),
            keeps_place: options.keeps_place,
            resumes: options.resume.is_some(),
        };
        Ok(Box::new(MessageSource::new(Reader::new(setup, registry), lines)))
    }
}
