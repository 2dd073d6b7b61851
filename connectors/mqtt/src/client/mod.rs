//! What is needed of a client library: one connection at a time, events one after the other. The library can be replaced behind [`Client`] and [`Sender`].
//!
//! A client connects once: after an error it is dropped, and the next connection has a new one. So nothing that was queued for one connection reaches
//! another: an acknowledgement that is late cannot meet a new message that has the same number.

mod reasons;
mod v4;
mod v5;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::ClientConfig;
use tidemill_connect::tls::failed_check;
use tidemill_engine::error::Error;

pub(crate) use reasons::Reason;
pub(crate) use v4::V4;
pub(crate) use v5::V5;

/// Packets that are read before their events are handled, at most.
pub(crate) const READ_BATCH: usize = 128;

/// Bytes of packets that are read before their events are handled, at most (a single packet may be larger).
const READ_BYTES: usize = 16 << 20;

/// Requests that are written before the connection is flushed, and that may wait for it.
const REQUESTS: usize = 256;

/// Published messages that may wait for their acknowledgement. The library looks through the places of all of them at each flush: with the protocol's
/// 65,535, that took half of the time of a source, which publishes nothing.
const UNDER_WAY: u16 = 1000;

/// How long a client may take to send what is left when it disconnects.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// A topic that nobody subscribes to. Unsubscribing from it changes nothing, and is the only request of a receiver that every broker answers.
const UNUSED: &str = "tidemill/unused";

/// Everything about a connection.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The address in messages.
    pub(crate) address: String,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) client_id: String,
    /// User and password.
    pub(crate) login: Option<(String, Option<String>)>,
    pub(crate) keep_alive: u16,
    pub(crate) connect_timeout: Duration,
    /// `None`: the broker forgets the session when the connection ends.
    pub(crate) session: Option<Session>,
    /// The largest packet that is accepted.
    pub(crate) max_packet: u32,
    /// How many messages the broker may send before the first is acknowledged.
    pub(crate) receive_maximum: u16,
    /// Acknowledge messages as they arrive.
    pub(crate) acknowledges: bool,
}

/// A session that outlives its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    /// Seconds until the broker forgets it.
    pub(crate) expiry: u32,
}

impl Setup {
    fn read_batch(&self) -> usize {
        (READ_BYTES / (self.max_packet as usize).max(1)).clamp(1, READ_BATCH)
    }
}

/// A message from the broker.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) is_retained: bool,
    /// The broker has sent it before.
    pub(crate) is_repeated: bool,
    /// What acknowledges it, unless that was done.
    pub(crate) ack: Option<Ack>,
    pub(crate) properties: Option<Box<Properties>>,
}

/// What messages of MQTT 5 have besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Properties {
    pub(crate) content_type: Option<String>,
    pub(crate) user: Vec<(String, String)>,
}

impl Message {
    /// About how much memory it takes.
    pub(crate) fn size(&self) -> usize {
        let properties = self.properties.iter().flat_map(|properties| &properties.user);
        let properties: usize = properties.map(|(name, value)| 64 + name.len() + value.len()).sum();
        128 + self.topic.len() + self.payload.len() + properties
    }
}

/// Acknowledges a message of the connection over which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    packet: u16,
    is_qos_2: bool,
}

#[cfg(test)]
impl Ack {
    pub(crate) fn of(packet: u16) -> Self {
        Self { packet, is_qos_2: false }
    }
}

/// A message to the broker.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) is_retained: bool,
    /// A user property, for MQTT 5.
    pub(crate) property: Option<(&'static str, String)>,
}

/// What happens on a connection.
#[derive(Debug)]
pub(crate) enum Event {
    /// The broker has accepted the connection; the session is one that it had kept.
    Connected {
        is_resumed: bool,
    },
    /// The answers to [`Sender::subscribe`], in the order of its filters: the QoS that each is granted.
    Subscribed(Vec<Result<u8, Reason>>),
    Message(Message),
    /// A message was written (QoS 0), acknowledged (1) or completed (2), or the broker has refused it.
    Published(Result<(), Reason>),
    /// An acknowledgement was written.
    Acknowledged,
    /// The answer to [`Sender::settle`].
    Settled,
    /// Of no interest.
    Other,
}

/// A connection, once [`Client::next`] is called.
pub(crate) trait Client: Sized {
    type Sender: Sender;

    fn new(setup: &Setup) -> Result<Self, Error>;

    fn sender(&self) -> Self::Sender;

    /// The next event. After an error, which is transient where another attempt may help, the client is of no use.
    async fn next(&mut self) -> Result<Event, Error>;

    /// Whether [`Client::next`] returns without waiting.
    fn has_more(&self) -> bool;
}

/// The other half of a [`Client`]. Each method waits only while many requests are queued, and returns false if the connection is gone.
pub(crate) trait Sender: Clone {
    async fn subscribe(&self, filters: &[String], qos: u8) -> bool;

    async fn publish(&self, message: Outgoing) -> bool;

    async fn acknowledge(&self, ack: Ack) -> bool;

    /// Asks for an answer that follows everything before it: then the broker has taken all acknowledgements.
    async fn settle(&self) -> bool;

    /// Sends what is queued, at most for [`FAREWELL`], and disconnects: then [`Client::next`] returns an error.
    async fn disconnect(&self) -> bool;
}

/// The broker has ended the connection, or there is none: try again later.
fn unavailable(address: &str, why: impl std::fmt::Display) -> Error {
    Error::unavailable(format!("{address}: {why}")).transient()
}

/// The broker has refused the connection.
fn refused(address: &str, reason: Reason) -> Error {
    reason.error(&format!("{address}: the broker refuses the connection"))
}

/// Somebody else listens there.
fn no_broker(address: &str) -> Error {
    Error::unavailable(format!("{address}: it does not answer as an MQTT broker does"))
}

/// TLS has failed: another attempt does not help if a certificate was refused.
fn insecure(address: &str, error: &(dyn StdError + 'static)) -> Error {
    match failed_check(error) {
        Some(check) => Error::unavailable(format!("{address}: {check}")),
        None => {
            unavailable(address, error).with_help("is it an address for TLS (mqtts://, usually port 8883)?")
        }
    }
}

/// A message is larger than what is accepted. The broker would send it again and again.
fn too_large(address: &str, max: u32) -> Error {
    Error::data(format!("{address}: the broker sends a message of more than {max} bytes"))
        .with_help("raise `max_message`; with `version = \"5\"` the broker drops such messages instead")
}
