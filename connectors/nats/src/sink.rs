//! The sink `nats`: each record is a message.
//!
//! It delivers by epochs: [`Sink::deliver`] returns when the stream has stored every message of the epoch. Each has an id made of the writer, the epoch and its ordinal: a message that is sent
//! again within the window in which the stream looks for duplicates (two minutes, if it was not set) is stored once.

use std::collections::VecDeque;
use std::future::{Future, IntoFuture as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{ContextBuilder, PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::{Deserialize, Serialize};
use tidemill_connect::blocking::Blocking;
use tidemill_connect::publish::{Content, Encoder, Outbox, Rules, Topic};
use tidemill_engine::batch::Schema;
use tidemill_engine::error::Result;
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::sink::{Component, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::failure;

/// Messages that may be unanswered.
const IN_FLIGHT: usize = 4000;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection that was not used for so long is made anew: between two deliveries nobody answers the server.
const FRESH: Duration = Duration::from_secs(60);

/// Messages for a NATS server.
#[derive(Clone, Debug, PartialEq)]
pub struct Nats {
    /// The server.
    pub connection: Connection,
    /// The messages.
    pub publication: Publication,
}

inventory::submit! { Component::of::<Nats>("nats", "messages for NATS: stored by a stream (JetStream), or only published") }

/// What the messages are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Publication {
    /// The subject of a record's message, with columns in braces: "plant.{sensor}.temp". In their values *, >, dots and spaces become _; an empty value is _ too.
    pub subject: String,
    /// Whether values in the subject keep their dots: "a.b" is then two tokens.
    #[serde(default)]
    pub dots: bool,
    /// What a message contains: "json", the record as an object, or "number", the value of `column`.
    #[serde(default)]
    pub payload: Content,
    /// The column of a "number"; by default the only measurement.
    #[serde(default)]
    pub column: Option<String>,
    /// Whether a stream (JetStream) stores the messages, and answers so; otherwise they are published to whoever listens, and may be lost.
    #[serde(default = "jetstream")]
    pub jetstream: bool,
}

fn jetstream() -> bool {
    true
}

/// The subjects of the protocol.
const SUBJECTS: Rules = Rules {
    option: "subject",
    separator: '.',
    wildcards: ['*', '>'],
    spaces: false,
    empty_levels: false,
    longest: 4000,
    example: "plant.{sensor}.temp",
};

impl Publication {
    /// Records as JSON, to the subject that they have by this template.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            dots: false,
            payload: Content::default(),
            column: None,
            jetstream: jetstream(),
        }
    }

    fn encoder(&self, schema: &Schema) -> Result<Encoder> {
        let subject = Topic::new(&self.subject, SUBJECTS, self.dots, schema)?;
        Encoder::new(subject, self.payload, self.column.as_deref(), schema)
    }
}

impl Nats {
    /// Records as JSON for the server at `url`.
    pub fn new(url: impl Into<String>, subject: impl Into<String>) -> Self {
        Self { connection: Connection::new(url), publication: Publication::new(subject) }
    }
}

impl Configure for Nats {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![schemars::schema_for!(Connection), schemars::schema_for!(Publication)]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (connection, publication) = (options.take(), options.take());
        Some(Self { connection: connection?, publication: publication? })
    }
}

impl SinkSpec for Nats {
    fn name(&self) -> &str {
        "nats"
    }

    fn parameters(&self) -> serde_json::Value {
        let groups = [serde_json::to_value(&self.connection), serde_json::to_value(&self.publication)];
        let fields = groups.into_iter().filter_map(|group| match group {
            Ok(serde_json::Value::Object(fields)) => Some(fields),
            _ => None,
        });
        serde_json::Value::Object(fields.flatten().collect())
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn losses(&self) -> Vec<&'static str> {
        match self.publication.jetstream {
            true => Vec::new(),
            false => vec![
                "with `jetstream = false` nobody confirms a message: it is lost if nobody listens, or with the connection",
            ],
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
        self.publication.encoder(schema).map(drop)
    }

    fn probe(&self, _schema: Option<&Schema>, probe: &mut Probe) {
        let Publication { subject, jetstream, .. } = &self.publication;
        // Only a subject without columns is known before the first record.
        let subject = Some(subject.as_str()).filter(|subject| *jetstream && !subject.contains('{'));
        crate::probe::sink(&self.connection, subject, probe);
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Open {
            connection: self.connection.clone(),
            jetstream: self.publication.jetstream,
            encoder: Arc::new(self.publication.encoder(schema)?),
            blocking: Blocking::new(Arc::clone(&context.stop))?,
            context: None,
            used: Instant::now(),
            writer: context.writer.clone(),
            stored: 0,
            repeated: 0,
        }))
    }
}

/// The sink in use. The connection is made by the first delivery.
struct Open {
    connection: Connection,
    jetstream: bool,
    encoder: Arc<Encoder>,
    blocking: Blocking,
    context: Option<Context>,
    /// When the connection was last used.
    used: Instant,
    writer: Option<Arc<str>>,
    /// Messages that were stored, and how many of them had been stored before.
    stored: u64,
    repeated: u64,
}

/// A message that is not answered yet.
struct Unanswered {
    subject: String,
    answer: PublishAckFuture,
}

impl Open {
    fn connect(&mut self) -> Result<Context> {
        if let Some(context) = self.context.take().filter(|_| self.used.elapsed() < FRESH) {
            return Ok(context);
        }
        let Self { connection, blocking, .. } = self;
        blocking.wait(async {
            let options = connection.options()?;
            let client = options.connect(connection.servers()?).await;
            let client = client.map_err(|error| failure::connecting(&connection.url, &error))?;
            Ok(ContextBuilder::new().timeout(ANSWER).max_ack_inflight(IN_FLIGHT + 1).build(client))
        })
    }

    /// Publishes everything; nobody answers.
    async fn publish(
        &self,
        context: &Context,
        rows: &mut dyn Iterator<Item = Result<Vec<u8>>>,
    ) -> Result<()> {
        let client = context.client();
        for block in rows {
            for message in Outbox(&block?) {
                let (subject, payload) = message?;
                let publish = client.publish(subject.to_owned(), Bytes::copy_from_slice(payload));
                let published = self.in_time(publish).await?;
                published.map_err(|error| failure::sending(&self.connection.url, subject, &error))?;
            }
        }
        let flushed = self.in_time(client.flush()).await?;
        flushed.map_err(|error| failure::unsent(&self.connection.url, &error))
    }

    /// Waits until the client has done this, but not until it has a connection again.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let done = timeout(ANSWER, work).await;
        done.map_err(|_| failure::unsent(&self.connection.url, &"no connection in time"))
    }

    /// Lets a stream store everything, and waits for its answers. Returns how many messages it has, and how many of them it had before.
    async fn store(
        &self,
        context: &Context,
        epoch: u64,
        rows: &mut dyn Iterator<Item = Result<Vec<u8>>>,
    ) -> Result<(u64, u64)> {
        let mut unanswered = VecDeque::new();
        let (mut sent, mut stored, mut repeated) = (0_u64, 0_u64, 0_u64);
        let mut count = |is_repeated: bool| {
            stored += 1;
            repeated += u64::from(is_repeated);
        };
        for block in rows {
            for message in Outbox(&block?) {
                let (subject, payload) = message?;
                if unanswered.len() >= IN_FLIGHT
                    && let Some(first) = unanswered.pop_front()
                {
                    count(self.answered(context, first).await?);
                }
                let mut message = PublishMessage::build().payload(Bytes::copy_from_slice(payload));
                if let Some(writer) = &self.writer {
                    message = message.message_id(format!("{writer}/{epoch}/{sent}"));
                }
                let answer = context.send_publish(subject.to_owned(), message).await;
                let answer = answer
                    .map_err(|error| failure::publishing(&self.connection.url, subject, false, &error))?;
                unanswered.push_back(Unanswered { subject: subject.to_owned(), answer });
                sent += 1;
            }
        }
        for message in unanswered {
            count(self.answered(context, message).await?);
        }
        Ok((stored, repeated))
    }

    /// Whether the stream had it before.
    async fn answered(&self, context: &Context, message: Unanswered) -> Result<bool> {
        let Unanswered { subject, answer } = message;
        match answer.into_future().await {
            Ok(answer) => Ok(answer.duplicate),
            Err(error) => {
                let is_no_stream = error.kind() == PublishErrorKind::StreamNotFound
                    && self.stored == 0
                    && self.is_unknown(context, &subject).await;
                Err(failure::publishing(&self.connection.url, &subject, is_no_stream, &error))
            }
        }
    }

    /// Whether there is no stream for this subject. Nobody answers a message also while its stream is being recovered, but the server knows of it then.
    async fn is_unknown(&self, context: &Context, subject: &str) -> bool {
        let found = context.stream_by_subject(subject).await;
        found.is_err_and(|error| failure::is_unknown(&error))
    }
}

impl Sink for Open {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(self.encoder.clone())
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let context = self.connect()?;
        match self.jetstream {
            true => {
                let (stored, repeated) = self.blocking.wait(self.store(&context, epoch, rows))?;
                self.stored += stored;
                self.repeated += repeated;
            }
            false => self.blocking.wait(self.publish(&context, rows))?,
        }
        // After an error there is none.
        (self.context, self.used) = (Some(context), Instant::now());
        Ok(())
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        let repeated = self.repeated;
        let remark = format!("{repeated} messages were sent again, and not stored a second time");
        Ok(if repeated > 0 { vec![remark] } else { Vec::new() })
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.pause()
    }
}

#[cfg(test)]
mod tests {
    use tidemill_engine::Pipeline;

    #[test]
    fn what_nobody_confirms_may_be_lost() {
        let told = |option: &str| {
            let sink = "[[sink]]\ntype = 'nats'\nurl = 'nats://127.0.0.1:9'\nsubject = 'plant.{sensor}'\n";
            let toml = format!("[source]\ntype = 'csv'\npath = 'in.csv'\n{sink}{option}");
            let pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
            pipeline.guarantees().expect("a graph")[0].told(&pipeline)
        };
        assert!(told("").starts_with("at least once: records written after"), "{}", told(""));
        let lossy = told("jetstream = false");
        assert!(lossy.starts_with("any number of times: with `jetstream = false`"), "{lossy}");
    }
}
