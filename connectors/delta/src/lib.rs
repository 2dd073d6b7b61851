//! Delta Lake tables as a sink of **tidemill**: rows are appended, exactly once.
//!
//! It delivers by epochs. An epoch is a version of the table: its files are added by a commit that has the number of the epoch too, as a transaction identifier of the Delta
//! protocol; an epoch whose number is there already has no effect.
//!
//! | module | what |
//! |---|---|
//! | `target`, `kind` | which column of the table takes which column of the records, and the types that fit |
//! | `rows` | records as bytes, which are kept until their epoch is delivered |
//! | `fit`, `files` | rows as the table has them, and as Parquet files by partition |
//! | `table`, `failure` | the log of the table: what it says, commits, checkpoints; what errors mean |
//! | `folder` | a folder of this machine as an object store, whose files are on the disk when they appear |
//! | `deliver` | the commit of an epoch |

mod deliver;
mod failure;
mod files;
mod fit;
mod folder;
mod kind;
mod rows;
mod table;
mod target;

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
use self::target::Target;

#[cfg(test)]
mod tests;

/// Rows of a Delta Lake table, appended: a version of the table per checkpoint of the run. Times are of type `timestamp`, which has microseconds: nanoseconds are cut off (and
/// counted). Bytes of text that are not UTF-8 are replaced by U+FFFD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeltaTable {
    /// The folder of the table, such as "lake/readings".
    pub path: FilePath,
    /// Whether to create the table if it does not exist: a column for each of the records.
    #[serde(default)]
    pub create: bool,
    /// The columns by whose values the table is partitioned, such as ["day"] or ["plant", "day"]. `day` is the day of the time in UTC, of type `date`, unless the records have a
    /// column of that name. They must be those of the table, if it exists.
    #[serde(default)]
    pub partition_by: Vec<String>,
    /// The table's names for columns of the records that are called otherwise, such as { value = "celsius" }.
    #[serde(default)]
    pub columns: IndexMap<String, String>,
    /// Columns of the records that are not written.
    #[serde(default)]
    pub omit: Vec<String>,
    /// The beginning of the transaction identifier under which the table counts the epochs of this sink. The rest is made with the state folder of the run (`--state`), and stays the
    /// same when the run is started again with it.
    #[serde(default = "default_app_id")]
    pub app_id: String,
    /// The zstd level of the Parquet files, from 1 (fast) to 22 (small).
    #[serde(default = "default_level")]
    pub level: i32,
    /// Records per row group of the Parquet files: the unit that readers can skip.
    #[serde(default = "default_row_group")]
    pub row_group: usize,
}

inventory::submit! { Component::of::<DeltaTable>("delta", "rows of a Delta Lake table, exactly once") }

fn default_app_id() -> String {
    "tidemill".to_owned()
}

fn default_level() -> i32 {
    1
}

fn default_row_group() -> usize {
    1 << 18
}

impl SinkSpec for DeltaTable {
    fn name(&self) -> &str {
        "delta"
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
        let mut writer = Writer::new(Target::new(self, schema)?, schema, &self.app_id, context);
        match writer.look() {
            // A disk that is full does not keep a run from starting: its rows wait.
            Err(error) if !error.is_transient() => Err(error.with_context("before the run")),
            _ => Ok(Box::new(writer)),
        }
    }
}
