//! The commit of an epoch.
//!
//! ```text
//! newest version · epoch, unless it is there · files · commit of the next version, with the epoch · (checkpoint of the log)
//! ```
//! If somebody else has committed that version, the next one is tried, with the same files. Files of a commit that fails stay without a reference.

use std::sync::{Arc, Mutex, PoisonError};

use delta_kernel::arrow::array::RecordBatch;
use delta_kernel::snapshot::SnapshotRef;
use delta_kernel::transaction::CommittedTransaction;
use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sink::{Prepare, Sink, SinkContext};

use crate::files::Files;
use crate::fit::Fit;
use crate::rows::{self, Encoder};
use crate::table::{Epoch, Table, is_alike};
use crate::target::Target;

/// How often others may commit first until the delivery is tried again later.
const CONFLICTS: usize = 20;

/// The sink in use.
pub(crate) struct Writer {
    target: Target,
    table: Option<Table>,
    encoder: Arc<Encoder>,
    /// How many times had nanoseconds.
    cut: Arc<Mutex<u64>>,
    /// The identifier under which its epochs are counted.
    app: String,
    /// What went wrong with the last checkpoint of the log that failed.
    unwritten: Option<String>,
}

impl Writer {
    pub(crate) fn new(target: Target, schema: &Schema, app_id: &str, context: &SinkContext) -> Self {
        let cut = Arc::<Mutex<u64>>::default();
        let encoder = Arc::new(Encoder::new(schema, target.columns.clone(), Arc::clone(&cut)));
        let app = format!("{app_id}-{}", context.writer.as_deref().unwrap_or_default());
        Self { target, table: None, encoder, cut, app, unwritten: None }
    }

    /// Looks at the table, and creates it if it may.
    ///
    /// # Errors
    /// What is wrong with it; a transient error if that may pass.
    pub(crate) fn look(&mut self) -> Result<()> {
        let table = Table::open(&self.target)?;
        if self.target.create && table.snapshot()?.is_none() {
            table.create(&self.target)?;
        }
        let snapshot = newest(&table, &self.target)?;
        Fit::new(&self.target, &snapshot)?;
        table.write_state(&snapshot, &self.target)?;
        self.table = Some(table);
        Ok(())
    }
}

impl Sink for Writer {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as _)
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        if self.table.is_none() {
            self.look()?;
        }
        let Self { target, table: Some(table), app, unwritten, .. } = self else { return Ok(()) };
        let epoch = Epoch { app, number: i64::try_from(epoch).unwrap_or(i64::MAX) };
        let committed = Delivery { target, table, epoch }.deliver(rows)?;
        // Without a checkpoint the log takes longer to read, and that is all.
        if let Some(Err(error)) = committed.map(|committed| table.checkpoint(&committed)) {
            *unwritten = Some(error.to_string());
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        let cut = *self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = (cut > 0)
            .then(|| format!("{cut} times had nanoseconds, which Delta does not have: they are cut off"));
        let unwritten =
            self.unwritten.take().map(|why| format!("{why}; without it, the table is read more slowly"));
        Ok(cut.into_iter().chain(unwritten).collect())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.pause()
    }
}

/// The delivery of an epoch.
struct Delivery<'a> {
    target: &'a Target,
    table: &'a Table,
    epoch: Epoch<'a>,
}

impl Delivery<'_> {
    /// Commits `rows`; `None` if the table has them, or there are none.
    fn deliver(
        &self,
        rows: &mut dyn Iterator<Item = Result<Vec<u8>>>,
    ) -> Result<Option<CommittedTransaction>> {
        let snapshot = newest(self.table, self.target)?;
        if self.table.has(&snapshot, self.epoch)? {
            return Ok(None);
        }
        match &*self.write(&snapshot, rows)? {
            [] => Ok(None),
            files => self.commit(snapshot, files),
        }
    }

    /// Writes files; the table does not refer to them yet.
    fn write(
        &self,
        snapshot: &SnapshotRef,
        rows: &mut dyn Iterator<Item = Result<Vec<u8>>>,
    ) -> Result<Vec<RecordBatch>> {
        // Somebody may have changed the table.
        let fit = Fit::new(self.target, snapshot)?;
        let state = self.table.write_state(snapshot, self.target)?;
        let mut files = Files::new(self.table, &fit, state, self.target)?;
        for bytes in rows {
            for records in rows::read(bytes?, &self.target.columns)? {
                files.add(&records)?;
            }
        }
        files.finish()
    }

    fn commit(
        &self,
        mut snapshot: SnapshotRef,
        files: &[RecordBatch],
    ) -> Result<Option<CommittedTransaction>> {
        for _ in 0..CONFLICTS {
            let committed = self.table.append(&snapshot, self.target, self.epoch, files)?;
            if committed.is_some() {
                return Ok(committed);
            }
            let newer = newest(self.table, self.target)?;
            if self.table.has(&newer, self.epoch)? {
                return Ok(None);
            }
            if !is_alike(&snapshot, &newer) {
                return Err(self.crossed("the table was changed while rows were written"));
            }
            snapshot = newer;
        }
        Err(self.crossed("others have committed first, again and again"))
    }

    fn crossed(&self, why: &str) -> Error {
        Error::unavailable(format!("{}: {why}", self.target.path)).transient()
    }
}

fn newest(table: &Table, target: &Target) -> Result<SnapshotRef> {
    table.snapshot()?.ok_or_else(|| target.absent())
}
