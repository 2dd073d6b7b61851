//! OPC UA for **tidemill**: the source `opcua`, which subscribes to nodes of a server, or reads their history.
//!
//! | module | |
//! |---|---|
//! | `options` | how a server is reached |
//! | `failure` | what went wrong, in words |
//! | `certificates` | files with certificates and keys |
//! | `security` | the endpoint of a server that is used, its certificate, and the login |
//! | `session` | a session with a server |
//! | `pattern` | browse paths with wildcards |
//! | `references` | what nodes refer to |
//! | `browse` | the nodes that paths match |
//! | `nodes` | what is known of a node before its first value: unit, range |
//! | `value` | values with their status and time |
//! | `probe` | a look at the server before a run |
//! | `source` | [`OpcUa`]: values become records |

mod browse;
mod certificates;
mod failure;
mod nodes;
mod options;
mod pattern;
mod probe;
mod references;
mod security;
mod session;
mod source;
mod value;

/// The client library, for programs that use it beside the components.
pub use opcua;
pub use options::{Connection, Security};
pub use source::{Bad, History, Monitoring, OpcUa};
