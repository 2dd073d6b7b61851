//! Stages in Python: `process(stream)` returns or yields records.
//!
//! `process` pulls, the engine pushes. So it runs on a thread of its own, and waits in `next(stream)` until the engine has more; what it has yielded
//! when it asks for the record behind a batch is the output of that batch.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | python stage | the first batch | the next batch, in the stream that it reads | with `process`, or when the stage is dropped |

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use schemars::Schema as JsonSchema;
use serde_json::Value;
use tidemill::arrow::{Decoder, Encoder};
use tidemill::batch::{Batch, Column, Field, FieldType, Origins, Schema};
use tidemill::options::{Configure, Options};
use tidemill::sensor::{SensorId, SensorLookup, Sensors};
use tidemill::stage::{Component, Flow, Process, Reach, Stage};
use tidemill::{Error, Result};

use crate::build::{Builder, declared};
use crate::capsule::{bad, is_arrow, reader_of};
use crate::exit::{closing, is_closing, start_thread};
use crate::object::{self, Object};
use crate::records::{Layout, Record, Rows};
use crate::stream::{Fed, Feed, LOOK, Stream};

/// A stage in Python, as a pipeline has it.
pub(crate) struct PyStage {
    object: Arc<Object>,
    /// The columns that it adds.
    fields: Vec<(String, DataType)>,
}

tidemill::submit! { Component::of::<PyStage>(object::PREFIX, "a stage written in Python: python:module:Class") }

impl Configure for PyStage {
    fn schemas() -> Vec<JsonSchema> {
        vec![object::schema()]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let object = Object::configure(options, "process")?;
        let fields = Python::attach(|py| match object.bind(py).getattr_opt("fields")? {
            Some(fields) => declared(&fields),
            None => Ok(Vec::new()),
        });
        match fields {
            Ok(fields) => Some(Self { object: Arc::new(object), fields }),
            Err(error) => {
                let span = options.span();
                options.diagnostics.push(tidemill::options::Diagnostic::new(span, error.to_string()));
                None
            }
        }
    }
}

impl Stage for PyStage {
    fn name(&self) -> &str {
        &self.object.label
    }

    fn parameters(&self) -> Value {
        self.object.parameters.clone()
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        let mut schema = input.clone();
        for (name, kind) in &self.fields {
            if schema.index_of(name).is_none() {
                schema = schema.with(field(name, kind)?)?.0;
            }
        }
        Ok(schema)
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        let output = Arc::new(self.output(input)?);
        let input = Python::attach(|py| Layout::new(py, input));
        Ok(Box::new(Running { object: Arc::clone(&self.object), input, output, state: State::Idle }))
    }

    fn memory(&self) -> String {
        "what its object keeps".into()
    }
}

fn field(name: &str, kind: &DataType) -> Result<Field> {
    Ok(match kind {
        DataType::Float64 => Field::measurement(name),
        DataType::Int64 => Field::measurement(name).with_type(FieldType::I64),
        DataType::UInt64 => Field::measurement(name).with_type(FieldType::U64),
        DataType::Boolean => Field::measurement(name).with_type(FieldType::Bool),
        DataType::Utf8 => Field::text(name),
        _ => {
            return Err(Error::config(format!(
                "a stage cannot add the column `{name}`: a record has one time"
            ))
            .with_help("declare it as float, int, bool or str"));
        }
    })
}

/// The running stage.
struct Running {
    object: Arc<Object>,
    input: Arc<Layout>,
    output: Arc<Schema>,
    state: State,
}

enum State {
    /// `process` has not been called.
    Idle,
    /// It waits for the next batch.
    Waiting { turns: Sender<Turn>, replies: Receiver<Reply> },
    /// It has returned.
    Over,
}

/// What the engine gives to the thread.
enum Turn {
    Rows(Arc<Rows>),
    End,
}

/// What the thread gives back for each turn.
enum Reply {
    /// It asks for more.
    Output(Vec<Piece>),
    /// `process` has returned.
    Over(Vec<Piece>),
    Failed(Error),
}

/// A part of the output, in order.
enum Piece {
    /// Records of the input, unchanged.
    Picked(Arc<Rows>, Vec<u32>),
    /// Others.
    Made(RecordBatch),
}

impl Running {
    fn start(&mut self) -> Result<()> {
        let (turns, inbox) = bounded(1);
        let (outbox, replies) = bounded(1);
        let (object, layout, output) =
            (Arc::clone(&self.object), Arc::clone(&self.input), Arc::clone(&self.output));
        let run = move || drive(&object, &layout, &output, inbox, outbox);
        start_thread("python stage", run)?;
        self.state = State::Waiting { turns, replies };
        Ok(())
    }

    /// One turn: gives what the stage has yielded for it.
    fn turn(&mut self, turn: Turn) -> Result<Option<Vec<Piece>>> {
        if matches!(self.state, State::Idle) {
            self.start()?;
        }
        let State::Waiting { turns, replies } = &self.state else { return Ok(None) };
        // If it has returned without asking for more, it has left its reply.
        drop(turns.send(turn));
        let reply = loop {
            match replies.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) if is_closing() => return Err(closing()),
                Err(RecvTimeoutError::Timeout) => {}
                reply => break reply,
            }
        };
        match reply {
            Ok(Reply::Output(pieces)) => Ok(Some(pieces)),
            Ok(Reply::Over(pieces)) => {
                self.state = State::Over;
                Ok(Some(pieces))
            }
            Ok(Reply::Failed(error)) => Err(error),
            Err(_) => Err(Error::internal(format!("the thread of `{}` is gone", self.object.label))),
        }
    }

    /// The pieces as one batch.
    fn batch(&self, pieces: Vec<Piece>, sensors: &Sensors) -> Result<Option<Batch>> {
        let mut all: Option<Batch> = None;
        for piece in pieces {
            let piece = match piece {
                Piece::Picked(rows, picked) => self.widened(picked_of(&rows.batch, &picked)),
                Piece::Made(records) => {
                    let decoder = Decoder::of(&*self.object.label, &self.output, &records.schema())?;
                    let mut known = KnownSensors { sensors, label: &self.object.label };
                    let decoded = decoder.decode(&records, 0, false, &mut known)?;
                    if let Some(rejection) = decoded.rejections.first() {
                        return Err(Error::data(format!(
                            "`{}` gave a record without {}",
                            self.object.label, rejection.reason
                        )));
                    }
                    decoded.batch
                }
            };
            match &mut all {
                None => all = Some(piece),
                Some(all) => all.append(&piece),
            }
        }
        Ok(all)
    }

    /// Records of the input with the columns that the stage adds, which they lack.
    fn widened(&self, batch: Batch) -> Batch {
        let own = batch.schema().fields().len();
        if own == self.output.fields().len() {
            return batch;
        }
        let len = batch.len();
        let added = self.output.fields().iter().enumerate().skip(own);
        let columns = added.map(|(at, field)| (at, Column::missing(field.ty, len))).collect();
        batch.with_columns(Arc::clone(&self.output), columns)
    }
}

fn picked_of(batch: &Batch, picked: &[u32]) -> Batch {
    let is_all = picked.len() == batch.len() && picked.iter().enumerate().all(|(at, &row)| at as u32 == row);
    if is_all { batch.clone() } else { batch.take(picked) }
}

impl Process for Running {
    fn process(&mut self, mut batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        let mut empty = Batch::empty(Arc::clone(&self.output));
        (empty.sequence, empty.received) = (batch.sequence, batch.received);
        if batch.is_empty() {
            return Ok(empty);
        }
        batch.share();
        let (given, last) =
            (batch.len() as u64, batch.origins.as_ref().map(|origins| origins.trigger(batch.len() - 1)));
        let rows = Rows::new(batch, &self.input, sensors);
        let pieces = self.turn(Turn::Rows(Arc::clone(&rows)))?.unwrap_or_default();
        let is_in_order =
            pieces.iter().all(|piece| matches!(piece, Piece::Picked(of, _) if Arc::ptr_eq(of, &rows)));
        let output = self.batch(pieces, sensors)?;
        let emitted = output.as_ref().map_or(0, Batch::len) as u64;
        flow.filtered += given.saturating_sub(emitted);
        flow.made += emitted.saturating_sub(given);
        let Some(mut output) = output else { return Ok(empty) };
        if let (Some(trigger), false) = (last, is_in_order) {
            output.origins = Some(Origins::made_by(vec![trigger; output.len()]));
        }
        (output.sequence, output.received) = (empty.sequence, empty.received);
        Ok(output)
    }

    fn finish(&mut self, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let Some(pieces) = self.turn(Turn::End)? else { return Ok(None) };
        self.state = State::Over;
        let output = self.batch(pieces, sensors)?;
        flow.made += output.as_ref().map_or(0, Batch::len) as u64;
        Ok(output)
    }

    fn save(&self) -> Result<Vec<u8>> {
        Python::attach(|py| {
            let object = self.object.bind(py);
            let saved = object.call_method0("save").and_then(|saved| saved.extract::<Vec<u8>>());
            saved.map_err(|error| self.object.failed(py, error))
        })
    }

    fn restore(&mut self, state: &[u8], _sensors: &Sensors) -> Result<()> {
        Python::attach(|py| {
            let bytes = pyo3::types::PyBytes::new(py, state);
            let restored = self.object.bind(py).call_method1("restore", (bytes,));
            restored.map(drop).map_err(|error| self.object.failed(py, error))
        })
    }
}

/// The sensors of the input: a stage gives records of these.
struct KnownSensors<'s> {
    sensors: &'s Sensors,
    label: &'s str,
}

impl SensorLookup for KnownSensors<'_> {
    fn id(&mut self, name: &str) -> Result<SensorId> {
        self.sensors.find(name).ok_or_else(|| {
            Error::data(format!("`{}` gave a record of the sensor `{name}`, which is not in its input", self.label))
                .with_help("a stage gives records of the sensors that it has seen; put another name into a column of its own")
        })
    }

    fn known_ids(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut Vec<SensorId>) {
        let known = |&(start, len): &(u32, u32)| {
            self.sensors.find(std::str::from_utf8(text.get(start as usize..)?.get(..len as usize)?).ok()?)
        };
        ids.extend(names.iter().map(|name| known(name).unwrap_or(SensorId::UNKNOWN)));
    }
}

/// The thread: runs `process`, and gives what it yields.
fn drive(
    object: &Arc<Object>,
    layout: &Arc<Layout>,
    output: &Arc<Schema>,
    turns: Receiver<Turn>,
    replies: Sender<Reply>,
) {
    let run = |py: Python<'_>| {
        let yielded = match Yielded::new(layout, output) {
            Ok(yielded) => Arc::new(Mutex::new(yielded)),
            Err(error) => return drop(replies.send(Reply::Failed(object.failed(py, error)))),
        };
        let feed = StageFeed {
            turns,
            replies: replies.clone(),
            yielded: Arc::clone(&yielded),
            is_waiting: true,
            failure: Arc::clone(object),
        };
        let stream = Stream::new(layout, feed);
        let processed = object.entered(py, |object| {
            let result = object.call_method1("process", (stream,))?;
            items(&result, |item| match !item.is_instance_of::<Record>() && is_arrow(item)? {
                // It may be made from the stream while it is read, so nothing is locked meanwhile.
                true => reader_of(item)?
                    .try_for_each(|records| yielded.lock().add(records.map_err(|error| bad(&error))?)),
                false => yielded.lock().push(item),
            })
        });
        let reply = match processed.and_then(|()| yielded.lock().take()) {
            Ok(pieces) => Reply::Over(pieces),
            Err(error) => Reply::Failed(object.failed(py, error)),
        };
        // If nobody waits for it, the run has ended.
        py.detach(|| drop(replies.send(reply)));
    };
    // Not if the interpreter has ended.
    Python::try_attach(run);
}

/// Hands each item of what a component returned to `take`: those of an iterable, of an asynchronous one, or the record batches of a table.
pub(crate) fn items<'py>(
    result: &Bound<'py, PyAny>,
    mut take: impl FnMut(&Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let py = result.py();
    if result.is_none() {
        return Err(PyTypeError::new_err("it returned None: return or yield records"));
    }
    if !result.hasattr("__next__")? && is_arrow(result)? {
        return take(result);
    }
    let iterable = match result.hasattr("__aiter__")? || result.hasattr("__await__")? {
        true => py.import("tidemill._async")?.getattr("iterate")?.call1((result,))?,
        false => result.clone(),
    };
    for item in iterable.try_iter()? {
        take(&item?)?;
    }
    Ok(())
}

/// What `process` has yielded since the last turn.
struct Yielded {
    layout: Arc<Layout>,
    builder: Builder,
    pieces: Vec<Piece>,
}

impl Yielded {
    fn new(layout: &Arc<Layout>, output: &Schema) -> PyResult<Self> {
        let builder = Builder::new(Arc::clone(Encoder::new(output).schema()))?;
        Ok(Self { layout: Arc::clone(layout), builder, pieces: Vec::new() })
    }

    fn push(&mut self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(record) = item.cast::<Record>() {
            let record = record.borrow();
            if record.changes.is_none() && Arc::ptr_eq(&record.rows.layout, &self.layout) {
                return self.pick(&record.rows, record.row);
            }
        }
        self.builder.push(item)
    }

    fn add(&mut self, records: RecordBatch) -> PyResult<()> {
        self.flush()?;
        self.pieces.push(Piece::Made(records));
        Ok(())
    }

    fn pick(&mut self, rows: &Arc<Rows>, row: u32) -> PyResult<()> {
        self.flush()?;
        match self.pieces.last_mut() {
            Some(Piece::Picked(of, picked)) if Arc::ptr_eq(of, rows) => picked.push(row),
            _ => self.pieces.push(Piece::Picked(Arc::clone(rows), vec![row])),
        }
        Ok(())
    }

    fn flush(&mut self) -> PyResult<()> {
        if self.builder.len() > 0 {
            self.pieces.push(Piece::Made(self.builder.take()?));
        }
        Ok(())
    }

    fn take(&mut self) -> PyResult<Vec<Piece>> {
        self.flush()?;
        Ok(std::mem::take(&mut self.pieces))
    }
}

/// The stream that `process` reads.
struct StageFeed {
    turns: Receiver<Turn>,
    replies: Sender<Reply>,
    yielded: Arc<Mutex<Yielded>>,
    /// Whether the engine has been given what was yielded, and has not given the next batch yet.
    is_waiting: bool,
    failure: Arc<Object>,
}

impl Feed for StageFeed {
    fn next(&mut self) -> Fed {
        if !std::mem::replace(&mut self.is_waiting, true) {
            let reply = match self.yielded.lock().take() {
                Ok(pieces) => Reply::Output(pieces),
                Err(error) => Reply::Failed(Python::attach(|py| self.failure.failed(py, error))),
            };
            if self.replies.send(reply).is_err() {
                return Fed::Stopped;
            }
        }
        match self.turns.recv_timeout(LOOK) {
            _ if is_closing() => Fed::Stopped,
            Ok(Turn::Rows(rows)) => {
                self.is_waiting = false;
                Fed::Rows(rows)
            }
            Ok(Turn::End) => Fed::End,
            Err(RecvTimeoutError::Timeout) => Fed::Nothing,
            Err(RecvTimeoutError::Disconnected) => Fed::Stopped,
        }
    }
}
