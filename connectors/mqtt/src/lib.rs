//! MQTT for **tidemill**: the source and the sink `mqtt`, versions 3.1.1 and 5 of the protocol.
//!
//! | module | |
//! |---|---|
//! | `options` | how a broker is reached |
//! | `client` | what is needed of a client library, and the two that are used |
//! | `probe` | a look at the broker before a run |
//! | `topics` | topics to subscribe to, and columns from their levels |
//! | `sparkplug` | Sparkplug B: births, data, deaths |
//! | `source` | [`Mqtt`]: messages become records |
//! | `sink` | [`MqttSink`]: records become messages |

mod client;
mod options;
mod probe;
mod sink;
mod source;
mod sparkplug;
mod topics;

pub use options::{Connection, Version};
pub use sink::{Mqtt as MqttSink, Publication};
pub use source::{Mqtt, Subscription};
