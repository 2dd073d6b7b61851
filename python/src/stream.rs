//! Records in turn, for Python: what a stage processes, a sink consumes, or a run gives.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;
use pyo3::exceptions::{PyGeneratorExit, PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use tidemill::arrow::Encoder;

use crate::capsule::{Batch, stream_capsule};
use crate::errors::exception;
use crate::exit::{Counted, Process, is_closing};
use crate::held::Held;
use crate::records::{Layout, Record, Rows};
use crate::wait::LOOK;

/// Where the records of a stream come from.
pub(crate) trait Feed: Send {
    /// Waits for more, for about [`LOOK`]. Called without the interpreter; not called again after anything but rows and [`Fed::Nothing`].
    fn next(&mut self) -> Fed;
}

/// What a [`Feed`] gives.
pub(crate) enum Fed {
    /// The next records: at least one.
    Rows(Arc<Rows>),
    /// Nothing has come yet.
    Nothing,
    /// There are no more.
    End,
    /// The run has ended early: nobody takes what the component gives.
    Stopped,
    /// The run has failed.
    Failed(tidemill::Error),
    /// A component in Python raised this.
    Raised(PyErr),
}

/// What the engine gives to a sink.
pub(crate) enum Item {
    Rows(Arc<Rows>),
    /// The sender is dropped when more is asked for: everything before has been processed.
    Reached(#[expect(dead_code, reason = "held to be dropped")] Sender<()>),
    End,
}

/// The records that a sink reads.
pub(crate) struct ItemFeed(pub(crate) Receiver<Item>);

impl Feed for ItemFeed {
    fn next(&mut self) -> Fed {
        match self.0.recv_timeout(LOOK) {
            _ if is_closing() => Fed::Stopped,
            Ok(Item::Rows(rows)) => Fed::Rows(rows),
            Ok(Item::Reached(_)) | Err(RecvTimeoutError::Timeout) => Fed::Nothing,
            Ok(Item::End) => Fed::End,
            Err(RecvTimeoutError::Disconnected) => Fed::Stopped,
        }
    }
}

/// A stream of records: an iterator, read once, in constant memory. `batches()` gives Arrow record batches instead, and anything that knows Arrow's
/// C interface reads the rest of the stream at once: `pyarrow.table(stream)`, `polars.DataFrame(stream)`. What a component raises meanwhile becomes an
/// exception of that library, with its text.
#[pyclass(frozen, module = "tidemill")]
pub(crate) struct Stream {
    encoder: Encoder,
    schema: Arc<tidemill::batch::Schema>,
    source: Arc<StreamSource>,
}

/// What a stream and its readers share.
pub(crate) struct StreamSource {
    /// The threads that give the records are in this process alone.
    process: Process,
    feed: Mutex<Option<Box<dyn Feed>>>,
    /// The records under way, and the first that was not given yet.
    current: Mutex<Option<(Arc<Rows>, u32)>>,
}

impl Stream {
    /// The stream of what `feed` gives, with columns as in `layout`.
    pub(crate) fn new(layout: &Layout, feed: impl Feed + 'static) -> Self {
        let (feed, current) = (Mutex::new(Some(Box::new(feed) as Box<dyn Feed>)), Mutex::default());
        let source = StreamSource { process: Process::this(), feed, current };
        let schema = Arc::clone(&layout.schema);
        Self { encoder: Encoder::new(&schema), schema, source: Arc::new(source) }
    }

    /// What the stream reads, to close it while Python may still refer to the stream.
    pub(crate) fn source(&self) -> Arc<StreamSource> {
        Arc::clone(&self.source)
    }
}

impl StreamSource {
    /// Nothing more is read.
    pub(crate) fn close(&self) {
        *self.current.lock() = None;
        if let Some(mut feed) = self.feed.try_lock() {
            *feed = None;
        }
    }

    /// The next records that nobody has got.
    fn rows(&self, py: Python<'_>) -> PyResult<Option<(Arc<Rows>, u32)>> {
        if let Some(current) = self.current.lock().take() {
            return Ok(Some(current));
        }
        self.process.check("this stream")?;
        // Somebody who waits here has let the interpreter go, so that others can come.
        let Some(mut place) = self.feed.try_lock() else {
            return Err(PyRuntimeError::new_err("another thread is reading this stream"));
        };
        let Some(feed) = place.as_mut() else { return Ok(None) };
        // Python does not wait for threads of its own that read a stream: the end of the interpreter has to.
        let _counted = Counted::new();
        let fed = loop {
            // Each time: whoever reads the whole stream in a library of its own does not come back to the interpreter before the end.
            py.check_signals()?;
            match py.detach(|| feed.next()) {
                Fed::Nothing => {}
                fed => break fed,
            }
        };
        if !matches!(fed, Fed::Rows(_)) {
            *place = None;
        }
        match fed {
            Fed::Rows(rows) => Ok(Some((rows, 0))),
            Fed::End | Fed::Nothing => Ok(None),
            Fed::Stopped => Err(PyGeneratorExit::new_err("the run has ended")),
            Fed::Failed(error) => Err(exception(py, &error)),
            Fed::Raised(raised) => Err(raised),
        }
    }

    /// The record at `row`; those behind it come next.
    fn record(&self, rows: Arc<Rows>, row: u32) -> Record {
        let record = Record::new(&rows, row);
        if row as usize + 1 < rows.batch.len() {
            *self.current.lock() = Some((rows, row + 1));
        }
        record
    }

    fn batch(&self, py: Python<'_>, encoder: &Encoder) -> PyResult<Option<RecordBatch>> {
        let Some((rows, from)) = self.rows(py)? else { return Ok(None) };
        let records =
            encoder.encode(rows.batch.clone(), &rows.sensors).map_err(|error| exception(py, &error))?;
        Ok(Some(records.slice(from as usize, records.num_rows() - from as usize)))
    }
}

#[pymethods]
impl Stream {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Record>> {
        Ok(self.source.rows(py)?.map(|(rows, row)| self.source.record(rows, row)))
    }

    fn __aiter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("tidemill._async")?.getattr("Records")?.call1((slf,))
    }

    /// The next record if it has come already, or None.
    fn at_hand(&self) -> Option<Record> {
        let (rows, row) = self.source.current.lock().take()?;
        Some(self.source.record(rows, row))
    }

    /// The rest of the stream as an iterator of Arrow record batches, which share memory with the engine.
    fn batches(&self) -> Batches {
        Batches { encoder: self.encoder.clone(), source: Arc::clone(&self.source) }
    }

    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.encoder.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The columns as the option `input` of a source has them. Without a time, `time` is an empty list.
    fn _input<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let name = |at: usize| self.schema.fields()[at].name.to_string();
        let input = PyDict::new(py);
        input.set_item("sensor", name(self.schema.sensor()))?;
        input.set_item("time", self.schema.time().into_iter().map(name).collect::<Vec<_>>())?;
        let measurements = self.schema.measurements().into_iter().map(name);
        input.set_item("measurements", measurements.collect::<Vec<_>>())?;
        Ok(input)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        stream_capsule(py, Box::new(Lent(Some(self.batches()))))
    }
}

/// The record batches of a stream.
#[pyclass(frozen, module = "tidemill")]
pub(crate) struct Batches {
    encoder: Encoder,
    source: Arc<StreamSource>,
}

#[pymethods]
impl Batches {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        Ok(self.source.batch(py, &self.encoder)?.map(Batch))
    }
}

/// The record batches of a stream for a library, which may have let the interpreter go.
struct Lent(Option<Batches>);

impl Iterator for Lent {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _held = Held::take();
        let Batches { encoder, source } = self.0.as_ref()?;
        Python::attach(|py| source.batch(py, encoder).map_err(|error| told(py, &error))).transpose()
    }
}

/// What was raised, for a library that knows no exceptions: as text, since an exception must not be dropped once the interpreter is let go. Ctrl-C is noted
/// again, so that it is raised once the library has returned.
fn told(py: Python<'_>, raised: &PyErr) -> ArrowError {
    let text = raised.to_string();
    // The last thing that the interpreter is asked for: anything else would raise it here. Without that function, the text says it.
    if raised.is_instance_of::<PyKeyboardInterrupt>(py) {
        drop(py.import("_thread").and_then(|thread| thread.call_method0("interrupt_main")));
    }
    ArrowError::ExternalError(text.into())
}

impl RecordBatchReader for Lent {
    fn schema(&self) -> SchemaRef {
        self.0
            .as_ref()
            .map_or_else(|| Arc::new(Schema::empty()), |batches| Arc::clone(batches.encoder.schema()))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let _held = Held::take();
        self.0 = None;
    }
}
