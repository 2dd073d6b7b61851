//! Apache Kafka for **tidemill**: the source and the sink `kafka`.
//!
//! The client is librdkafka, which has threads of its own; what is here polls it.

mod connection;
mod failure;
mod patience;
mod probe;
mod sink;
mod source;
mod topic;

pub use connection::{Connection, Mechanism, Sasl};
/// The client library, for programs that use it beside the components.
pub use rdkafka;
pub use sink::{Compression, Content, Kafka as KafkaSink, Messages, Stamp};
pub use source::{Gaps, Isolation, Kafka as KafkaSource, RegistryOptions, Start, Topics};
