//! What the connectors of **tidemill** share. Each connector is a crate of its own beside this one, and like this one it uses only what `tidemill` re-exports.

pub mod alert;
pub mod blocking;
pub mod endpoint;
#[cfg(feature = "http")]
pub mod http;
pub mod inbox;
pub mod line_protocol;
pub mod message;
pub mod publish;
mod senml;
pub mod template;
pub mod tls;
pub mod worker;
