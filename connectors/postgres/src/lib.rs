//! PostgreSQL as a source and a sink of **tidemill**: rows of a query in, rows of a table out, each exactly once where both ends allow it.
//!
//! | module | what |
//! |---|---|
//! | `server`, `session`, `failure` | the options of a connection, a connection, and what its errors mean |
//! | `names`, `kind`, `value`, `numeric` | SQL names, the types of columns, and their values in the binary format of `COPY` |
//! | `sink` | `COPY … FROM STDIN`, rows and epoch in one transaction |
//! | `source` | `COPY … TO STDOUT`, by a cursor column where there is one |

mod failure;
mod kind;
mod names;
mod numeric;
mod server;
mod session;
mod sink;
mod source;
mod value;

pub use server::ServerOptions;
pub use sink::{PostgresTable, TableOptions};
pub use source::{PostgresQuery, QueryOptions};

/// The parameters of a component with several groups of options.
fn parameters<const N: usize>(groups: [serde_json::Result<serde_json::Value>; N]) -> serde_json::Value {
    let fields = groups.into_iter().filter_map(|group| match group {
        Ok(serde_json::Value::Object(fields)) => Some(fields),
        _ => None,
    });
    serde_json::Value::Object(fields.flatten().collect())
}
