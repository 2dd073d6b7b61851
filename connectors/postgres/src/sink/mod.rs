//! The sink `postgres`: rows of a table, exactly once.
//!
//! It delivers by epochs. The rows of an epoch and its number are written in one transaction; an epoch whose number is there already has no effect.

mod deliver;
mod rows;
mod table;

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::{Deserialize, Serialize};
use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::sink::{Component, Repeat, Sink, SinkContext, SinkSpec};

use self::deliver::Writer;
use self::table::Target;
use crate::server::ServerOptions;

/// The table of the sink `postgres`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TableOptions {
    /// The table, such as "readings" or "plant.readings", as the database shows its name.
    pub table: String,
    /// Whether to create the table if it does not exist: a column for each of the records, and with `key` a primary key.
    #[serde(default)]
    pub create: bool,
    /// Columns of the table, such as ["time", "sensor"], that identify a row: a record whose key the table has already replaces that row. The table needs a unique
    /// index on these columns, none of which may be null. By default, every record is a new row.
    #[serde(default)]
    pub key: Vec<String>,
    /// The table's names for columns of the records that are called otherwise, such as { value = "celsius" }.
    #[serde(default)]
    pub columns: IndexMap<String, String>,
    /// Columns of the records that are not written.
    #[serde(default)]
    pub omit: Vec<String>,
}

/// Rows of a table of a PostgreSQL database. `timestamptz` and `timestamp` have microseconds: nanoseconds are cut off (and counted); a column of type `bigint` takes
/// times as nanoseconds since 1970. Characters that a text cannot have (NUL, bytes that are not UTF-8) are replaced by U+FFFD.
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresTable {
    /// The server.
    pub server: ServerOptions,
    /// The table.
    pub table: TableOptions,
}

inventory::submit! { Component::of::<PostgresTable>("postgres", "rows of a table of a PostgreSQL database, exactly once") }

impl Configure for PostgresTable {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![schemars::schema_for!(ServerOptions), schemars::schema_for!(TableOptions)]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (server, table) = (options.take(), options.take());
        Some(Self { server: server?, table: table? })
    }
}

impl SinkSpec for PostgresTable {
    fn name(&self) -> &str {
        "postgres"
    }

    fn parameters(&self) -> serde_json::Value {
        crate::parameters([serde_json::to_value(&self.server), serde_json::to_value(&self.table)])
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn delivers(&self) -> bool {
        true
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { server: self.server.with_base(base), table: self.table.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        self.server.server()?;
        Target::new(&self.table, schema).map(drop)
    }

    fn probe(&self, schema: Option<&Schema>, probe: &mut Probe) {
        self.server.probe(probe, async |probe, session| {
            let Some(schema) = schema else { return };
            let found = match Target::new(&self.table, schema) {
                Ok(target) => target.inspect(session).await,
                Err(error) => Err(error),
            };
            probe.step("table", || Ok(((), found?)));
        });
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let target = Target::new(&self.table, schema)?;
        let mut writer = Writer::new(self.server.server()?, target, context)?;
        match writer.look() {
            // A server that is down does not keep a run from starting: its rows wait, and the delivery finds out the rest.
            Err(error) if !error.is_transient() => Err(Error::with_context(error, "before the run")),
            _ => Ok(Box::new(writer)),
        }
    }
}
