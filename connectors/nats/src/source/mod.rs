//! The source `nats`.
//!
//! | module | |
//! |---|---|
//! | `link` | the thread of the connection |
//! | `plain` | messages without JetStream |
//! | `stream` | messages of a stream |
//! | `consumer` | the consumer from which they are pulled, and whose it is |
//! | `subscription` | the reader: messages become lines |
//! | `progress` | which messages of a stream were read |

mod consumer;
mod link;
mod plain;
mod progress;
mod stream;
mod subscription;

use std::sync::Arc;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::{HeaderMap, Subject, datetime};
use bytes::Bytes;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use tidemill_connect::inbox::Inbox;
use tidemill_connect::message::{Lines, MessageSource, Messages, Payload};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::source::{Component, OneOrMany, OpenOptions, Recovery, Source, SourceSpec, Traits};
use tidemill_engine::time::Timestamp;

use self::link::{Receiving, Shared, What};
use self::progress::Progress;
use self::stream::Streamed;
use self::subscription::Receiver;
use crate::connection::Connection;
use crate::subjects::{Field, Subjects};

/// What messages may contain.
const PAYLOADS: &[Payload] =
    &[Payload::Number, Payload::Json, Payload::Jsonl, Payload::Csv, Payload::Influx, Payload::Senml];

/// Messages of a NATS server.
#[derive(Clone, Debug, PartialEq)]
pub struct Nats {
    /// The server.
    pub connection: Connection,
    /// The messages that are asked for.
    pub subscription: Subscription,
    /// What they contain.
    pub messages: Messages,
}

inventory::submit! { Component::of::<Nats>("nats", "messages of NATS: of a stream (JetStream), or as they are published") }

/// The messages that are asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subscription {
    /// The subject to receive, or a list of subjects: "plant.*.temp", "plant.>", or with names for tokens, which become columns: "plant.{line}.{sensor}.temp". A token named `sensor` is the
    /// sensor; without one, the sensor is the subject, unless `sensor` says otherwise.
    pub subject: OneOrMany,
    /// The stream (JetStream) to read. With `--state`, each of its messages is read exactly once. Without a stream, messages are received as they are published, at most once.
    #[serde(default)]
    pub stream: Option<String>,
    /// The name of the durable consumer of the stream; made if it does not exist. Without one, the consumer has no name, and the server forgets it some minutes after the
    /// run.
    #[serde(default)]
    pub consumer: Option<String>,
    /// Whether several runs read with the same `consumer`: each message goes to one of them. When one of them ends or loses its connection, the others are sent what it had not acknowledged, and may
    /// read it a second time: at least once. Without it, a consumer is for the runs of one `--state` alone, and the others are refused.
    #[serde(default)]
    pub shared: bool,
    /// Where a new consumer begins: "all" (what the stream has), "new" (what comes from now on), "last" (with the newest message), a time such as "2026-01-01T00:00:00Z", or the number of
    /// a message. A run that resumes continues at its position.
    #[serde(default = "start")]
    pub start: String,
    /// How many messages of the stream the server may send before the first is acknowledged, which a checkpoint does.
    #[serde(default = "window")]
    pub max_ack_pending: u32,
    /// Without a stream: the name of a group that shares the messages; each goes to one member.
    #[serde(default)]
    pub queue: Option<String>,
}

fn start() -> String {
    "all".to_owned()
}

fn window() -> u32 {
    65_536
}

/// A message as it arrived.
pub(crate) struct Arrived {
    pub(crate) subject: Subject,
    pub(crate) payload: Bytes,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) at: Timestamp,
    /// If it is one of a stream.
    pub(crate) stored: Option<Stored>,
}

/// What a message of a stream has besides.
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    /// The subject that acknowledges it.
    reply: progress::Reply,
}

impl Arrived {
    fn plain(message: async_nats::Message, at: Timestamp) -> Self {
        let async_nats::Message { subject, payload, headers, .. } = message;
        Self { subject, payload, headers, at, stored: None }
    }

    /// A message of a stream; `None` if it cannot be one.
    fn stored(message: async_nats::jetstream::Message, at: Timestamp) -> Option<Self> {
        let info = message.info().ok()?;
        let stored = i64::try_from(info.published.unix_timestamp_nanos()).unwrap_or_default();
        let stored = Stored {
            sequence: info.stream_sequence,
            at: Timestamp::from_nanos(stored),
            reply: message.reply.as_deref()?.into(),
        };
        let plain = Self::plain(message.message, at);
        Some(Self { stored: Some(stored), ..plain })
    }

    /// About how much memory it takes.
    fn size(&self) -> usize {
        let headers = self.headers.iter().flat_map(HeaderMap::iter);
        let headers: usize = headers
            .map(|(_, values)| 64 + values.iter().map(|value| value.as_str().len()).sum::<usize>())
            .sum();
        256 + self.subject.len() + self.payload.len() + headers
    }
}

impl Subscription {
    /// Receives `subject`.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: OneOrMany::One(subject.into()),
            stream: None,
            consumer: None,
            shared: false,
            start: start(),
            max_ack_pending: window(),
            queue: None,
        }
    }

    fn subjects(&self) -> Result<Subjects> {
        match &self.subject {
            OneOrMany::One(subject) => Subjects::new(std::slice::from_ref(subject)),
            OneOrMany::Many(subjects) => Subjects::new(subjects),
        }
    }

    /// How the stream is read, if there is one.
    fn streamed(&self, is_late: bool) -> Result<Option<Streamed>> {
        let start = self.policy()?;
        if self.queue.as_ref().is_some_and(|queue| queue.is_empty() || queue.contains(char::is_whitespace)) {
            return Err(Error::config("`queue` is empty or contains spaces"));
        }
        if self.max_ack_pending == 0 {
            return Err(Error::config("`max_ack_pending` must be at least 1"));
        }
        if self.shared && self.consumer.is_none() {
            return Err(Error::config("`shared` is for runs with the same `consumer`, which is missing"));
        }
        let Some(name) = &self.stream else {
            return match self.consumer {
                Some(_) => Err(Error::config("`consumer` is one of a stream: `stream` is missing")),
                None => Ok(None),
            };
        };
        if self.queue.is_some() {
            return Err(Error::config("`queue` is for messages without a stream").with_help(
                "runs with the same `consumer` and `shared = true` share the messages of a stream",
            ));
        }
        let is_wrong =
            |letter: char| letter.is_whitespace() || letter.is_control() || ".*>/\\".contains(letter);
        for (option, name) in [("stream", Some(name)), ("consumer", self.consumer.as_ref())] {
            if let Some(name) = name.filter(|name| name.is_empty() || name.contains(is_wrong)) {
                return Err(Error::config(format!("`{option}` {name:?} is not a name"))
                    .with_help("names have no spaces, dots, slashes or wildcards"));
            }
        }
        Ok(Some(Streamed {
            name: name.clone(),
            consumer: self.consumer.clone(),
            is_shared: self.shared,
            start,
            window: self.max_ack_pending,
            is_late,
        }))
    }

    fn policy(&self) -> Result<DeliverPolicy> {
        Ok(match self.start.as_str() {
            "all" => DeliverPolicy::All,
            "new" => DeliverPolicy::New,
            "last" => DeliverPolicy::Last,
            other => match (other.parse(), datetime::parse_rfc3339(other)) {
                (Ok(start_sequence), _) => DeliverPolicy::ByStartSequence { start_sequence },
                (_, Ok(start_time)) => DeliverPolicy::ByStartTime { start_time },
                _ => {
                    return Err(Error::config(format!("`start` {other:?} is not known"))
                        .with_help("write \"all\", \"new\", \"last\", a time such as \"2026-01-01T00:00:00Z\", or the number of a message"));
                }
            },
        })
    }
}

impl Nats {
    /// The messages of `subject` at the server `url`, with these contents.
    pub fn new(url: impl Into<String>, subject: impl Into<String>, messages: Messages) -> Self {
        Self { connection: Connection::new(url), subscription: Subscription::new(subject), messages }
    }
}

impl Configure for Nats {
    fn schemas() -> Vec<Schema> {
        let own = [schemars::schema_for!(Connection), schemars::schema_for!(Subscription)];
        own.into_iter().chain(Messages::schemas(PAYLOADS)).collect()
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        // All options are read before any error returns, so that every mistake is reported.
        let (connection, subscription) = (options.take(), options.take());
        let messages = Messages::configure(options, PAYLOADS);
        Some(Self { connection: connection?, subscription: subscription?, messages: messages? })
    }
}

impl SourceSpec for Nats {
    fn name(&self) -> &str {
        "nats"
    }

    fn parameters(&self) -> serde_json::Value {
        let groups = [
            serde_json::to_value(&self.connection).unwrap_or_default(),
            serde_json::to_value(&self.subscription).unwrap_or_default(),
            self.messages.parameters(),
        ];
        let fields = groups.into_iter().filter_map(|group| match group {
            serde_json::Value::Object(fields) => Some(fields),
            _ => None,
        });
        serde_json::Value::Object(fields.flatten().collect())
    }

    fn traits(&self) -> Traits {
        let recovery = match (self.can_resume(), self.subscription.shared) {
            (true, false) => Recovery::Replayed,
            (true, true) => Recovery::Redelivered,
            (false, _) => Recovery::Lost,
        };
        Traits { is_bounded: false, is_replayable: false, is_open: true, recovery }
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        Some(Arc::new(Self { connection: self.connection.with_base(base), ..self.clone() }))
    }

    fn can_resume(&self) -> bool {
        self.subscription.stream.is_some()
    }

    fn probe(&self, probe: &mut Probe) {
        crate::probe::source(&self.connection, self.subscription.stream.as_deref(), probe);
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        self.connection.check()?;
        let subjects = self.subscription.subjects()?;
        // Without checkpoints nothing is durable: messages are acknowledged when they are read.
        let streamed = self.subscription.streamed(options.keeps_place)?;
        let is_late = streamed.is_some() && options.keeps_place;
        let envelope = Field::envelope(&subjects, streamed.is_some());
        let decoding = self.messages.decoding(&self.connection.url, &envelope, options)?;
        let fields = decoding.fields.iter().map(|name| Field::of(name)).collect();
        let lines = Lines::new(decoding, self.connection.url.as_str(), options.chunk_size);
        let shared = Arc::new(Shared::default());
        let progress = streamed.is_some().then(|| Progress::new(Arc::clone(&shared.floor)));
        let receiving = Receiving {
            connection: self.connection.clone(),
            filters: subjects.filters.clone(),
            clock: options.clock.clone(),
            what: match streamed {
                Some(streamed) => What::Stream(streamed),
                None => What::Plain { queue: self.subscription.queue.clone() },
            },
        };
        let receiver = Receiver {
            receiving: Some(receiving),
            url: self.connection.url.clone(),
            stream: self.subscription.stream.clone().unwrap_or_default(),
            subjects,
            fields,
            progress,
            is_late,
            shared,
            cuts: options.cuts.clone(),
            stop: Arc::clone(&options.stop),
            inbox: Arc::new(Inbox::default()),
            link: None,
            arrived: Vec::new().into_iter(),
            at_once: Vec::new(),
            closed: None,
            repeated: 0,
        };
        Ok(Box::new(MessageSource::new(receiver, lines)))
    }
}
