//! `own_sqlite`: a sink that is not a file, in a separate crate on the public API: a table of an SQLite database. `connectors/sqlite` is the one to use: it checks the table before the run,
//! and updates rows by a key.
//!
//! It delivers by epochs. The rows of an epoch and the epoch's number are written in one transaction; an epoch whose number exists already has
//! no effect. So with `--state` each record is in the table exactly once, even after kills.

mod rows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params_from_iter,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::batch::{Batch, Schema};
use tidemill::files::{Base, FilePath};
use tidemill::sensor::Sensors;
use tidemill::sink::{Block, Component, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use tidemill::{Error, Result};

use rows::{Row, rows_of};

/// How long to wait for a lock of the database before the delivery is retried later.
const BUSY: Duration = Duration::from_millis(200);

/// Rows of a table of an SQLite database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sqlite {
    /// The database; created if it does not exist.
    pub path: FilePath,
    /// The table; created with the columns of the records if it does not exist.
    pub table: String,
}

tidemill::submit! { Component::of::<Sqlite>("own_sqlite", "rows of a table of an SQLite database, exactly once") }

impl SinkSpec for Sqlite {
    fn name(&self) -> &str {
        "own_sqlite"
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

    fn check(&self, _schema: &Schema) -> Result<()> {
        let is_name = |name: &str| !name.is_empty() && !name.contains('\0') && !name.starts_with("sqlite_");
        match is_name(&self.table) {
            true => Ok(()),
            false => Err(Error::config(format!("`table` {:?} is not a table name", self.table))),
        }
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let path = self.path.as_ref().to_path_buf();
        let failed = |error: rusqlite::Error| error_of(&path, &error);
        let connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let columns: Vec<_> = schema.fields().iter().map(|field| quoted(&field.name)).collect();
        let table = quoted(&self.table);
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {table} ({});
             CREATE TABLE IF NOT EXISTS tidemill_epochs (writer TEXT PRIMARY KEY, epoch INTEGER NOT NULL);",
            columns.join(", ")
        );
        connection.execute_batch(&sql).map_err(failed)?;
        let values = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {table} ({}) VALUES ({values})", columns.join(", "));
        // Identifies this writer among others.
        let writer = context.writer.clone().unwrap_or_default();
        Ok(Box::new(Open { path, connection, insert, writer }))
    }
}

/// The sink in use.
struct Open {
    path: PathBuf,
    connection: Connection,
    insert: String,
    /// The name under which its epochs are counted.
    writer: Arc<str>,
}

/// Encodes rows: on any thread, in any order.
struct Encoder;

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let rows = rows_of(batch, sensors);
        let bytes = if rows.is_empty() { Ok(Vec::new()) } else { postcard::to_stdvec(&rows) };
        let bytes = bytes.map_err(|error| Error::internal(format!("rows cannot be encoded: {error}")))?;
        Ok(Box::new(bytes))
    }
}

impl Sink for Open {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Encoder))
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let Self { path, connection, insert, writer } = self;
        let failed = |error: rusqlite::Error| error_of(path, &error);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        if last_epoch(&transaction, writer).map_err(failed)?.is_some_and(|last| last >= epoch) {
            return Ok(());
        }
        let mut statement = transaction.prepare_cached(insert).map_err(failed)?;
        for bytes in rows {
            let rows: Vec<Row> = postcard::from_bytes(&bytes?)
                .map_err(|error| Error::data(format!("rows of epoch {epoch} cannot be read: {error}")))?;
            for row in rows {
                statement.execute(params_from_iter(row)).map_err(failed)?;
            }
        }
        drop(statement);
        let upsert =
            "INSERT INTO tidemill_epochs VALUES (?1, ?2) ON CONFLICT (writer) DO UPDATE SET epoch = ?2";
        transaction.execute(upsert, (&**writer, epoch as i64)).map_err(failed)?;
        transaction.commit().map_err(failed)
    }
}

/// The last epoch of `writer` that was delivered.
fn last_epoch(transaction: &Transaction<'_>, writer: &str) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT epoch FROM tidemill_epochs WHERE writer = ?1";
    let last: Option<i64> = transaction.query_row(sql, [writer], |row| row.get(0)).optional()?;
    Ok(last.map(|last| last as u64))
}

/// A quoted SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An error of SQLite; transient ones are retried.
fn error_of(path: &std::path::Path, error: &rusqlite::Error) -> Error {
    let what = Error::unavailable(format!("{}: {error}", path.display()));
    let passes = [
        ErrorCode::DatabaseBusy,
        ErrorCode::DatabaseLocked,
        ErrorCode::DiskFull,
        ErrorCode::FileLockingProtocolFailed,
    ];
    match error.sqlite_error_code() {
        Some(code) if passes.contains(&code) => what.transient(),
        _ => what,
    }
}
