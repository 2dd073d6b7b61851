//! The thread of a stage: it runs `process`, and gives what that yields.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;
use pyo3::exceptions::PyGeneratorExit;
use pyo3::prelude::*;
use tidemill::Error;
use tidemill::batch::Schema;

use crate::capsule::{bad, is_arrow, reader_of};
use crate::exit::{attached, is_closing};
use crate::object::{Object, items};
use crate::records::{Layout, Record, Rows};
use crate::runs::Runs;
use crate::saved::{decode, encode};
use crate::stage::pieces::{Piece, Yielded};
use crate::stream::{Fed, Feed, Stream};
use crate::wait::LOOK;

/// What the engine gives to the thread.
pub(super) enum Turn {
    Rows(Arc<Rows>),
    Save,
    End,
}

/// What the thread gives back for each turn.
pub(super) enum Reply {
    /// It asks for more.
    Output(Vec<Piece>),
    /// `process` has returned.
    Over(Vec<Piece>),
    /// The state of the object.
    Saved(Vec<u8>),
    Failed(tidemill::Error),
}

/// Runs `process`, in the state `restored`.
pub(super) fn drive(
    object: &Arc<Object>,
    layout: &Arc<Layout>,
    output: &Arc<Schema>,
    restored: Option<&[u8]>,
    turns: Receiver<Turn>,
    replies: Sender<Reply>,
) {
    let run = |py: Python<'_>| {
        let yielded = match Yielded::new(layout, output) {
            Ok(yielded) => Arc::new(Mutex::new(yielded)),
            Err(error) => return drop(replies.send(Reply::Failed(object.failed(py, error)))),
        };
        let taken = Arc::new(Mutex::new(Taken::new(&object.runs)));
        let feed = StageFeed {
            turns,
            replies: replies.clone(),
            yielded: Arc::clone(&yielded),
            taken: Arc::clone(&taken),
            is_waiting: true,
            object: Arc::clone(object),
        };
        let stream = Stream::new(layout, feed);
        let processed = object.entered(py, |own| {
            if let Some(state) = restored {
                object.call(py, "restore", (decode(py, state)?,))?;
            }
            let result = own.call_method1("process", (stream,))?;
            items(&result, |item| {
                taken.lock().check()?;
                match !item.is_instance_of::<Record>() && is_arrow(item)? {
                    // It may be made from the stream while it is read, so nothing is locked meanwhile.
                    true => reader_of(item)?
                        .try_for_each(|records| yielded.lock().add(records.map_err(|error| bad(&error))?)),
                    false => yielded.lock().push(item),
                }
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
    attached(run);
}

/// How long a stage may go on yielding without asking for more, once its run is to stop.
const PATIENCE: Duration = Duration::from_secs(5);
/// A stage that yields at most so many more than it was given is slow, and not endless.
const MANY: u64 = 1000;

/// When a stage took its last records, and what it has yielded since.
struct Taken {
    runs: Runs,
    at: Instant,
    looked: Instant,
    /// The number of these records.
    given: u64,
    yielded: u64,
    /// Whether there were no more: what it yields then is all that it has kept back.
    is_end: bool,
}

impl Taken {
    fn new(runs: &Runs) -> Self {
        let now = Instant::now();
        Self { runs: runs.clone(), at: now, looked: now, given: 0, yielded: 0, is_end: false }
    }

    fn renew(&mut self, given: u64, is_end: bool) {
        (self.at, self.given, self.yielded, self.is_end) = (Instant::now(), given, 0, is_end);
    }

    /// Ends a stage that yields without an end when the run is to stop.
    fn check(&mut self) -> PyResult<()> {
        self.yielded += 1;
        let now = Instant::now();
        if now - self.looked < LOOK {
            return Ok(());
        }
        self.looked = now;
        let is_endless = self.yielded > self.given + MANY && !self.is_end && now - self.at > PATIENCE;
        if is_closing() || self.runs.check().is_err() || is_endless && self.runs.is_stopped() {
            return Err(PyGeneratorExit::new_err("the run was stopped"));
        }
        Ok(())
    }
}

/// The stream that `process` reads.
struct StageFeed {
    turns: Receiver<Turn>,
    replies: Sender<Reply>,
    yielded: Arc<Mutex<Yielded>>,
    taken: Arc<Mutex<Taken>>,
    /// Whether the engine has been given what was yielded, and has not given the next batch yet.
    is_waiting: bool,
    object: Arc<Object>,
}

impl StageFeed {
    fn failed(&self, error: PyErr) -> Reply {
        Reply::Failed(Python::attach(|py| self.object.failed(py, error)))
    }

    /// The stage's thread has them locked, while it reads what was yielded: that asks for more of the stream.
    fn reads_itself(&self) -> Error {
        Error::data(format!(
            "{} yielded a record that reads the stream when its values are read",
            self.object.label
        ))
        .with_help("read the values before the record is yielded, such as by `dict(record)`")
    }

    /// The state of the object, which waits for its next record.
    fn saved(&self) -> Reply {
        let saved = Python::attach(|py| encode(&self.object.call(py, "save", ())?));
        saved.map_or_else(|error| self.failed(error), Reply::Saved)
    }
}

impl Feed for StageFeed {
    fn next(&mut self) -> Fed {
        if !std::mem::replace(&mut self.is_waiting, true) {
            let Some(mut yielded) = self.yielded.try_lock() else { return Fed::Failed(self.reads_itself()) };
            let pieces = yielded.take();
            drop(yielded);
            let reply = pieces.map_or_else(|error| self.failed(error), Reply::Output);
            if self.replies.send(reply).is_err() {
                return Fed::Stopped;
            }
        }
        match self.turns.recv_timeout(LOOK) {
            _ if is_closing() => Fed::Stopped,
            Ok(Turn::Rows(rows)) => {
                self.is_waiting = false;
                self.taken.lock().renew(rows.batch.len() as u64, false);
                Fed::Rows(rows)
            }
            Ok(Turn::Save) => match self.replies.send(self.saved()) {
                Ok(()) => Fed::Nothing,
                Err(_) => Fed::Stopped,
            },
            Ok(Turn::End) => {
                self.taken.lock().renew(0, true);
                Fed::End
            }
            Err(RecvTimeoutError::Timeout) => Fed::Nothing,
            Err(RecvTimeoutError::Disconnected) => Fed::Stopped,
        }
    }
}
