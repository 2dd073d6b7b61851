//! Messages as records: for sources that receive them from a broker, a server or a device.
//!
//! A message has a payload and an *envelope*: a topic, a key, headers, the time of arrival. [`Lines`] writes both as lines of a text format of tidemill (CSV, JSON
//! Lines or line protocol), which the workers decode as they decode files: the fields of the envelope are further columns of the payload's records. So everything
//! that the options of columns can do applies to messages too, and a rejected record shows its message in the dead letter.
//!
//! | module | |
//! |---|---|
//! | `options` | the options that all sources of messages share: [`Messages`] |
//! | `envelope` | the fields of the envelope, and which of them the options name |
//! | `pattern` | fields from the levels of a topic |
//! | `lines` | messages as lines: [`Lines`] |
//! | `check` | what cannot be decoded, told before the records are in the pipeline |
//! | `readings` | [`Reading`]: what protocols with types of their own send |
//! | `source` | [`Subscription`], a client that receives messages, as a source: [`MessageSource`] |

mod check;
mod envelope;
mod json;
mod lines;
mod options;
mod pattern;
mod quoting;
mod readings;
mod source;
#[cfg(test)]
mod tests;

pub use envelope::{ARRIVAL, Envelope};
pub use lines::Lines;
pub use options::{Decoding, MessageOptions, Messages, Payload};
pub use pattern::TopicPattern;
pub use readings::{READING, Reading};
pub use source::{MessageSource, Received, Subscription};
