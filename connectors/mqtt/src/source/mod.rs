//! The source `mqtt`.
//!
//! | module | |
//! |---|---|
//! | `link` | the thread of the connection |
//! | `receiving` | its receiving side |
//! | `subscription` | the reader: messages become lines |
//! | `acks` | messages that are not acknowledged yet |

mod acks;
mod link;
mod receiving;
mod subscription;

use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use tidemill_connect::inbox::Inbox;
use tidemill_connect::message::{Lines, MessageSource, Messages, Payload};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options, merged};
use tidemill_engine::probe::Probe;
use tidemill_engine::source::{Component, OneOrMany, OpenOptions, Recovery, Source, SourceSpec, Traits};

use self::acks::Acks;
use self::link::Subscriptions;
use self::subscription::{Counts, Receiver};
use crate::client::{Session, Setup};
use crate::options::{Connection, duration};
use crate::sparkplug::Sparkplug;
use crate::topics::{Field, Topics};

/// What messages may contain.
const PAYLOADS: &[Payload] = &[
    Payload::Number,
    Payload::Json,
    Payload::Jsonl,
    Payload::Csv,
    Payload::Influx,
    Payload::Senml,
    Payload::Sparkplug,
];

/// Messages of an MQTT broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Mqtt {
    /// The broker.
    pub connection: Connection,
    /// The messages that are asked for.
    pub subscription: Subscription,
    /// What they contain.
    pub messages: Messages,
}

inventory::submit! { Component::of::<Mqtt>("mqtt", "messages of an MQTT broker, version 3.1.1 or 5; Sparkplug B") }

/// The messages that are asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subscription {
    /// The topic to subscribe to, or a list of topics: "plant/+/temp", "plant/#", or with names for levels, which become columns: "plant/{line}/{sensor}/temp". A level named `sensor` is
    /// the sensor; without one, the sensor is the topic, unless `sensor` says otherwise.
    pub topic: OneOrMany,
    /// The quality of service that is asked for: 0 (a message may be lost), 1 or 2 (a message is sent until it is acknowledged). With `--state` and
    /// 1 or 2, a message is acknowledged when it is in a checkpoint: at least once.
    #[serde(default = "qos")]
    pub qos: u8,
    /// The name of a group that shares the messages: each goes to one client of the group ("$share/GROUP/TOPIC").
    #[serde(default)]
    pub share: Option<String>,
    /// For how long the broker keeps the session of a client with a `client_id` that is not connected, with the messages for it. MQTT 3.1.1 leaves
    /// that to the broker.
    #[serde(default = "session_expiry")]
    pub session_expiry: String,
    /// How many messages of QoS 1 and 2 the broker may send before the first is acknowledged (1 to 65,535). The broker may have a smaller limit, and
    /// MQTT 3.1.1 knows only that: in mosquitto it is `max_inflight_messages`, 20 by default, which slows down a run with `--state`. With MQTT 5, mosquitto goes by
    /// `receive_maximum` alone.
    #[serde(default = "receive_maximum")]
    pub receive_maximum: u16,
    /// The largest message in bytes, with its topic. MQTT 5 does not send larger ones; with 3.1.1 a larger one ends the run.
    #[serde(default = "max_message")]
    pub max_message: u32,
    /// With `payload = "sparkplug"`: ask a node for its birth certificate when data comes before it, or a message is missing.
    #[serde(default = "rebirth")]
    pub rebirth: bool,
}

fn qos() -> u8 {
    1
}

fn session_expiry() -> String {
    "1d".to_owned()
}

fn receive_maximum() -> u16 {
    u16::MAX
}

fn max_message() -> u32 {
    256 << 10
}

fn rebirth() -> bool {
    true
}

impl Subscription {
    /// Subscribes to `topic`.
    pub fn new(topic: impl Into<String>) -> Self {
        Self {
            topic: OneOrMany::One(topic.into()),
            qos: qos(),
            share: None,
            session_expiry: session_expiry(),
            receive_maximum: receive_maximum(),
            max_message: max_message(),
            rebirth: rebirth(),
        }
    }

    fn topics(&self) -> Result<Topics> {
        let topics = match &self.topic {
            OneOrMany::One(topic) => std::slice::from_ref(topic),
            OneOrMany::Many(topics) => topics,
        };
        Topics::new(topics, self.share.as_deref())
    }

    fn check(&self) -> Result<()> {
        if self.qos > 2 {
            return Err(Error::config(format!("`qos` {} is not 0, 1 or 2", self.qos)));
        }
        if self.receive_maximum == 0 {
            return Err(Error::config("`receive_maximum` must be at least 1"));
        }
        if !(1024..=268_435_455).contains(&self.max_message) {
            return Err(Error::config("`max_message` must be between 1,024 and 268,435,455 bytes"));
        }
        self.topics().map(drop)
    }
}

impl Mqtt {
    /// The messages of `topic` at the broker `url`, with these contents.
    pub fn new(url: impl Into<String>, topic: impl Into<String>, messages: Messages) -> Self {
        Self { connection: Connection::new(url), subscription: Subscription::new(topic), messages }
    }

    /// Whether the broker keeps messages until they are acknowledged, also while this client is not connected.
    fn is_kept(&self) -> bool {
        self.subscription.qos > 0 && self.connection.client_id.is_some()
    }

    fn setup(&self, acknowledges: bool) -> Result<Setup> {
        self.subscription.check()?;
        let expiry = duration("session_expiry", &self.subscription.session_expiry)?.as_secs();
        let expiry = u32::try_from(expiry).unwrap_or(u32::MAX);
        let session = self.is_kept().then_some(Session { expiry });
        let setup = self.connection.setup(self.subscription.max_message, session)?;
        Ok(Setup { receive_maximum: self.subscription.receive_maximum, acknowledges, ..setup })
    }
}

impl Configure for Mqtt {
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

impl SourceSpec for Mqtt {
    fn name(&self) -> &str {
        "mqtt"
    }

    fn parameters(&self) -> serde_json::Value {
        let value = |group: serde_json::Result<serde_json::Value>| group.unwrap_or_default();
        merged([
            value(serde_json::to_value(&self.connection)),
            value(serde_json::to_value(&self.subscription)),
            self.messages.parameters(),
        ])
    }

    fn traits(&self) -> Traits {
        // What is acknowledged late comes again.
        let recovery = if self.is_kept() { Recovery::Redelivered } else { Recovery::Lost };
        Traits { is_bounded: false, is_replayable: false, is_open: true, recovery }
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        Some(Arc::new(Self { connection: self.connection.with_base(base), ..self.clone() }))
    }

    fn can_resume(&self) -> bool {
        self.is_kept()
    }

    fn check_resumable(&self) -> Result<()> {
        if self.subscription.qos > 0 && self.connection.client_id.is_none() {
            return Err(Error::config("with --state and `qos` 1 or 2, the source needs a `client_id`: by that, the broker keeps what is not acknowledged")
                .with_help("such as client_id = \"tidemill-plant\", or qos = 0"));
        }
        Ok(())
    }

    fn probe(&self, probe: &mut Probe) {
        // A shared subscription would take messages from the others.
        let alone = Subscription { share: None, ..self.subscription.clone() };
        let Ok(topics) = alone.topics() else { return };
        crate::probe::probe(&self.connection, &topics.unshared(), self.subscription.qos, probe);
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        // Without checkpoints nothing is durable, and the client acknowledges by itself.
        let is_late = options.keeps_place && self.is_kept();
        let setup = self.setup(!is_late)?;
        let topics = self.subscription.topics()?;
        let envelope = Field::envelope(&topics);
        let decoding = self.messages.decoding(&self.connection.url, &envelope, options)?;
        let fields = decoding.fields.iter().map(|name| Field::of(name)).collect();
        let lines = Lines::new(decoding, self.connection.url.as_str(), options.chunk_size);
        let subscriptions = Subscriptions {
            version: self.connection.version,
            setup,
            filters: topics.filters.clone(),
            qos: self.subscription.qos,
            resumes: is_late && options.resume.is_some(),
            clock: options.clock.clone(),
        };
        let receiver = Receiver {
            subscriptions: Some(subscriptions),
            topics,
            fields,
            acks: is_late.then(|| Acks::new(self.subscription.receive_maximum)),
            sparkplug: (self.messages.payload() == Payload::Sparkplug).then(Sparkplug::default),
            asks: self.subscription.rebirth,
            cuts: options.cuts.clone(),
            stop: Arc::clone(&options.stop),
            inbox: Arc::new(Inbox::default()),
            link: None,
            arrived: Vec::new().into_iter(),
            closed: None,
            counts: Counts::default(),
        };
        Ok(Box::new(MessageSource::new(receiver, lines)))
    }
}
