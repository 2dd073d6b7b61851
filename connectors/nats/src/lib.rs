//! NATS for **tidemill**: the source and the sink `nats`, with JetStream or without.
//!
//! | module | |
//! |---|---|
//! | `connection` | how a server is reached |
//! | `failure` | errors of the client in words |
//! | `subjects` | subjects to receive, and columns from their tokens |
//! | `probe` | a look at the server before a run |
//! | `source` | [`Nats`]: messages become records |
//! | `sink` | [`NatsSink`]: records become messages |

mod connection;
mod failure;
mod probe;
mod sink;
mod source;
mod subjects;

pub use connection::Connection;
pub use sink::{Nats as NatsSink, Publication};
pub use source::{Nats, Subscription};
