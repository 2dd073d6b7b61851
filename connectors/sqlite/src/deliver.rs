//! The transaction of an epoch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tidemill_engine::error::Result;
use tidemill_engine::sink::{Prepare, Sink, SinkContext};

use crate::rows::{Encoder, Inserts, Losses, at_once};
use crate::table::{Identity, Target};

/// How long to wait for a lock of the database before the delivery is tried again later.
pub(crate) const BUSY: Duration = Duration::from_millis(200);

/// Writes the number of an epoch, unless it, or a later one, is there.
const EPOCH: &str = "INSERT INTO tidemill_epochs VALUES (?1, ?2) ON CONFLICT (writer) \
    DO UPDATE SET epoch = excluded.epoch WHERE epoch < excluded.epoch";

/// The sink in use.
pub(crate) struct Writer {
    target: Target,
    open: Option<Open>,
    /// Whether it was open before: then it is not created anew.
    was_open: bool,
    losses: Arc<Mutex<Losses>>,
    /// The name under which its epochs are counted.
    writer: Arc<str>,
    /// Whether no other run will ask for these epochs.
    is_once: bool,
}

/// The database in use.
struct Open {
    connection: Connection,
    /// Which file it is.
    identity: Identity,
}

impl Writer {
    pub(crate) fn new(target: Target, context: &SinkContext) -> Self {
        let writer = context.writer.clone().unwrap_or_default();
        let is_once = context.state.is_none();
        Self { target, open: None, was_open: false, losses: Arc::default(), writer, is_once }
    }

    /// Opens the database, and looks at the table.
    ///
    /// # Errors
    /// What is wrong with them; a transient error if that may pass.
    pub(crate) fn look(&mut self) -> Result<()> {
        if self.open.is_none() {
            let connection = self.target.connect(!self.was_open)?;
            let identity = self.target.identity()?;
            (self.open, self.was_open) = (Some(Open { connection, identity }), true);
        }
        Ok(())
    }

    /// Checks that the database is still the file at `path`: SQLite goes on writing to one that was moved away or removed.
    ///
    /// # Errors
    /// If it is not. The database is opened anew then.
    fn check_place(&mut self) -> Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        if self.target.identity().is_ok_and(|there| there == open.identity) {
            return Ok(());
        }
        self.open = None;
        Err(self.target.moved())
    }

    /// The transaction of `epoch`.
    fn write(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let Self { target, open: Some(Open { connection, .. }), writer, .. } = self else { return Ok(()) };
        let failed = |error: rusqlite::Error| target.failure(&error);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let number = i64::try_from(epoch).unwrap_or(i64::MAX);
        if transaction.execute(EPOCH, (&**writer, number)).map_err(failed)? == 0 {
            return Ok(());
        }
        // Somebody may have changed the table; from here on, nobody can.
        let known = target.fit(&transaction)?;
        let prepare = |rows: usize| transaction.prepare_cached(&target.insert(rows)).map_err(failed);
        let rows_at_once = at_once(target.columns.len());
        let mut inserts =
            Inserts { rows: rows_at_once, many: prepare(rows_at_once)?, one: prepare(1)?, failed: &failed };
        for bytes in rows {
            inserts.insert(&bytes?, &target.columns, &known)?;
        }
        drop(inserts);
        transaction.commit().map_err(failed)
    }
}

impl Sink for Writer {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        let (columns, losses) = (self.target.columns.clone(), Arc::clone(&self.losses));
        Some(Arc::new(Encoder { columns, losses }))
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        self.look()?;
        self.check_place()?;
        self.write(epoch, rows)?;
        // It may have been moved away meanwhile, with these rows.
        self.check_place()
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        let losses = *self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(losses.remarks())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        if let Some(Open { connection, .. }) = self.open.as_ref().filter(|_| self.is_once) {
            // What is left behind is one short row.
            let _ignored =
                connection.execute("DELETE FROM tidemill_epochs WHERE writer = ?1", [&*self.writer]);
        }
        self.pause()
    }
}
