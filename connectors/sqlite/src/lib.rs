//! SQLite databases as a sink of **tidemill**: rows of a table, exactly once.
//!
//! It delivers by epochs. The rows of an epoch and its number are written in one transaction; an epoch whose number is there already has no effect.
//!
//! | module | what |
//! |---|---|
//! | `table` | which column of the table takes which column of the records |
//! | `rows` | records as bytes, which are kept until their epoch is delivered |
//! | `deliver` | the transaction of an epoch |

mod deliver;
mod rows;
mod table;

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_engine::batch::Schema;
use tidemill_engine::error::Result;
use tidemill_engine::files::{Base, FilePath};
use tidemill_engine::probe::Probe;
use tidemill_engine::sink::{Component, Repeat, Sink, SinkContext, SinkSpec};

use self::deliver::Writer;
use self::table::Target;

/// Rows of a table of an SQLite database. A time is text of a fixed length, such as "2026-01-01T00:00:00.000000000Z", or nanoseconds since 1970 if the column is of an
/// integer type. SQLite has no NaN: it becomes null; integers beyond 63 bits become the nearest real number, and bytes of text that are not UTF-8 become U+FFFD. All of that is
/// counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteTable {
    /// The database file, such as "readings.db".
    pub path: FilePath,
    /// The table.
    pub table: String,
    /// Whether to create the database and the table if they do not exist: a column for each of the records, and with `key` a primary key.
    #[serde(default)]
    pub create: bool,
    /// Columns of the table, such as ["time", "sensor"], that identify a row: a record whose key the table has already replaces that row. The table needs a primary key
    /// or a unique index on these columns. By default, every record is a new row.
    #[serde(default)]
    pub key: Vec<String>,
    /// The table's names for columns of the records that are called otherwise, such as { value = "celsius" }.
    #[serde(default)]
    pub columns: IndexMap<String, String>,
    /// Columns of the records that are not written.
    #[serde(default)]
    pub omit: Vec<String>,
}

inventory::submit! { Component::of::<SqliteTable>("sqlite", "rows of a table of an SQLite database, exactly once") }

impl SinkSpec for SqliteTable {
    fn name(&self) -> &str {
        "sqlite"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn delivers(&self) -> bool {
        true
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base), ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        Target::new(self, schema).map(drop)
    }

    fn probe(&self, schema: Option<&Schema>, probe: &mut Probe) {
        let Some(schema) = schema else { return };
        probe.step("table", || Ok(((), Target::new(self, schema)?.inspect()?)));
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let mut writer = Writer::new(Target::new(self, schema)?, context);
        match writer.look() {
            // A database that somebody else holds does not keep a run from starting: its rows wait.
            Err(error) if !error.is_transient() => Err(error.with_context("before the run")),
            _ => Ok(Box::new(writer)),
        }
    }
}
