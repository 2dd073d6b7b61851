//! Sources in Python: `stream()` gives records or record batches; a table or any iterable is one, too.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | python source | opening the source | the object, and for room | with what `stream()` returned, or when the source is dropped |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use parking_lot::{Condvar, Mutex};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use schemars::{JsonSchema, Schema as JsonSchemaValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidemill::arrow::Decoder;
use tidemill::batch::Schema;
use tidemill::format::{ColumnOptions, Names};
use tidemill::offset::Offset;
use tidemill::options::{Configure, Diagnostic, Options};
use tidemill::sensor::SensorLookup;
use tidemill::source::{Component, Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use tidemill::{Error, Result};

use crate::build::{Builder, declared, schema_like};
use crate::capsule::{bad, is_arrow, reader_of};
use crate::exit::{closing, is_closing, start_thread};
use crate::object::{self, Object};
use crate::stage::items;

/// Records between the object and the engine, at most.
const ROOM: usize = 65_536;
/// Records of a batch of Arrow's that go through the pipeline at once.
const BATCH: usize = 16_384;
/// How long a source without news waits before the engine may look at other things.
const WAIT: Duration = Duration::from_millis(50);

/// The options of its columns.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct InputColumns {
    /// Which columns there are, and what they are: `time`, `sensor`, `measurements` and others, as for files.
    input: ColumnOptions,
}

/// A source in Python, as a pipeline has it.
pub(crate) struct PySource {
    object: Arc<Object>,
    columns: ColumnOptions,
    fields: Vec<(String, DataType)>,
    is_bounded: bool,
    /// Whether its object gives the same records again: a table.
    is_table: bool,
    /// What was opened to look at the columns: the run that begins goes on with it.
    looked: Arc<Mutex<Option<Opened>>>,
}

tidemill::submit! { Component::of::<PySource>(object::PREFIX, "a source written in Python: python:module:Class") }

impl Configure for PySource {
    fn schemas() -> Vec<JsonSchemaValue> {
        vec![object::schema(), schemars::schema_for!(InputColumns)]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let columns = options.take::<InputColumns>();
        let object = Object::configure(options, "stream")?;
        let look = Python::attach(|py| {
            let own = object.bind(py);
            let fields = own.getattr_opt("fields")?.filter(|_| own.hasattr("stream").unwrap_or(false));
            let fields = fields.map_or(Ok(Vec::new()), |fields| declared(&fields))?;
            let is_bounded = own.getattr_opt("bounded")?.map_or(Ok(true), |bounded| bounded.is_truthy())?;
            let is_table = !own.hasattr("stream")? && !own.hasattr("__next__")? && is_arrow(own)?;
            PyResult::Ok((fields, is_bounded, is_table))
        });
        match look {
            Ok((fields, is_bounded, is_table)) => Some(Self {
                object: Arc::new(object),
                columns: columns?.input,
                fields,
                is_bounded,
                is_table,
                looked: Arc::default(),
            }),
            Err(error) => {
                options.diagnostics.push(Diagnostic::new(options.span(), error.to_string()));
                None
            }
        }
    }
}

impl SourceSpec for PySource {
    fn name(&self) -> &str {
        &self.object.label
    }

    fn parameters(&self) -> Value {
        let mut parameters = self.object.parameters.clone();
        if let Value::Object(entries) = &mut parameters {
            entries.insert("input".into(), serde_json::to_value(&self.columns).unwrap_or_default());
        }
        parameters
    }

    fn traits(&self) -> Traits {
        Traits {
            is_bounded: self.is_bounded,
            is_replayable: self.is_table,
            is_open: false,
            is_kept: self.is_table,
        }
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        // Looking at a source that gives its records once must not take any from it.
        if let Some(opened) = self.looked.lock().take() {
            return Ok(Box::new(self.running(opened, options)?));
        }
        let opened = self.opened(&options.stop)?;
        let running = self.running(opened, options)?;
        Ok(Box::new(running))
    }
}

impl PySource {
    /// Starts the thread, and waits for the columns.
    fn opened(&self, stop: &AtomicBool) -> Result<Opened> {
        let shared = Arc::new(Shared::default());
        let (first, columns) = bounded(1);
        let (object, fields, own) = (Arc::clone(&self.object), self.fields.clone(), Arc::clone(&shared));
        let sensor = self.columns.sensor.clone().unwrap_or_else(|| "sensor".into());
        let run = move || drive(&object, &fields, &sensor, &own, &first);
        start_thread("python source", run)?;
        // Dropped on every way out of here, it ends the thread.
        let held = Hold(Arc::clone(&shared));
        loop {
            match columns.recv_timeout(WAIT) {
                Ok(schema) => return Ok(Opened { schema, shared: held }),
                Err(RecvTimeoutError::Timeout) if is_closing() => return Err(closing()),
                Err(RecvTimeoutError::Timeout) if !stop.load(Ordering::Relaxed) => {}
                Err(_) => {
                    let error = shared.state.lock().error.take();
                    return Err(error.unwrap_or_else(|| {
                        Error::data(format!(
                            "`{}` gave no record, so its columns are unknown",
                            self.object.label
                        ))
                        .with_help("declare them: fields = {\"sensor\": str, \"value\": float}")
                    }));
                }
            }
        }
    }

    fn running(&self, opened: Opened, options: &OpenOptions) -> Result<Running> {
        let columns = with_defaults(&self.columns, &opened.schema);
        let decoder = Decoder::new(&*self.object.label, &columns, &opened.schema)?;
        Ok(Running {
            decoder,
            opened: Some(opened),
            looked: Arc::clone(&self.looked),
            batch: None,
            records: 0,
            origins: options.origins,
            is_read: false,
            is_done: false,
        })
    }
}

/// The columns with the roles that their names and types suggest, where the options say nothing: the sensor in `sensor`; the time in `time` or `timestamp`,
/// or else in the only column of times.
fn with_defaults(options: &ColumnOptions, schema: &SchemaRef) -> ColumnOptions {
    let mut options = options.clone();
    let has = |name: &&str| schema.index_of(name).is_ok();
    if options.sensor.is_none() && options.sensor_name.is_none() && has(&"sensor") {
        options.sensor = Some("sensor".into());
    }
    if options.time.is_none() {
        let times = || {
            let mut times =
                schema.fields().iter().filter(|field| matches!(field.data_type(), DataType::Timestamp(..)));
            times.next().filter(|_| times.next().is_none()).map(|field| field.name().clone())
        };
        let named = ["time", "timestamp"].into_iter().find(has).map(str::to_owned);
        options.time = named.or_else(times).map(Names::One);
    }
    options
}

/// A source whose columns are known.
struct Opened {
    schema: SchemaRef,
    shared: Hold,
}

/// The reading side: dropped, the object is asked for no more.
struct Hold(Arc<Shared>);

impl Drop for Hold {
    /// Without the lock: the source's thread may have it while it waits for the interpreter, which whoever drops this may hold.
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
        self.0.room.notify_all();
    }
}

/// What has been given and not read yet.
#[derive(Default)]
struct Shared {
    state: Mutex<SharedState>,
    news: Condvar,
    room: Condvar,
    /// Nobody reads any more.
    is_closed: AtomicBool,
}

#[derive(Default)]
struct SharedState {
    batches: Vec<RecordBatch>,
    builder: Option<Builder>,
    rows: usize,
    /// No more will be given.
    is_over: bool,
    error: Option<Error>,
}

impl Shared {
    /// Adds what `add` puts into the state; waits while there is no room. False if nobody reads any more.
    fn give(&self, py: Python<'_>, add: impl FnOnce(&mut SharedState) -> PyResult<()>) -> PyResult<bool> {
        let is_closed = || self.is_closed.load(Ordering::Relaxed) || is_closing();
        let mut state = self.state.lock();
        while state.rows >= ROOM && !is_closed() {
            // The interpreter is let go before waiting, and taken again without the lock.
            drop(state);
            py.detach(|| {
                let mut state = self.state.lock();
                if state.rows >= ROOM && !is_closed() {
                    self.room.wait_for(&mut state, WAIT);
                }
            });
            state = self.state.lock();
        }
        if is_closed() {
            return Ok(false);
        }
        let before = state.rows;
        add(&mut state)?;
        if before == 0 {
            self.news.notify_one();
        }
        Ok(true)
    }
}

/// The thread: iterates over what `stream()` returned.
fn drive(
    object: &Object,
    fields: &[(String, DataType)],
    sensor: &str,
    shared: &Shared,
    first: &Sender<SchemaRef>,
) {
    let error = Python::try_attach(|py| {
        let given = object.entered(py, |own| {
            let stream = if own.hasattr("stream")? { own.call_method0("stream")? } else { own.clone() };
            let result = items(&stream, |item| one(item, fields, sensor, shared, first));
            if let Some(close) =
                stream.getattr_opt("close")?.filter(|_| stream.hasattr("__next__").unwrap_or(false))
            {
                close.call0()?;
            }
            match result {
                Err(error) if error.is_instance_of::<NobodyReads>(py) => Ok(()),
                other => other,
            }
        });
        given.err().map(|error| object.failed(py, error))
    });
    let mut state = shared.state.lock();
    (state.is_over, state.error) = (true, error.flatten());
    shared.news.notify_all();
}

pyo3::create_exception!(
    tidemill,
    NobodyReads,
    pyo3::exceptions::PyException,
    "The run has ended: nobody reads the source."
);

/// Takes one item: a record, or record batches.
fn one(
    item: &Bound<'_, PyAny>,
    fields: &[(String, DataType)],
    sensor: &str,
    shared: &Shared,
    first: &Sender<SchemaRef>,
) -> PyResult<()> {
    let py = item.py();
    let goes_on = if !item.is_instance_of::<crate::records::Record>() && is_arrow(item)? {
        let reader = reader_of(item)?;
        // Only the first one is waited for.
        drop(first.try_send(reader.schema()));
        let mut goes_on = true;
        for records in reader {
            let records = records.map_err(|error| bad(&error))?;
            goes_on = shared.give(py, |state| {
                // Records that were given before stay before it.
                if let Some(builder) = state.builder.as_mut().filter(|builder| builder.len() > 0) {
                    state.batches.push(builder.take()?);
                }
                state.rows += records.num_rows();
                state.batches.push(records);
                Ok(())
            })?;
            if !goes_on {
                break;
            }
        }
        goes_on
    } else {
        shared.give(py, |state| {
            if state.builder.is_none() {
                let schema = schema_like(item, fields, Some(sensor))?;
                drop(first.try_send(Arc::clone(&schema)));
                state.builder = Some(Builder::new(schema)?);
            }
            let builder = state.builder.as_mut().ok_or_else(|| PyValueError::new_err("no columns"))?;
            builder.push(item)?;
            state.rows += 1;
            Ok(())
        })?
    };
    if goes_on { Ok(()) } else { Err(NobodyReads::new_err("the run has ended")) }
}

/// The running source.
struct Running {
    decoder: Decoder,
    opened: Option<Opened>,
    /// Where it goes back to if nothing was read: it was opened to look at its columns.
    looked: Arc<Mutex<Option<Opened>>>,
    /// What is left of a batch that goes through the pipeline in parts.
    batch: Option<RecordBatch>,
    records: u64,
    origins: bool,
    is_read: bool,
    is_done: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_read {
            *self.looked.lock() = self.opened.take();
        }
    }
}

impl Running {
    /// The next record batch, cut to size; `None` if there is none yet.
    fn records(&mut self) -> Result<Option<RecordBatch>> {
        if self.batch.is_none() {
            self.batch = self.given()?;
        }
        let Some(batch) = self.batch.take() else { return Ok(None) };
        if batch.num_rows() > BATCH {
            self.batch = Some(batch.slice(BATCH, batch.num_rows() - BATCH));
            return Ok(Some(batch.slice(0, BATCH)));
        }
        Ok(Some(batch))
    }

    fn given(&mut self) -> Result<Option<RecordBatch>> {
        self.is_read = true;
        let Some(opened) = &self.opened else { return Ok(None) };
        let shared = &opened.shared.0;
        let mut state = shared.state.lock();
        if state.rows == 0 && !state.is_over {
            shared.news.wait_for(&mut state, WAIT);
        }
        let batch = if !state.batches.is_empty() {
            Some(state.batches.remove(0))
        } else if let Some(builder) = state.builder.as_mut().filter(|builder| builder.len() > 0) {
            Some(builder.take().map_err(|error| Error::internal(error.to_string()))?)
        } else {
            None
        };
        if let Some(batch) = &batch {
            state.rows -= batch.num_rows();
            shared.room.notify_one();
        } else if state.is_over {
            self.is_done = true;
            if let Some(error) = state.error.take() {
                return Err(error);
            }
        }
        Ok(batch)
    }
}

impl Source for Running {
    fn schema(&self) -> &Arc<Schema> {
        self.decoder.schema()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let Some(records) = self.records()? else {
            return Ok((!self.is_done).then_some(Input::Nothing));
        };
        let decoded = self.decoder.decode(&records, self.records, self.origins, sensors)?;
        self.records += records.num_rows() as u64;
        Ok(Some(Input::Records(decoded)))
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: self.records, line: 0 }
    }

    fn seek(&mut self, _offset: Offset) -> Result<()> {
        Err(Error::internal("a source in Python cannot move"))
    }

    fn remarks(&self) -> Vec<String> {
        self.decoder.remarks()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.records, total: None }
    }
}
