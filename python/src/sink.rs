//! Sinks in Python: `consume(stream)` takes records.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | python sink | opening the sink | the next batch, in the stream that it reads | with `consume` |

use std::sync::Arc;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use pyo3::prelude::*;
use schemars::Schema as JsonSchema;
use serde_json::Value;
use tidemill::batch::{Batch, Schema};
use tidemill::options::{Configure, Options};
use tidemill::sensor::Sensors;
use tidemill::sink::{Component, Outset, Repeat, Sink, SinkSpec};
use tidemill::{Error, Result};

use crate::exit::{closing, is_closing, start_thread};
use crate::object::{self, Object};
use crate::records::{Layout, Rows};
use crate::stream::{Fed, Feed, LOOK, Stream};

/// Batches between the engine and the sink: enough to keep both busy.
const QUEUE: usize = 4;

/// A sink in Python, as a pipeline has it.
pub(crate) struct PySink {
    object: Arc<Object>,
}

tidemill::submit! { Component::of::<PySink>(object::PREFIX, "a sink written in Python: python:module:Class") }

impl Configure for PySink {
    fn schemas() -> Vec<JsonSchema> {
        vec![object::schema()]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        Some(Self { object: Arc::new(Object::configure(options, "consume")?) })
    }
}

impl SinkSpec for PySink {
    fn name(&self) -> &str {
        &self.object.label
    }

    fn parameters(&self) -> Value {
        self.object.parameters.clone()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn open(&self, schema: &Arc<Schema>, _outset: &Outset) -> Result<Box<dyn Sink>> {
        let layout = Python::attach(|py| Layout::new(py, schema));
        let (items, inbox) = bounded(QUEUE);
        let (outbox, done) = bounded(1);
        let (object, own) = (Arc::clone(&self.object), Arc::clone(&layout));
        let run = move || drive(&object, &own, inbox, &outbox);
        start_thread("python sink", run)?;
        let label = self.object.label.clone();
        Ok(Box::new(Running { label, layout, items, done, has_ended: false, unread: 0 }))
    }
}

/// The thread: runs `consume`.
fn drive(object: &Object, layout: &Layout, items: Receiver<Item>, done: &Sender<Result<()>>) {
    let result = Python::try_attach(|py| {
        let stream = Stream::new(layout, SinkFeed(items));
        let source = stream.source();
        let consumed = object.entered(py, |object| {
            let result = object.call_method1("consume", (stream,))?;
            match result.hasattr("__await__")? {
                true => py.import("tidemill._async")?.getattr("wait")?.call1((result,)).map(drop),
                false => Ok(()),
            }
        });
        // What was raised refers to the stream, too: the engine must not wait for it to be read.
        source.close();
        consumed.map_err(|error| object.failed(py, error))
    });
    // If nobody waits for it, the run has ended.
    drop(done.send(result.unwrap_or_else(|| Err(closing()))));
}

enum Item {
    Rows(Arc<Rows>),
    End,
}

/// The stream that `consume` reads.
struct SinkFeed(Receiver<Item>);

impl Feed for SinkFeed {
    fn next(&mut self) -> Fed {
        match self.0.recv_timeout(LOOK) {
            _ if is_closing() => Fed::Stopped,
            Ok(Item::Rows(rows)) => Fed::Rows(rows),
            Ok(Item::End) => Fed::End,
            Err(RecvTimeoutError::Timeout) => Fed::Nothing,
            Err(RecvTimeoutError::Disconnected) => Fed::Stopped,
        }
    }
}

/// The running sink.
struct Running {
    label: String,
    layout: Arc<Layout>,
    items: Sender<Item>,
    done: Receiver<Result<()>>,
    /// Whether `consume` has ended.
    has_ended: bool,
    /// Records that it did not read.
    unread: u64,
}

impl Running {
    /// Waits until there is room; false if `consume` has ended.
    fn send(&self, mut item: Item) -> Result<bool> {
        loop {
            match self.items.send_timeout(item, LOOK) {
                Ok(()) => return Ok(true),
                Err(SendTimeoutError::Disconnected(_)) => return Ok(false),
                Err(SendTimeoutError::Timeout(_)) if is_closing() => return Err(closing()),
                Err(SendTimeoutError::Timeout(again)) => item = again,
            }
        }
    }

    /// Waits until `consume` has ended; what it raised is told once.
    fn ended(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Ok(());
        }
        loop {
            match self.done.recv_timeout(LOOK) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if is_closing() => return Err(closing()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::internal("the thread of a sink is gone"));
                }
            }
        }
    }
}

impl Sink for Running {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let mut batch = batch.clone();
        if batch.is_empty() {
            return Ok(());
        }
        batch.share();
        let records = batch.len() as u64;
        if !self.send(Item::Rows(Rows::new(batch, &self.layout, sensors)))? {
            self.unread += records;
            return self.ended();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if !self.has_ended {
            self.send(Item::End)?;
        }
        self.ended()
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.flush()?;
        // What was under way when it returned counts too: it is in the queue.
        let remark = format!(
            "sink `{}` returned before the end: it did not read the last {} records or more",
            self.label, self.unread
        );
        Ok((self.unread > 0).then_some(remark).into_iter().collect())
    }
}
