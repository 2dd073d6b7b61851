//! The sink `mqtt`: each record is a message.
//!
//! It delivers by epochs: [`Sink::deliver`] returns when the broker has acknowledged every message of the epoch. The broker has no transactions, so an epoch that
//! is delivered again is sent again: at least once.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::{Deserialize, Serialize};
use tidemill_connect::blocking::Blocking;
use tidemill_connect::publish::{Content, Encoder, Outbox, Rules, Topic};
use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options, merged};
use tidemill_engine::probe::Probe;
use tidemill_engine::sink::{Component, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use tokio::time::{Instant, timeout, timeout_at};

use crate::client::{Client, Event, FAREWELL, Outgoing, Reason, Sender, Setup, V4, V5};
use crate::options::{Connection, Version};

/// The largest packet that the broker may send: it sends acknowledgements only.
const MAX_PACKET: u32 = 64 << 10;

/// The user property with the key of a message (MQTT 5): the same if it is sent again.
const KEY: &str = "idempotency-key";

/// Messages for an MQTT broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Mqtt {
    /// The broker.
    pub connection: Connection,
    /// The messages.
    pub publication: Publication,
}

inventory::submit! { Component::of::<Mqtt>("mqtt", "messages for an MQTT broker, version 3.1.1 or 5") }

/// What the messages are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Publication {
    /// The topic of a record's message, with columns in braces: "plant/{sensor}/temp". In their values +, # and / become _, as do control characters; an empty value is _ too.
    pub topic: String,
    /// Whether values in the topic keep their slashes: "a/b" is then two levels.
    #[serde(default)]
    pub slashes: bool,
    /// What a message contains: "json", the record as an object, or "number", the value of `column`.
    #[serde(default)]
    pub payload: Content,
    /// The column of a "number"; by default the only measurement.
    #[serde(default)]
    pub column: Option<String>,
    /// The quality of service: 0 (a message may be lost), 1 (at least once between this client and the broker) or 2 (exactly once between them; an epoch that is delivered again is still sent
    /// again).
    #[serde(default = "qos")]
    pub qos: u8,
    /// Whether the broker keeps the last message of each topic for later subscribers.
    #[serde(default)]
    pub retain: bool,
}

fn qos() -> u8 {
    1
}

impl Publication {
    /// Records as JSON, to the topic that they have by this template.
    pub fn new(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            slashes: false,
            payload: Content::default(),
            column: None,
            qos: qos(),
            retain: false,
        }
    }
}

/// The topics of the protocol.
const TOPICS: Rules = Rules {
    option: "topic",
    separator: '/',
    wildcards: ['+', '#'],
    spaces: true,
    empty_levels: true,
    longest: 65_535,
    example: "plant/{sensor}/temp",
};

impl Publication {
    fn encoder(&self, schema: &Schema) -> Result<Encoder> {
        let topic = Topic::new(&self.topic, TOPICS, self.slashes, schema)?;
        Encoder::new(topic, self.payload, self.column.as_deref(), schema)
    }
}

impl Mqtt {
    /// Records as JSON for the broker at `url`.
    pub fn new(url: impl Into<String>, topic: impl Into<String>) -> Self {
        Self { connection: Connection::new(url), publication: Publication::new(topic) }
    }
}

impl Configure for Mqtt {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![schemars::schema_for!(Connection), schemars::schema_for!(Publication)]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (connection, publication) = (options.take(), options.take());
        Some(Self { connection: connection?, publication: publication? })
    }
}

impl SinkSpec for Mqtt {
    fn name(&self) -> &str {
        "mqtt"
    }

    fn parameters(&self) -> serde_json::Value {
        let connection = serde_json::to_value(&self.connection).unwrap_or_default();
        merged([connection, serde_json::to_value(&self.publication).unwrap_or_default()])
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn delivers(&self) -> bool {
        true
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { connection: self.connection.with_base(base), ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        self.connection.check()?;
        if self.publication.qos > 2 {
            return Err(Error::config(format!("`qos` {} is not 0, 1 or 2", self.publication.qos)));
        }
        self.publication.encoder(schema).map(drop)
    }

    fn probe(&self, _schema: Option<&Schema>, probe: &mut Probe) {
        crate::probe::probe(&self.connection, &[], 0, probe);
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(match self.connection.version {
            Version::V4 => Box::new(Open::<V4>::new(self, schema, context)?),
            Version::V5 => Box::new(Open::<V5>::new(self, schema, context)?),
        })
    }
}

/// The sink in use. The connection is made by the first delivery, and lives on those: between two of them nobody answers the broker.
struct Open<C: Client> {
    connection: Connection,
    publication: Publication,
    encoder: Arc<Encoder>,
    blocking: Blocking,
    client: Option<C>,
    /// When the connection was last used.
    used: Instant,
    /// After one and a half of it without an acknowledgement, the delivery has failed.
    keep_alive: Duration,
    writer: Option<Arc<str>>,
}

impl<C: Client> Open<C> {
    fn new(spec: &Mqtt, schema: &Schema, context: &SinkContext) -> Result<Self> {
        Ok(Self {
            connection: spec.connection.clone(),
            publication: spec.publication.clone(),
            encoder: Arc::new(spec.publication.encoder(schema)?),
            blocking: Blocking::new(Arc::clone(&context.stop))?,
            client: None,
            used: Instant::now(),
            keep_alive: Duration::ZERO,
            writer: context.writer.clone(),
        })
    }

    /// A connection that the broker still has.
    fn connect(&mut self, setup: &Setup) -> Result<C> {
        self.keep_alive = Duration::from_secs(u64::from(setup.keep_alive));
        let is_fresh = self.used.elapsed() < self.keep_alive / 2;
        if let Some(client) = self.client.take().filter(|_| is_fresh) {
            return Ok(client);
        }
        let mut client = C::new(setup)?;
        self.blocking.wait(async {
            while !matches!(client.next().await?, Event::Connected { .. }) {}
            Ok(client)
        })
    }

    fn outgoing(&self, epoch: u64, ordinal: u64, topic: &str, payload: &[u8]) -> Outgoing {
        let Publication { qos, retain, .. } = self.publication;
        let key = |writer: &Arc<str>| (KEY, format!("{writer}/{epoch}/{ordinal}"));
        Outgoing {
            topic: topic.to_owned(),
            payload: payload.to_vec(),
            qos,
            is_retained: retain,
            property: self.writer.as_ref().map(key),
        }
    }

    /// Sends everything, and waits for the acknowledgements.
    async fn send(
        &self,
        client: &mut C,
        epoch: u64,
        rows: &mut dyn Iterator<Item = Result<Vec<u8>>>,
    ) -> Result<()> {
        let patience = self.keep_alive.mul_f64(1.5);
        let (sent, is_all, answered) = (Cell::new(0_u64), Cell::new(false), Cell::new(0_u64));
        let sender = client.sender();
        let publish = async {
            for block in rows {
                for message in Outbox(&block?) {
                    let (topic, payload) = message?;
                    if !sender.publish(self.outgoing(epoch, sent.get(), topic, payload)).await {
                        return Err(self.refused(Reason::Filter));
                    }
                    sent.set(sent.get() + 1);
                }
            }
            is_all.set(true);
            Ok(())
        };
        let is_done = || is_all.get() && answered.get() >= sent.get();
        let answers = async {
            let mut progress = Instant::now();
            loop {
                let next = timeout_at(progress + patience, client.next()).await;
                match next.map_err(|_| self.unanswered(patience))?? {
                    Event::Published(Ok(())) => {
                        answered.set(answered.get() + 1);
                        progress = Instant::now();
                    }
                    Event::Published(Err(reason)) => return Err(self.refused(reason)),
                    _ => {}
                }
                if is_done() {
                    return Ok(());
                }
            }
        };
        let (mut publish, mut answers) = (std::pin::pin!(publish), std::pin::pin!(answers));
        tokio::select! {
            published = &mut publish => published?,
            answer = &mut answers => return answer,
        }
        // The last answer may have come with the last message.
        if is_done() {
            return Ok(());
        }
        answers.await
    }

    fn refused(&self, reason: Reason) -> Error {
        let Self { connection, publication, .. } = self;
        reason.error(&format!("{}: a message for {:?} was refused", connection.url, publication.topic))
    }

    /// The broker may still answer whether it is there.
    fn unanswered(&self, patience: Duration) -> Error {
        let Self { connection, publication, .. } = self;
        Error::unavailable(format!(
            "{}: the broker has not acknowledged a message for {:?} within {} seconds",
            connection.url,
            publication.topic,
            patience.as_secs_f64()
        ))
        .transient()
    }
}

impl<C: Client + Send> Sink for Open<C> {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(self.encoder.clone())
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let setup = self.connection.setup(MAX_PACKET, None)?;
        let mut client = self.connect(&setup)?;
        self.blocking.wait(self.send(&mut client, epoch, rows))?;
        // After an error there is none.
        (self.client, self.used) = (Some(client), Instant::now());
        Ok(())
    }
}

impl<C: Client> Drop for Open<C> {
    fn drop(&mut self) {
        let Some(mut client) = self.client.take() else { return };
        let _ended_or_late = self.blocking.wait(async {
            let sender = client.sender();
            let disconnect = async {
                sender.disconnect().await;
                while client.next().await.is_ok() {}
            };
            let _late = timeout(FAREWELL, disconnect).await;
            Ok(())
        });
    }
}
