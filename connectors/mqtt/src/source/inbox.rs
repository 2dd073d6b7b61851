//! Messages between the thread of the connection and the thread that reads the source: bounded in bytes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemill_engine::error::Error;
use tidemill_engine::time::Timestamp;
use tokio::sync::Notify;

use crate::client::Message;

/// Bytes that may wait to be read. More stays with the broker, which is not read from then.
const ROOM: usize = 4 << 20;

/// A message as it arrived.
pub(super) struct Arrived {
    pub(super) message: Message,
    pub(super) at: Timestamp,
    /// Over which of the connections, counted from 1.
    pub(super) connection: u64,
}

/// What has happened to the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Connections {
    /// How many were made.
    pub(super) made: u64,
    /// How many were lost.
    pub(super) lost: u64,
    /// Attempts that failed.
    pub(super) failed: u64,
    /// How many began with an empty session, although the broker had been asked to keep it.
    pub(super) forgotten: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    /// Something was put in.
    filled: Condvar,
    /// There is room.
    emptied: Notify,
}

#[derive(Default)]
struct State {
    messages: Vec<Arrived>,
    bytes: usize,
    connections: Connections,
    /// The subscriptions are in force.
    is_ready: bool,
    /// Why the connection has ended for good.
    error: Option<Error>,
    /// The thread of the connection has ended.
    has_ended: bool,
    /// Nothing more is taken.
    is_closed: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked has left whole messages.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the messages in, and waits until there is room for more. Discards them when the inbox is closed.
    pub(super) async fn put(&self, messages: &mut Vec<Arrived>, bytes: usize) {
        let is_full = {
            let mut state = self.lock();
            if state.is_closed {
                messages.clear();
                return;
            }
            state.messages.append(messages);
            state.bytes += bytes;
            state.bytes >= ROOM
        };
        self.filled.notify_one();
        if is_full {
            self.room().await;
        }
    }

    async fn room(&self) {
        let has_room = || {
            let state = self.lock();
            state.bytes < ROOM || state.is_closed
        };
        while !has_room() {
            self.emptied.notified().await;
        }
    }

    /// Takes all messages; waits at most `wait` for the first.
    ///
    /// # Errors
    /// Why there will be no more, once all were taken.
    pub(super) fn take(&self, wait: Duration) -> Result<Vec<Arrived>, Error> {
        let mut state = self.lock();
        if state.messages.is_empty() && state.error.is_none() && !state.has_ended && !wait.is_zero() {
            let is_idle =
                |state: &mut State| state.messages.is_empty() && state.error.is_none() && !state.has_ended;
            let waited = self.filled.wait_timeout_while(state, wait, is_idle);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if let (true, Some(error)) = (state.messages.is_empty(), state.error.take()) {
            return Err(error);
        }
        state.bytes = 0;
        let messages = std::mem::take(&mut state.messages);
        drop(state);
        // A permit is kept if nobody waits yet.
        self.emptied.notify_one();
        Ok(messages)
    }

    /// Takes nothing more, and forgets what was not taken.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        (state.is_closed, state.bytes) = (true, 0);
        state.messages.clear();
        drop(state);
        self.emptied.notify_one();
    }

    /// The subscriptions are in force.
    pub(super) fn ready(&self) {
        self.lock().is_ready = true;
        self.filled.notify_all();
    }

    /// There will be no more messages, for this reason if it is not the end.
    pub(super) fn end(&self, error: Option<Error>) {
        let mut state = self.lock();
        state.has_ended = true;
        state.error = error;
        drop(state);
        self.filled.notify_all();
    }

    /// Waits until the subscriptions are in force, or cannot be; `None` if neither happened in this time.
    pub(super) fn wait_ready(&self, wait: Duration) -> Option<Result<(), Error>> {
        let is_open = |state: &mut State| !state.is_ready && !state.has_ended;
        let waited = self.filled.wait_timeout_while(self.lock(), wait, is_open);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (state.is_ready, state.has_ended) {
            (true, _) => Some(Ok(())),
            (false, true) => state.error.take().map(Err),
            (false, false) => None,
        }
    }

    pub(super) fn connections(&self) -> Connections {
        self.lock().connections
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Connections)) {
        count(&mut self.lock().connections);
    }
}
