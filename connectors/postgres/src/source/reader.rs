//! The running source, as the run calls it.

use std::sync::Arc;

use tidemill_connect::blocking::Blocking;
use tidemill_engine::arrow::Decoder;
use tidemill_engine::batch::Schema;
use tidemill_engine::error::Result;
use tidemill_engine::format::columns::ColumnOptions;
use tidemill_engine::offset::Offset;
use tidemill_engine::sensor::SensorLookup;
use tidemill_engine::source::{Input, OpenOptions, Progress, Source};

use super::copied::schema;
use super::position::Saved;
use super::query::Query;
use super::reading::{Reading, Repeats, Step};
use crate::server::Server;

/// The source as the run calls it.
pub(super) struct Reader {
    // It ends before the runtime, which it needs for that.
    reading: Reading,
    blocking: Blocking,
    decoder: Decoder,
    origins: bool,
}

impl Reader {
    /// Asks the server for the columns of `query`, unless a checkpoint has them.
    ///
    /// # Errors
    /// What is wrong with server, query or columns.
    pub(super) fn open(
        server: Server,
        query: Query,
        options: &ColumnOptions,
        repeats: Option<Repeats>,
        open: &OpenOptions,
    ) -> Result<Self> {
        let blocking = Blocking::new(Arc::clone(&open.stop))?;
        let mut reading = Reading::new(server, query, repeats, open);
        match &open.resume {
            Some(resume) => reading.restore(&resume.place)?,
            None => reading.look(&blocking, open)?,
        }
        let decoder = Decoder::new(Arc::clone(&reading.query.name), options, &schema(&reading.columns))?;
        Ok(Self { reading, blocking, decoder, origins: open.origins })
    }
}

impl Source for Reader {
    fn schema(&self) -> &Arc<Schema> {
        self.decoder.schema()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let before = self.reading.position.rows;
        match self.blocking.wait(self.reading.step())? {
            Step::End => Ok(None),
            Step::Nothing => Ok(Some(Input::Nothing)),
            Step::Rows(rows) => {
                let decoded = self.decoder.decode(&rows, before, self.origins, sensors)?;
                Ok(Some(Input::Records(decoded)))
            }
        }
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: self.reading.position.rows, line: 0 }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.reading.seek(offset.at);
        Ok(())
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        if self.reading.query.cursor.is_none() {
            return Ok(None);
        }
        let (columns, position) = (self.reading.columns.clone(), self.reading.position.clone());
        Saved { columns, position }.to_bytes().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.reading.restore(state)
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.decoder.remarks();
        remarks.extend(self.reading.remarks());
        remarks
    }

    fn progress(&self) -> Progress {
        Progress { done: self.reading.position.rows, total: None }
    }
}
