//! Messages between the thread of a connection and the thread that reads the source: bounded in bytes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemill_engine::error::Error;
use tidemill_engine::meter::SourceMeter;
use tokio::sync::Notify;

/// Bytes that may wait to be read.
const ROOM: usize = 4 << 20;

/// Messages of type `T`, and what has happened to the connection that they come over.
pub struct Inbox<T> {
    state: Mutex<State<T>>,
    /// What others see of the connection.
    meter: SourceMeter,
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
    /// One that nobody sees.
    fn default() -> Self {
        Self::new(SourceMeter::default())
    }
}

impl<T> Inbox<T> {
    /// Of the source whose meter this is ([`OpenOptions::meter`](tidemill_engine::source::OpenOptions::meter)): what is [counted](Inbox::count), [lost](Inbox::lost) and
    /// [failed](Inbox::failed) is reported by it too.
    pub fn new(meter: SourceMeter) -> Self {
        let state = State {
            messages: Vec::new(),
            bytes: 0,
            connections: Connections::default(),
            is_ready: false,
            error: None,
            has_ended: false,
            is_closed: false,
        };
        Self { state: Mutex::new(state), meter, filled: Condvar::new(), emptied: Notify::new() }
    }

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

    /// There will be no more messages, for this reason if it is not the end. The first reason stays.
    pub fn end(&self, error: Option<Error>) {
        let mut state = self.lock();
        if !state.has_ended {
            (state.has_ended, state.error) = (true, error);
        }
        drop(state);
        self.filled.notify_all();
    }

    /// Ends the inbox when it is dropped: see [`Ending`]. `what` is the client that fills it, such as "MQTT".
    pub fn ending(self: &Arc<Self>, what: &'static str) -> Ending<T> {
        Ending { inbox: Arc::clone(self), what }
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

    /// Counts something. Of a connection that is lost and an attempt that fails, the error is worth knowing: see [`Inbox::lost`] and [`Inbox::failed`].
    pub fn count(&self, count: impl FnOnce(&mut Connections)) {
        self.count_with(None, count);
    }

    /// The connection is lost, with this error: said as an event, and counted.
    pub fn lost(&self, error: &Error) {
        self.count_with(Some(error), |connections| connections.lost += 1);
    }

    /// An attempt has failed with this error, and is repeated: counted, and said as an event if there is no connection.
    pub fn failed(&self, error: &Error) {
        self.count_with(Some(error), |connections| connections.failed += 1);
    }

    fn count_with(&self, error: Option<&Error>, count: impl FnOnce(&mut Connections)) {
        let (before, now) = {
            let connections = &mut self.lock().connections;
            let before = *connections;
            count(connections);
            (before, *connections)
        };
        (before.lost..now.lost).for_each(|_| self.meter.lost(error));
        (before.failed..now.failed).for_each(|_| self.meter.failed(error));
        if now.made > before.made {
            self.meter.connected();
        }
        let others =
            [("forgotten", before.forgotten, now.forgotten), ("dropped", before.dropped, now.dropped)];
        for (what, before, now) in others {
            if now > before {
                self.meter.count(what, now - before);
            }
        }
    }
}

/// Ends an inbox when it is dropped, so that a client that panics is not waited for. The thread of a connection makes one ([`Inbox::ending`]) before anything else;
/// whoever knows the end calls [`Inbox::end`] before it is dropped, and that stays.
#[must_use = "the inbox ends when it is dropped"]
pub struct Ending<T> {
    inbox: Arc<Inbox<T>>,
    what: &'static str,
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.inbox.end(Some(Error::internal(format!("the client of {} has panicked", self.what))));
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

    #[test]
    fn the_first_error_stays() {
        let inbox = Inbox::<u8>::default();
        inbox.end(Some(Error::unavailable("gone")));
        inbox.end(None);
        assert_eq!(inbox.take(SOON).expect_err("the first").message(), "gone");
        let over = Inbox::<u8>::default();
        over.end(None);
        over.end(Some(Error::unavailable("gone")));
        assert!(over.take(SOON).expect("the end").is_empty());
    }

    #[test]
    fn a_client_that_panics_is_not_waited_for() {
        let inbox = Arc::new(Inbox::<u8>::default());
        let ending = inbox.ending("a test");
        let panicking = std::thread::Builder::new().spawn(move || {
            let _ending = ending;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        let error = inbox.take(SOON).expect_err("the end");
        assert!(error.message().contains("a test has panicked"), "{error}");
        assert!(panicking.expect("a thread").join().is_err());
    }

    #[test]
    fn what_is_counted_is_reported() {
        let meter = SourceMeter::default();
        let inbox = Inbox::<u8>::new(meter.clone());
        assert_eq!(meter.outage(Duration::ZERO), None);
        inbox.lost(&Error::unavailable("the broker is away"));
        inbox.count(|all| (all.failed, all.dropped) = (all.failed + 2, all.dropped + 5));
        let outage = meter.outage(Duration::ZERO).expect("an outage");
        assert!(outage.contains("the broker is away"), "{outage}");
        inbox.count(|all| all.made += 1);
        assert_eq!(meter.outage(Duration::ZERO), None);
        let Connections { made, lost, failed, dropped, .. } = inbox.connections();
        assert_eq!((made, lost, failed, dropped), (1, 1, 2, 5));
        assert_eq!(meter.counter("dropped").load(std::sync::atomic::Ordering::Relaxed), 5);
    }
}
