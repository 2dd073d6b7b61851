//! What a message has besides its payload.

use std::borrow::Cow;

use rdkafka::Message;
use rdkafka::message::Headers;
use tidemill_connect::message::Envelope;
use tidemill_engine::time::Timestamp;

/// The names of fields.
const NAMES: &[&str] = &["@topic", "@partition", "@offset", "@timestamp", "@key"];

/// What the names of headers begin with.
const HEADER: &str = "@header:";

/// A field that records have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    Header(String),
    /// The time of arrival, which is not asked for here.
    Other,
}

/// The fields that all messages have.
pub(super) fn envelope() -> Envelope {
    Envelope { fields: NAMES, prefixes: &[HEADER], names: Vec::new(), sensor: "@key" }
}

impl Field {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "@topic" => Self::Topic,
            "@partition" => Self::Partition,
            "@offset" => Self::Offset,
            "@timestamp" => Self::Timestamp,
            "@key" => Self::Key,
            _ => name.strip_prefix(HEADER).map_or(Self::Other, |name| Self::Header(name.to_owned())),
        }
    }

    /// Its value; what is not UTF-8 becomes U+FFFD.
    pub(super) fn value<'m>(&self, message: &'m impl Message) -> Option<Cow<'m, str>> {
        match self {
            Self::Topic => Some(message.topic().into()),
            Self::Partition => Some(message.partition().to_string().into()),
            Self::Offset => Some(message.offset().to_string().into()),
            Self::Timestamp => message.timestamp().to_millis().map(|millis| rfc3339(millis).into()),
            Self::Key => message.key().map(String::from_utf8_lossy),
            Self::Header(name) => header(message, name),
            Self::Other => None,
        }
    }
}

/// The last header of this name.
fn header<'m>(message: &'m impl Message, name: &str) -> Option<Cow<'m, str>> {
    let headers = message.headers()?;
    let found =
        (0..headers.count()).rev().filter_map(|at| headers.try_get(at)).find(|header| header.key == name);
    found?.value.map(String::from_utf8_lossy)
}

fn rfc3339(millis: i64) -> String {
    let mut out = Vec::new();
    Timestamp::from_nanos(millis.saturating_mul(1_000_000)).write_rfc3339(&mut out);
    String::from_utf8(out).unwrap_or_default()
}
