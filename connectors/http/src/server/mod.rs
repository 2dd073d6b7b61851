//! `http`: a source that is an HTTP server, to which others send records.
//!
//! ```text
//! connection ─▶ accept ─▶ access (host, token) ─▶ body (limits, gzip, zstd, snappy) ─▶ content (records, readings) ─▶ queue ─▶ source ─▶ pipeline
//!                                                                   answer ◀── tickets ◀── durable
//! ```
//!
//! | module | |
//! |---|---|
//! | `options` | the options, and the component |
//! | `accept` | connections: their number, TLS |
//! | `access` | who may send |
//! | `body` | bodies: their size, also when they are decompressed |
//! | `certificates` | TLS, with certificates that are renewed |
//! | `content` | what a body contains, checked before it is accepted |
//! | `fields` | what a request has besides its body |
//! | `handle` | a request and its answer |
//! | `influx` | what clients of InfluxDB expect |
//! | `pace` | how long a connection may take |
//! | `prometheus` | remote write |
//! | `protobuf` | the wire format of Protocol Buffers |
//! | `queue` | what has been received, and is not in the pipeline yet |
//! | `subscription` | the source |

mod accept;
mod access;
mod body;
mod certificates;
mod content;
mod fields;
mod handle;
mod influx;
mod options;
mod pace;
mod prometheus;
mod protobuf;
mod queue;
mod subscription;

pub use options::{HttpServer, ServerOptions};
