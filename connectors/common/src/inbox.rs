//! Messages between the thread of a connection and the thread that reads the source: bounded in bytes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemill_engine::error::Error;
use tokio::sync::Notify;

/// Bytes that may wait to be read.
const ROOM: usize = 4 << 20;

/// Messages of type `T`, and what has happened to the connection that they come over.
pub struct Inbox<T> {
    state: Mutex<State<T>>,
    /// Something was put in.
    filled: Condvar,
    /// There is room.
    emptied: Notify,
}

/// How often connections were made and lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// How many were made.
    pub made: u64,
    /// How many were lost.
    pub lost: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// How many began with an empty session, although the server had been asked to keep it.
    pub forgotten: u64,
    /// Messages that were dropped.
    pub dropped: u64,
}

struct State<T> {
    messages: Vec<T>,
    bytes: usize,
    connections: Connections,
    is_ready: bool,
    error: Option<Error>,
    has_ended: bool,
    is_closed: bool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        let state = State {
            messages: Vec::new(),
            bytes: 0,
            connections: Connections::default(),
            is_ready: false,
            error: None,
            has_ended: false,
            is_closed: false,
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), emptied: Notify::new() }
    }
}

impl<T> Inbox<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Whoever panicked has left whole messages.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in all of `messages`, which take so many bytes, and waits until there is room for more. Discards them when the inbox is closed.
    pub async fn put(&self, messages: &mut Vec<T>, bytes: usize) {
        self.offer(messages, bytes);
        self.room().await;
    }

    /// Puts in all of `messages`, which take so many bytes, without waiting. Discards them when the inbox is closed.
    pub fn offer(&self, messages: &mut Vec<T>, bytes: usize) {
        {
            let mut state = self.lock();
            if state.is_closed {
                messages.clear();
                return;
            }
            state.messages.append(messages);
            state.bytes += bytes;
        }
        self.filled.notify_one();
    }

    /// Waits until there is room.
    pub async fn room(&self) {
        while !self.has_room() {
            self.emptied.notified().await;
        }
    }

    /// Whether there is room.
    pub fn has_room(&self) -> bool {
        let state = self.lock();
        state.bytes < ROOM || state.is_closed
    }

    /// Takes all messages; waits at most `wait` for the first.
    ///
    /// # Errors
    /// Why there will be no more, once all were taken.
    pub fn take(&self, wait: Duration) -> Result<Vec<T>, Error> {
        let is_idle = |state: &mut State<T>| state.messages.is_empty() && !state.has_ended;
        let mut state = self.lock();
        if is_idle(&mut state) && !wait.is_zero() {
            let waited = self.filled.wait_timeout_while(state, wait, is_idle);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.messages.is_empty()
            && let Some(error) = state.error.take()
        {
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
    pub fn close(&self) {
        let mut state = self.lock();
        (state.is_closed, state.bytes) = (true, 0);
        state.messages.clear();
        drop(state);
        self.emptied.notify_one();
    }

    /// The server sends what was asked for.
    pub fn ready(&self) {
        self.lock().is_ready = true;
        self.filled.notify_all();
    }

    /// Whether the server has sent what was asked for at least once.
    pub fn is_ready(&self) -> bool {
        self.lock().is_ready
    }

    /// There will be no more messages, for this reason if it is not the end.
    pub fn end(&self, error: Option<Error>) {
        let mut state = self.lock();
        state.has_ended = true;
        state.error = error;
        drop(state);
        self.filled.notify_all();
    }

    /// Waits until the server sends what was asked for, or has refused to; `None` if neither happened within `wait`. Messages for which there is no room are sent, whatever
    /// the server has still to answer: the answer may be behind them, and they must be taken first.
    pub fn wait_ready(&self, wait: Duration) -> Option<Result<(), Error>> {
        let is_open = |state: &mut State<T>| !state.is_ready && !state.has_ended && state.bytes < ROOM;
        let waited = self.filled.wait_timeout_while(self.lock(), wait, is_open);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_ready |= state.bytes >= ROOM && !state.has_ended;
        match (state.is_ready, state.has_ended) {
            (true, _) => Some(Ok(())),
            (false, true) => state.error.take().map(Err),
            (false, false) => None,
        }
    }

    /// What has happened to the connection.
    pub fn connections(&self) -> Connections {
        self.lock().connections
    }

    /// Counts something.
    pub fn count(&self, count: impl FnOnce(&mut Connections)) {
        count(&mut self.lock().connections);
    }
}

impl Connections {
    /// Remarks for the end of the run, about `server`.
    pub fn remarks(self, server: &str) -> Vec<String> {
        let Self { lost, failed, forgotten, dropped, .. } = self;
        let all = [
            (lost, format!("the connection to the {server} was lost {lost} times")),
            (failed, format!("{failed} attempts to connect to the {server} failed")),
            (
                forgotten,
                format!(
                    "the {server} had forgotten the session {forgotten} times: what was sent in between is lost"
                ),
            ),
            (dropped, format!("{dropped} messages were dropped, since they came faster than they were read")),
        ];
        all.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::runtime::Builder;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn whoever_fills_it_waits_for_room() {
        let inbox = Arc::new(Inbox::default());
        let other = Arc::clone(&inbox);
        let filling = std::thread::Builder::new().spawn(move || {
            let runtime = Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                for number in 0..100 {
                    other.put(&mut vec![number], ROOM / 2).await;
                }
            });
            other.end(None);
        });
        let mut all = Vec::new();
        while all.len() < 100 {
            let taken = inbox.take(SOON).expect("messages");
            assert!(taken.len() <= 2);
            all.extend(taken);
        }
        assert!(all.into_iter().eq(0..100));
        filling.expect("a thread").join().expect("an end");
        assert!(inbox.take(SOON).expect("the end").is_empty());
    }

    #[test]
    fn a_full_inbox_is_ready_although_the_server_has_not_answered() {
        let inbox = Inbox::default();
        inbox.offer(&mut vec![1], ROOM - 1);
        assert!(inbox.wait_ready(Duration::ZERO).is_none() && !inbox.is_ready());
        inbox.offer(&mut vec![2], 1);
        assert!(inbox.wait_ready(Duration::ZERO).is_some_and(|ready| ready.is_ok()) && inbox.is_ready());
        let refused = Inbox::default();
        refused.offer(&mut vec![1], ROOM);
        refused.end(Some(Error::unavailable("no")));
        assert!(refused.wait_ready(Duration::ZERO).is_some_and(|ready| ready.is_err()));
    }

    #[test]
    fn an_error_comes_after_the_messages_and_a_closed_inbox_takes_none() {
        let inbox = Inbox::default();
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(inbox.put(&mut vec![1], 1));
        inbox.end(Some(Error::unavailable("gone")));
        assert_eq!(inbox.take(SOON).expect("messages"), [1]);
        assert!(inbox.take(SOON).is_err());
        inbox.close();
        runtime.block_on(inbox.put(&mut vec![2], 2 * ROOM));
        assert!(inbox.take(Duration::ZERO).expect("nothing").is_empty());
    }
}
