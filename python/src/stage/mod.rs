//! Stages in Python: `process(stream)` returns or yields records; `save()` and `restore(state)` take part in checkpoints.
//!
//! `process` pulls, the engine pushes. So it runs on a thread of its own, and waits in `next(stream)` until the engine has more; what it has yielded
//! when it asks for the record behind a batch is the output of that batch. It is saved while it waits there.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | python stage | the first batch | the next batch, in the stream that it reads | with `process`, or when the stage is dropped |

mod pieces;
mod thread;

use std::sync::Arc;

use arrow_schema::DataType;
use crossbeam_channel::{Receiver, Sender, bounded};
use pyo3::prelude::*;
use schemars::Schema as JsonSchema;
use serde_json::Value;
use tidemill::batch::{Batch, Field, FieldType, Origins, Schema};
use tidemill::options::{Configure, Options};
use tidemill::sensor::Sensors;
use tidemill::stage::{Component, Flow, Process, Reach, Stage};
use tidemill::{Error, Result};

use crate::columns::declared;
use crate::exit::start_thread;
use crate::object::{self, Object, declares};
use crate::records::{Layout, Rows};
use crate::stage::pieces::{Piece, batch_of};
use crate::stage::thread::{Reply, Turn, drive};
use crate::wait::receive;

/// A stage in Python, as a pipeline has it.
pub(crate) struct PyStage {
    object: Arc<Object>,
    /// The columns that it adds.
    fields: Vec<(String, DataType)>,
    memory: Memory,
}

/// What it keeps between records, for checkpoints.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// It has `save` and `restore`.
    Saved,
    /// It says that it keeps nothing.
    Nothing,
    Unknown,
}

tidemill::submit! { Component::of::<PyStage>(object::PREFIX, "a stage written in Python: python:module:Class") }

impl Configure for PyStage {
    fn schemas() -> Vec<JsonSchema> {
        vec![object::schema()]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (object, (fields, memory)) = Object::configure(options, |object, own| {
            object.check(own, &["process"])?;
            let fields = own.getattr_opt("fields")?.map_or(Ok(Vec::new()), |fields| declared(&fields))?;
            let memory = match object.has_both(own, ["save", "restore"])? {
                true => Memory::Saved,
                false if declares(own, "stateless")? => Memory::Nothing,
                false => Memory::Unknown,
            };
            Ok((fields, memory))
        })?;
        Some(Self { object, fields, memory })
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

    fn check_resumable(&self) -> Result<()> {
        match self.memory {
            Memory::Saved | Memory::Nothing => Ok(()),
            Memory::Unknown => Err(Error::config("it has no `save` and `restore`, so it cannot go on after a restart")
                .with_help("give it `save()`, which returns what it keeps between records, and `restore(state)`; or, if it keeps nothing, `stateless = True`")),
        }
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
        let object = Arc::clone(&self.object);
        let is_saved = self.memory == Memory::Saved;
        Ok(Box::new(Running { object, input, output, is_saved, state: State::Idle { restored: None } }))
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
    /// Whether its object is asked to save.
    is_saved: bool,
    state: State,
}

enum State {
    /// `process` has not been called.
    Idle { restored: Option<Vec<u8>> },
    /// It waits for the next batch.
    Waiting { turns: Sender<Turn>, replies: Receiver<Reply> },
    /// It has returned.
    Over,
}

/// The first byte of what is saved: whether `process` had been called, and whether it had returned. The state of the object follows, if it has one.
const IDLE: u8 = 0;
const WAITING: u8 = 1;
const OVER: u8 = 2;

impl Running {
    fn start(&mut self, restored: Option<Vec<u8>>) -> Result<()> {
        let (turns, inbox) = bounded(1);
        let (outbox, replies) = bounded(1);
        let (object, layout, output) =
            (Arc::clone(&self.object), Arc::clone(&self.input), Arc::clone(&self.output));
        let run = move || drive(&object, &layout, &output, restored.as_deref(), inbox, outbox);
        start_thread("python stage", run)?;
        self.state = State::Waiting { turns, replies };
        Ok(())
    }

    /// Gives `turn` to the thread, and waits for its reply; `None` if `process` has returned before.
    fn ask(&self, turn: Turn) -> Result<Option<Reply>> {
        let State::Waiting { turns, replies } = &self.state else { return Ok(None) };
        // If it has returned without asking for more, it has left its reply.
        drop(turns.send(turn));
        match receive(replies, || self.object.runs.check())? {
            Some(Reply::Failed(error)) => Err(error),
            Some(reply) => Ok(Some(reply)),
            None => Err(Error::internal(format!("the thread of `{}` is gone", self.object.label))),
        }
    }

    /// One turn: gives what the stage has yielded for it.
    fn turn(&mut self, turn: Turn) -> Result<Vec<Piece>> {
        if let State::Idle { restored } = &mut self.state {
            let restored = restored.take();
            self.start(restored)?;
        }
        let reply = self.ask(turn);
        // Of one that has failed, too: another worker may come with the next batch before the run ends, and nobody would answer.
        if matches!(reply, Err(_) | Ok(Some(Reply::Over(_)))) {
            self.state = State::Over;
        }
        Ok(match reply? {
            Some(Reply::Output(pieces) | Reply::Over(pieces)) => pieces,
            _ => Vec::new(),
        })
    }

    /// The pieces as one batch.
    fn batch(&self, pieces: Vec<Piece>, sensors: &Sensors) -> Result<Option<Batch>> {
        batch_of(pieces, &self.object.label, &self.output, sensors)
    }
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
        let pieces = self.turn(Turn::Rows(Arc::clone(&rows)))?;
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
        let pieces = self.turn(Turn::End)?;
        self.state = State::Over;
        let output = self.batch(pieces, sensors)?;
        flow.made += output.as_ref().map_or(0, Batch::len) as u64;
        Ok(output)
    }

    fn save(&self) -> Result<Vec<u8>> {
        match &self.state {
            State::Idle { restored: Some(state) } => Ok([&[WAITING], state.as_slice()].concat()),
            State::Idle { restored: None } => Ok(vec![IDLE]),
            State::Waiting { .. } if !self.is_saved => Ok(vec![WAITING]),
            State::Waiting { .. } => match self.ask(Turn::Save)? {
                Some(Reply::Saved(state)) => Ok([&[WAITING], state.as_slice()].concat()),
                // It has returned after its last turn: whatever comes is not for it.
                _ => Ok(vec![OVER]),
            },
            State::Over => Ok(vec![OVER]),
        }
    }

    fn restore(&mut self, state: &[u8], _sensors: &Sensors) -> Result<()> {
        self.state = match state {
            [IDLE] | [WAITING] => State::Idle { restored: None },
            [WAITING, state @ ..] if self.is_saved => State::Idle { restored: Some(state.to_vec()) },
            [OVER] => State::Over,
            _ => return Err(Error::data("the saved state is of a stage that keeps another one")),
        };
        Ok(())
    }
}
