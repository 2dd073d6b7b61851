//! What a source in Python has given and the engine has not read yet, and what the engine tells the source.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use parking_lot::{Condvar, Mutex, MutexGuard};
use pyo3::prelude::*;
use tidemill::{Error, Result};

use crate::columns::Builder;
use crate::exit::{closing, is_closing};
use crate::saved::Snapshot;

/// Records between the object and the engine, at most.
const ROOM: usize = 65_536;
/// How long a wait lasts before it is checked whether it still makes sense.
const WAIT: Duration = Duration::from_millis(50);
/// How long a source is waited for that was told something when its run ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one that may wait for its next record is waited for.
const GRACE: Duration = Duration::from_secs(1);

/// Between the two threads.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// For the engine: something was given, or all was.
    news: Condvar,
    /// For the object: there is room, something is durable, or nobody reads any more.
    room: Condvar,
    /// Nobody reads any more.
    is_closed: AtomicBool,
    /// The run is over.
    is_dropped: AtomicBool,
}

/// Records that are read at once.
pub(super) struct Given {
    pub(super) records: RecordBatch,
    /// How far they go.
    pub(super) position: Option<Snapshot>,
}

#[derive(Default)]
pub(super) struct State {
    given: VecDeque<Given>,
    /// The records that were given one by one since.
    pub(super) builder: Option<Builder>,
    /// How far these go.
    position: Option<Snapshot>,
    rows: usize,
    /// What the object is to be told.
    durable: Option<Vec<u8>>,
    /// No more will be given.
    is_over: bool,
    error: Option<Error>,
    /// The thread has left the object.
    has_left: bool,
}

impl State {
    /// Adds record batches, behind the records that were given before.
    pub(super) fn add(&mut self, records: RecordBatch, position: Option<Snapshot>) -> PyResult<()> {
        self.flush()?;
        self.rows += records.num_rows();
        self.given.push_back(Given { records, position });
        Ok(())
    }

    /// One record more is in the builder.
    pub(super) fn added(&mut self, position: Option<Snapshot>) {
        self.position = position;
        self.rows += 1;
    }

    fn flush(&mut self) -> PyResult<()> {
        if let Some(builder) = self.builder.as_mut().filter(|builder| builder.len() > 0) {
            self.given.push_back(Given { records: builder.take()?, position: self.position.take() });
        }
        Ok(())
    }

    fn take(&mut self) -> PyResult<Option<Given>> {
        if self.given.is_empty() {
            self.flush()?;
        }
        Ok(self.given.pop_front())
    }
}

/// The object's side.
impl Shared {
    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed) || is_closing()
    }

    /// Adds what `add` puts into the state; waits while there is no room. False if nobody reads any more.
    pub(super) fn give(
        &self,
        py: Python<'_>,
        add: impl FnOnce(&mut State) -> PyResult<()>,
    ) -> PyResult<bool> {
        let mut state = self.state.lock();
        while state.rows >= ROOM && !self.is_closed() {
            // The interpreter is let go before waiting, and taken again without the lock.
            drop(state);
            py.detach(|| {
                let mut state = self.state.lock();
                if state.rows >= ROOM && !self.is_closed() {
                    self.room.wait_for(&mut state, WAIT);
                }
            });
            state = self.state.lock();
        }
        if self.is_closed() {
            return Ok(false);
        }
        let before = state.rows;
        add(&mut state)?;
        if before == 0 {
            self.news.notify_one();
        }
        Ok(true)
    }

    /// What the object is to be told.
    pub(super) fn told(&self) -> Option<Vec<u8>> {
        self.state.lock().durable.clone()
    }

    /// The object was told this.
    pub(super) fn has_told(&self, position: &[u8]) {
        self.state.lock().durable.take_if(|told| told.as_slice() == position);
        self.news.notify_all();
    }

    /// Waits for what the object is to be told; `None` when the run is over.
    pub(super) fn wait_to_tell(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        loop {
            if state.durable.is_some() {
                return state.durable.clone();
            }
            if self.is_dropped.load(Ordering::Relaxed) || is_closing() {
                return None;
            }
            self.room.wait_for(&mut state, WAIT);
        }
    }

    /// No more will be given, for that reason.
    pub(super) fn end(&self, error: Option<Error>) {
        let mut state = self.state.lock();
        state.is_over = true;
        state.error = state.error.take().or(error);
        self.news.notify_all();
    }

    /// It has failed after it had given all.
    pub(super) fn fail(&self, error: Error) {
        self.state.lock().error = Some(error);
    }

    /// Whether that was said.
    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().is_over
    }

    /// The thread has left the object.
    pub(super) fn leave(&self) {
        self.state.lock().has_left = true;
        self.news.notify_all();
    }
}

/// The engine's side, without the interpreter.
impl Shared {
    /// What has been given, after a short wait; the end is [`Taken::Over`].
    pub(super) fn take(&self) -> Result<Taken> {
        let mut state = self.state.lock();
        if state.rows == 0 && !state.is_over {
            self.news.wait_for(&mut state, WAIT);
        }
        let taken = state.take().map_err(|error| Error::internal(error.to_string()))?;
        let Some(given) = taken else {
            return match (state.error.take(), state.is_over) {
                (Some(error), _) => Err(error),
                (None, true) => Ok(Taken::Over),
                (None, false) => Ok(Taken::Nothing),
            };
        };
        state.rows -= given.records.num_rows();
        self.room.notify_one();
        Ok(Taken::Given(given))
    }

    /// What is left when nothing more is read.
    pub(super) fn rest(&self) -> Result<Option<Given>> {
        self.state.lock().take().map_err(|error| Error::internal(error.to_string()))
    }

    /// What ended it.
    pub(super) fn take_error(&self) -> Option<Error> {
        self.state.lock().error.take()
    }

    /// Nothing more is read.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.room.notify_all();
    }

    /// Tells the object that everything before `position` is durable, at the latest when it gives its next record; once it has given all, at once.
    pub(super) fn tell(&self, position: Vec<u8>) -> Result<()> {
        let mut state = self.state.lock();
        state.durable = Some(position);
        self.room.notify_all();
        while state.is_over && !state.has_left && state.durable.is_some() {
            if is_closing() {
                return Err(closing());
            }
            self.news.wait_for(&mut state, WAIT);
        }
        state.error.take().map_or(Ok(()), Err)
    }

    /// The run is over: waits until the object was told the last position, and was left.
    pub(super) fn finish(&self) {
        self.is_dropped.store(true, Ordering::Relaxed);
        self.close();
        let begun = Instant::now();
        let patience = |state: &MutexGuard<'_, State>| match state.is_over || state.durable.is_some() {
            true => PATIENCE,
            false => GRACE,
        };
        let mut state = self.state.lock();
        while !state.has_left && !is_closing() && begun.elapsed() < patience(&state) {
            self.news.wait_for(&mut state, WAIT);
        }
    }
}

/// What the engine gets.
pub(super) enum Taken {
    Given(Given),
    /// Nothing has come yet.
    Nothing,
    Over,
}

/// The reading side: dropped, the object is asked for no more.
pub(super) struct Hold(pub(super) Arc<Shared>);

impl Drop for Hold {
    /// Without the lock: the source's thread may have it while it waits for the interpreter, which whoever drops this may hold.
    fn drop(&mut self) {
        self.0.is_dropped.store(true, Ordering::Relaxed);
        self.0.close();
    }
}
