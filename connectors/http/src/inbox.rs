//! Messages of clients on a thread of their own, as a subscription: what has arrived is bounded in bytes.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `client` | the first call of `receive` | its servers; room in the inbox | when the source is closed or dropped |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tidemill_connect::message::{Lines, Received, Subscription};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::time::Timestamp;
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Bytes that may wait.
const ROOM: usize = 32 << 20;

/// Bytes of one permit.
const UNIT: usize = 1024;

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) payload: Vec<u8>,
    pub(crate) received: Timestamp,
    /// By field, in the order of the decoding.
    pub(crate) values: Vec<Option<String>>,
    /// From where to go on behind it: a name, and a place there.
    pub(crate) place: Option<(String, String)>,
}

/// The places from where to go on, by name.
pub(crate) type Places = BTreeMap<String, String>;

/// Where clients put messages.
#[derive(Clone)]
pub(crate) struct Outlet {
    sender: Sender<(Result<Message>, Option<OwnedSemaphorePermit>)>,
    room: Arc<Semaphore>,
    pub(crate) counts: Arc<Counts>,
}

/// What happened, for the end of the run.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    failures: AtomicU64,
    held: AtomicU64,
    last: Mutex<Option<String>>,
}

/// What clients do: ends only with an error that ends the run, or never.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes the work of the clients, given the places to go on from.
pub(crate) type Start = Box<dyn FnOnce(Outlet, Places) -> Work + Send>;

/// The subscription.
pub(crate) struct Inbox {
    start: Option<Start>,
    receiver: Option<Receiver<(Result<Message>, Option<OwnedSemaphorePermit>)>>,
    counts: Arc<Counts>,
    places: Places,
    stop: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
    is_closed: bool,
}

impl Outlet {
    /// Hands over a message, once there is room. `None` if nobody takes it any more.
    pub(crate) async fn send(&self, message: Message) -> Option<()> {
        let size = (message.payload.len() / UNIT + 1).min(ROOM / UNIT) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(size).await.ok()?;
        self.sender.send((Ok(message), Some(room))).ok()
    }

    /// Ends the run with an error.
    pub(crate) fn fail(&self, error: Error) {
        // Nobody takes it if the run has ended.
        let _taken = self.sender.send((Err(error), None));
    }
}

impl Counts {
    /// Something failed that is tried again.
    pub(crate) fn failed(&self, error: &Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    /// A circuit breaker has held an attempt back.
    pub(crate) fn held(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    fn remarks(&self) -> Vec<String> {
        let failures = self.failures.load(Ordering::Relaxed);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let told =
            |last: &String| format!("{failures} attempts failed and were repeated, the last one: {last}");
        let held = self.held.load(Ordering::Relaxed);
        let held = (held > 0).then(|| {
            format!("{held} attempts were held back by a circuit breaker, since most before them had failed")
        });
        last.iter().map(told).chain(held).collect()
    }
}

impl Inbox {
    pub(crate) fn new(start: Start) -> Self {
        Self {
            start: Some(start),
            receiver: None,
            counts: Arc::default(),
            places: Places::new(),
            stop: None,
            thread: None,
            is_closed: false,
        }
    }

    /// Starts the thread, unless it runs.
    fn begin_work(&mut self) -> Result<()> {
        let Some(start) = self.start.take() else { return Ok(()) };
        let (sender, receiver) = channel();
        let room = Arc::new(Semaphore::new(ROOM / UNIT));
        let outlet = Outlet { sender, room, counts: Arc::clone(&self.counts) };
        let work = start(outlet, self.places.clone());
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("client".into()).spawn(move || run(work, stopped));
        self.thread =
            Some(thread.map_err(|error| Error::internal(format!("no thread for clients: {error}")))?);
        (self.receiver, self.stop) = (Some(receiver), Some(stop));
        Ok(())
    }

    /// Ends the thread. What waits for room is let go.
    fn end_work(&mut self) {
        // Nobody waits if the thread has ended.
        let _ended = self.stop.take().map(|stop| stop.send(true));
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

/// The main loop of the thread.
fn run(work: Work, mut stopped: watch::Receiver<bool>) {
    // Without a runtime the outlet is dropped, which the receiver notices.
    let Ok(runtime) = Builder::new_current_thread().enable_io().enable_time().build() else { return };
    runtime.block_on(async move {
        tokio::select! {
            () = work => {}
            _ = stopped.wait_for(|is_over| *is_over) => {}
        }
    });
    // A name that is being resolved is not waited for.
    runtime.shutdown_background();
}

impl Subscription for Inbox {
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn receive(&mut self, lines: &mut Lines, wait: Duration) -> Result<Received> {
        if !self.is_closed {
            self.begin_work()?;
        }
        let Some(receiver) = &self.receiver else { return Ok(Received::End) };
        let mut wait = wait;
        while !lines.is_full() {
            let (message, _room) = match receiver.recv_timeout(wait) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) if self.is_closed => return Ok(Received::End),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::internal("the client has ended: it may have panicked"));
                }
            };
            let Message { payload, received, values, place } = message?;
            lines.push(&payload, received, |at| values[at].as_deref().map(Cow::Borrowed));
            self.places.extend(place);
            wait = Duration::ZERO;
        }
        Ok(Received::More)
    }

    fn position(&self) -> Result<Option<Vec<u8>>> {
        let bytes = serde_json::to_vec(&self.places);
        bytes.map(Some).map_err(|error| Error::internal(format!("places cannot be saved: {error}")))
    }

    fn resume(&mut self, position: &[u8]) -> Result<()> {
        self.places = serde_json::from_slice(position)
            .map_err(|error| Error::data(format!("the saved places cannot be read: {error}")))?;
        // Earlier versions named places by the whole address, which may hold a secret: what has not changed is read once more.
        self.places.retain(|name, _| !name.contains("://"));
        Ok(())
    }

    fn close(&mut self, _can_resume: bool) -> Result<()> {
        // What has arrived is still received, since a WebSocket does not send it again; after it, the channel has ended.
        self.is_closed = true;
        self.end_work();
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        self.counts.remarks()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.end_work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use tidemill_connect::message::{Envelope, Messages, Payload};
    use tidemill_engine::options::Options;
    use tidemill_engine::source::OpenOptions;

    /// Lines of numbers.
    fn lines() -> Lines {
        let table = toml::de::DeTable::parse("payload = 'number'").expect("TOML");
        let messages = Messages::configure(&mut Options::new(table.into_inner(), 0..0), &[Payload::Number]);
        let envelope = Envelope { fields: &["@url"], prefixes: &[], names: Vec::new(), sensor: "@url" };
        let decoding = messages.expect("options").decoding("test", &envelope, &OpenOptions::default());
        Lines::new(decoding.expect("a decoding"), "test", 1)
    }

    #[test]
    fn what_has_arrived_is_received_after_the_close_and_nothing_more() {
        let (sent, all_sent) = mpsc::channel();
        let mut inbox = Inbox::new(Box::new(move |outlet: Outlet, _: Places| -> Work {
            Box::pin(async move {
                for number in 0..5 {
                    let payload = number.to_string().into_bytes();
                    let values = vec![Some("a".to_owned()); 8];
                    let message = Message { payload, received: Timestamp::MIN, values, place: None };
                    outlet.send(message).await.expect("room");
                }
                sent.send(()).expect("a test");
                std::future::pending().await
            })
        }));
        let (mut lines, mut count) = (lines(), 0);
        inbox.receive(&mut lines, Duration::from_secs(60)).expect("messages");
        all_sent.recv().expect("all are sent");
        inbox.close(false).expect("it is closed");
        for _ in 0..10 {
            count += lines.check(10).expect("records").0;
            if inbox.receive(&mut lines, Duration::ZERO).expect("messages") == Received::End {
                break;
            }
        }
        assert_eq!((count, lines.is_empty()), (5, true));
        let mut unused = Inbox::new(Box::new(|_, _| Box::pin(std::future::pending())));
        unused.close(true).expect("it is closed");
        assert_eq!(unused.receive(&mut lines, Duration::ZERO).expect("nothing"), Received::End);
    }

    #[test]
    fn a_client_that_ends_by_itself_is_an_error() {
        let mut inbox = Inbox::new(Box::new(|_, _| Box::pin(std::future::ready(()))));
        let error = inbox.receive(&mut lines(), Duration::from_secs(60)).expect_err("the end");
        assert!(error.to_string().contains("the client has ended"), "{error}");
    }

    #[test]
    fn places_that_are_addresses_are_forgotten() {
        let mut inbox = Inbox::new(Box::new(|_, _| Box::pin(std::future::pending())));
        inbox.resume(br#"{"https://a.example/x?key=4711":"1","last-event-id":"7"}"#).expect("places");
        let saved = inbox.position().expect("places").expect("some");
        assert_eq!(String::from_utf8_lossy(&saved), r#"{"last-event-id":"7"}"#);
    }
}
