//! A sink that consumes the records of a whole run.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use pyo3::prelude::*;
use tidemill::batch::{Batch, Schema};
use tidemill::sensor::Sensors;
use tidemill::sink::{Sink, SinkCheckpoint};
use tidemill::{Error, Result};

use crate::exit::{attached, closing, start_thread};
use crate::object::{Object, check_no_generator};
use crate::records::{Layout, Rows};
use crate::stream::{Item, ItemFeed, Stream};
use crate::wait::{receive, send};

/// Batches between the engine and the sink: enough to keep both busy.
const QUEUE: usize = 4;

/// The thread: runs `consume`.
fn drive(object: &Object, layout: &Layout, items: Receiver<Item>, done: &Sender<Result<()>>) {
    let result = attached(|py| {
        let stream = Stream::new(layout, ItemFeed(items));
        let source = stream.source();
        let consumed = object.entered(py, |_| {
            let result = object.call(py, "consume", (stream,))?;
            check_no_generator(&result, "consume")
        });
        // What was raised refers to the stream, too: the engine must not wait for it to be read.
        source.close();
        consumed.map_err(|error| object.failed(py, error))
    });
    // If nobody waits for it, the run has ended.
    drop(done.send(result.unwrap_or_else(|| Err(closing()))));
}

/// The running sink.
pub(super) struct Consuming {
    object: Arc<Object>,
    layout: Arc<Layout>,
    items: Sender<Item>,
    done: Receiver<Result<()>>,
    /// Whether `consume` has ended.
    has_ended: bool,
    /// Records that it did not read.
    unread: u64,
}

impl Consuming {
    pub(super) fn open(object: &Arc<Object>, schema: &Arc<Schema>) -> Result<Self> {
        let layout = Python::attach(|py| Layout::new(py, schema));
        let (items, inbox) = bounded(QUEUE);
        let (outbox, done) = bounded(1);
        let (own, its) = (Arc::clone(object), Arc::clone(&layout));
        start_thread("python sink", move || drive(&own, &its, inbox, &outbox))?;
        Ok(Self { object: Arc::clone(object), layout, items, done, has_ended: false, unread: 0 })
    }

    /// Waits until there is room; false if `consume` has ended.
    fn send(&self, item: Item) -> Result<bool> {
        send(&self.items, item, || self.object.runs.check())
    }

    /// Waits until `consume` has ended; what it raised is told once.
    fn ended(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Ok(());
        }
        receive(&self.done, || self.object.runs.check())?
            .unwrap_or_else(|| Err(Error::internal("the thread of a sink is gone")))
    }
}

impl Sink for Consuming {
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

    /// Before a checkpoint, it asks for more than it has been given: none of that is lost by a kill.
    fn save(&mut self, _epoch: u64) -> Result<Option<SinkCheckpoint>> {
        let (outbox, reached) = bounded::<()>(0);
        if !self.has_ended && self.send(Item::Reached(outbox))? {
            receive(&reached, || self.object.runs.check())?;
        }
        Ok(None)
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        self.commit()
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
            self.object.label, self.unread
        );
        Ok((self.unread > 0).then_some(remark).into_iter().collect())
    }
}
