//! Records as messages: for sinks that publish to a broker.
//!
//! | module | |
//! |---|---|
//! | `topic` | where a record's message goes: a text with columns in braces |
//! | `encode` | messages in the bytes that are kept until they are delivered |

mod encode;
#[cfg(test)]
mod tests;
mod topic;

pub use encode::{Content, Encoder, Outbox};
pub use topic::{Rules, Topic};
