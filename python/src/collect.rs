//! What comes out of a pipeline, for the program that runs it: all of it as a table, or in turn as a stream.

use std::sync::Arc;

use arrow_array::RecordBatch;
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use pyo3::prelude::*;
use serde_json::{Value, json};
use tidemill::arrow::Encoder;
use tidemill::batch::{Batch, Schema};
use tidemill::sensor::Sensors;
use tidemill::sink::{Block, Job, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use tidemill::{Error, ErrorKind, Result};

use crate::capsule::Table;
use crate::records::{Layout, Rows};
use crate::wait::send;

/// Keeps all records, as Arrow record batches.
#[derive(Clone, Default)]
pub(crate) struct Collect(Arc<Mutex<Option<Table>>>);

impl Collect {
    /// The records of the run that has ended.
    pub(crate) fn take(&self) -> Option<Table> {
        self.0.lock().take()
    }
}

impl SinkSpec for Collect {
    fn name(&self) -> &str {
        "table"
    }

    fn parameters(&self) -> Value {
        json!({})
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn open(&self, schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Collecting {
            encoder: Encoder::new(schema),
            batches: Vec::new(),
            table: Arc::clone(&self.0),
        }))
    }
}

struct Collecting {
    encoder: Encoder,
    batches: Vec<RecordBatch>,
    table: Arc<Mutex<Option<Table>>>,
}

/// Encodes on any worker.
struct Encoding(Encoder);

impl Prepare for Encoding {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        Ok(Box::new(self.0.encode(batch.clone(), sensors)?))
    }
}

impl Sink for Collecting {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Encoding(self.encoder.clone())))
    }

    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.batches.push(self.encoder.encode(batch.clone(), sensors)?);
        Ok(())
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        let records =
            block.downcast::<RecordBatch>().map_err(|_| Error::internal("a block of another sink"))?;
        if records.num_rows() > 0 {
            self.batches.push(*records);
        }
        Ok(None)
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        let batches = std::mem::take(&mut self.batches).into();
        *self.table.lock() = Some(Table { schema: Arc::clone(self.encoder.schema()), batches });
        Ok(Vec::new())
    }
}

/// Hands batches to a stream as they come.
pub(crate) struct Hand {
    pub(crate) to: Sender<Arc<Rows>>,
    /// The columns, once they are known.
    pub(crate) layout: Sender<Arc<Layout>>,
}

impl SinkSpec for Hand {
    fn name(&self) -> &str {
        "stream"
    }

    fn parameters(&self) -> Value {
        json!({})
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn open(&self, schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        let layout = Python::attach(|py| Layout::new(py, schema));
        // Whoever started the run waits for it, unless he has gone.
        drop(self.layout.try_send(Arc::clone(&layout)));
        Ok(Box::new(Handing { to: self.to.clone(), layout }))
    }
}

struct Handing {
    to: Sender<Arc<Rows>>,
    layout: Arc<Layout>,
}

impl Sink for Handing {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut batch = batch.clone();
        batch.share();
        match send(&self.to, Rows::new(batch, &self.layout, sensors), || Ok(()))? {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Interrupted, "the stream was closed before its end")),
        }
    }
}
