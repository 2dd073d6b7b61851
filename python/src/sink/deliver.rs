//! A sink that delivers by epochs: the engine keeps the rows of an epoch, as Arrow IPC, until its checkpoint is durable.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use crossbeam_channel::{Receiver, Sender, bounded};
use pyo3::exceptions::{PyConnectionError, PyTimeoutError};
use pyo3::prelude::*;
use tidemill::arrow::{Decoder, Encoder};
use tidemill::batch::{Batch, Schema};
use tidemill::sensor::Sensors;
use tidemill::sink::{Block, Prepare, Sink, SinkContext};
use tidemill::{Error, Result};

use crate::exit::{attached, closing, start_thread};
use crate::object::{Object, check_no_generator};
use crate::records::{Layout, Rows};
use crate::stream::{Item, ItemFeed, Stream};
use crate::wait::{receive, send};

/// Batches between the engine and the sink.
const QUEUE: usize = 4;
/// How long a sink is waited for when its run has failed or was paused.
const PATIENCE: Duration = Duration::from_secs(2);

/// One call of `deliver`.
struct Call {
    epoch: u64,
    items: Receiver<Item>,
    done: Sender<Result<()>>,
}

/// The thread: calls `deliver` for each epoch.
fn drive(object: &Object, layout: &Layout, writer: &str, calls: &Receiver<Call>, left: &Sender<Result<()>>) {
    let result = attached(|py| {
        let result = object.entered(py, |_| {
            while let Ok(Some(Call { epoch, items, done })) = py.detach(|| receive(calls, || Ok(()))) {
                let delivered = deliver(py, object, layout, writer, epoch, items);
                drop(done.send(delivered));
            }
            Ok(())
        });
        result.map_err(|error| object.failed(py, error))
    });
    drop(left.send(result.unwrap_or_else(|| Err(closing()))));
}

fn deliver(
    py: Python<'_>,
    object: &Object,
    layout: &Layout,
    writer: &str,
    epoch: u64,
    items: Receiver<Item>,
) -> Result<()> {
    let stream = Stream::new(layout, ItemFeed(items));
    let source = stream.source();
    let delivered = object.call(py, "deliver", (epoch, stream, writer));
    source.close();
    let delivered = delivered.and_then(|result| check_no_generator(&result, "deliver"));
    delivered.map_err(|error| {
        let passes =
            error.is_instance_of::<PyConnectionError>(py) || error.is_instance_of::<PyTimeoutError>(py);
        let error = object.failed(py, error);
        if passes { error.transient() } else { error }
    })
}

/// The running sink.
pub(super) struct Delivering {
    object: Arc<Object>,
    schema: Arc<Schema>,
    layout: Arc<Layout>,
    /// Dropped, the thread leaves the object.
    calls: Option<Sender<Call>>,
    left: Receiver<Result<()>>,
}

impl Delivering {
    pub(super) fn open(object: &Arc<Object>, schema: &Arc<Schema>, context: &SinkContext) -> Result<Self> {
        let layout = Python::attach(|py| Layout::new(py, schema));
        let (calls, inbox) = bounded(1);
        let (outbox, left) = bounded(1);
        let (own, its) = (Arc::clone(object), Arc::clone(&layout));
        let writer = context.writer.clone().unwrap_or_default();
        start_thread("python sink", move || drive(&own, &its, &writer, &inbox, &outbox))?;
        Ok(Self { object: Arc::clone(object), schema: Arc::clone(schema), layout, calls: Some(calls), left })
    }

    fn check(&self) -> Result<()> {
        self.object.runs.check()
    }

    /// Waits until the object has been left, or could not be entered.
    fn left(&self) -> Result<()> {
        receive(&self.left, || self.check())?.unwrap_or(Ok(()))
    }

    /// Gives `rows` to the call that reads `to`; false if it has returned.
    fn give(&self, rows: &[u8], sensors: &mut Sensors, to: &Sender<Item>) -> Result<bool> {
        for records in StreamReader::try_new(Cursor::new(rows), None).map_err(|error| unreadable(&error))? {
            let records = records.map_err(|error| unreadable(&error))?;
            let decoder = Decoder::of(&*self.object.label, &self.schema, &records.schema())?;
            let batch = decoder.decode(&records, 0, false, sensors)?.batch;
            if !send(to, Item::Rows(Rows::new(batch, &self.layout, sensors)), || self.check())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Sink for Delivering {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Encoding(Encoder::new(&self.schema))))
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let (to, items) = bounded(QUEUE);
        let (outbox, done) = bounded(1);
        let is_called = match &self.calls {
            Some(calls) => send(calls, Call { epoch, items, done: outbox }, || self.check())?,
            None => false,
        };
        if !is_called {
            self.left()?;
            return Err(Error::internal("the thread of a sink is gone"));
        }
        let mut sensors = Sensors::default();
        let mut reads = true;
        for rows in rows {
            if !self.give(&rows?, &mut sensors, &to)? {
                reads = false;
                break;
            }
        }
        if reads {
            send(&to, Item::End, || self.check())?;
        }
        receive(&done, || self.check())?.unwrap_or_else(|| self.left())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.calls = None;
        self.left()?;
        Ok(Vec::new())
    }
}

impl Drop for Delivering {
    fn drop(&mut self) {
        if self.calls.take().is_some() {
            drop(self.left.recv_timeout(PATIENCE));
        }
    }
}

fn unreadable(error: &ArrowError) -> Error {
    Error::data(format!("the rows of an epoch cannot be read: {error}"))
}

/// Encodes rows, on any worker.
struct Encoding(Encoder);

impl Prepare for Encoding {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        // Of a batch without records, nothing is kept.
        if batch.is_empty() {
            return Ok(Box::new(Vec::<u8>::new()));
        }
        let rows = encoded(&self.0.encode(batch.clone(), sensors)?);
        let rows = rows.map_err(|error| Error::internal(format!("rows cannot be encoded: {error}")))?;
        Ok(Box::new(rows))
    }
}

fn encoded(records: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &records.schema())?;
    writer.write(records)?;
    writer.into_inner()
}
