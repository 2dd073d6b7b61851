//! Messages of a stream (JetStream), by a consumer from which they are pulled.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::MessagesErrorKind;
use async_nats::jetstream::stream::{self, RetentionPolicy};
use futures_util::StreamExt as _;
use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::time::Clock;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use super::Arrived;
use super::consumer::Pulled;
use super::link::{Command, Shared};
use crate::failure;

/// A stream of the server.
pub(super) type Stream = stream::Stream;

/// Messages that are taken at once.
const AT_ONCE: usize = 256;

/// Messages and bytes that the server sends for one request.
const MESSAGES: usize = 10_000;
const BYTES: usize = 4 << 20;

/// How long the server may take to say that it has acknowledgements.
const ANSWER: Duration = Duration::from_secs(5);

/// How a stream is read.
#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) name: String,
    /// The name of the consumer, if it has one.
    pub(super) consumer: Option<String>,
    /// Other runs may use that too.
    pub(super) is_shared: bool,
    pub(super) start: DeliverPolicy,
    pub(super) window: u32,
    /// Messages are acknowledged when they are durable; otherwise when they are read.
    pub(super) is_late: bool,
}

impl Streamed {
    /// Whether other runs may use the same consumer: where no checkpoint tells what was read, they take messages from this one, and it from them.
    pub(super) fn is_for_all(&self) -> bool {
        self.is_shared || !self.is_late
    }
}

/// The reading of a stream.
pub(super) struct Reading<'a> {
    pub(super) url: &'a str,
    pub(super) client: &'a Client,
    pub(super) filters: &'a [String],
    pub(super) streamed: &'a Streamed,
    pub(super) inbox: &'a Inbox<Arrived>,
    pub(super) shared: &'a Shared,
    pub(super) clock: &'a Clock,
    /// The name of the consumer that is used.
    pub(super) consumer: RefCell<Option<String>>,
    /// Up to this message, those that the stream has dropped are counted.
    pub(super) dropped: Cell<u64>,
    /// Who reads ([`Progress::owner`](super::progress::Progress)).
    pub(super) owner: u64,
}

impl Reading<'_> {
    /// The stream, if it exists and may be read.
    pub(super) async fn stream(&self) -> Result<Stream> {
        if self.filters.len() > 1 && !self.client.is_server_compatible(2, 10, 0) {
            return Err(Error::unavailable(format!(
                "{}: this server has no consumers of several subjects",
                self.url
            ))
            .with_help("name one subject (with wildcards, perhaps), or update the server to 2.10"));
        }
        let context = jetstream::new(self.client.clone());
        let name = &self.streamed.name;
        let found = context.get_stream(name).await;
        let found = found.map_err(|error| failure::stream(self.url, name, &error))?;
        Ok(found)
    }

    /// Whether what was read is known: from a checkpoint, or since this run has begun.
    pub(super) fn is_resumed(&self) -> bool {
        self.shared.created.load(Ordering::Acquire) != 0
    }

    /// Checks that it is the stream whose messages were read, and has all of their numbers.
    pub(super) fn check(&self, stream: &Stream) -> Result<()> {
        let created = self.shared.created.load(Ordering::Acquire);
        let (newest, last) = (self.shared.newest().sequence, stream.cached_info().state.last_sequence);
        if created != 0 && created != made(stream) {
            Err(self.is_other("was made anew"))
        } else if last < newest {
            Err(self.is_other(&format!("ends at message {last} now, and message {newest} was read before")))
        } else {
            Ok(())
        }
    }

    /// The numbers of its messages do not mean what they did.
    fn is_other(&self, why: &str) -> Error {
        is_other(self.url, &self.streamed.name, why)
    }

    /// Counts the messages that the stream has dropped before they were read.
    pub(super) fn count_dropped(&self, stream: &Stream) {
        let info = stream.cached_info();
        // Streams of other kinds drop what is acknowledged.
        if info.config.retention != RetentionPolicy::Limits {
            return;
        }
        let floor = self.shared.floor.load(Ordering::Acquire);
        let seen = floor.max(self.shared.newest().sequence).max(self.dropped.get());
        let dropped = info.state.first_sequence.saturating_sub(1);
        self.shared.missing.fetch_add(dropped.saturating_sub(seen), Ordering::AcqRel);
        self.dropped.set(dropped);
    }

    /// Receives until the server refuses: returns why.
    pub(super) async fn receive(&self) -> Error {
        let (mut backoff, mut is_first) = (Backoff::default(), true);
        loop {
            match self.consumer().await {
                Ok(consumer) => {
                    is_first = false;
                    if self.pull(&consumer).await {
                        backoff.reset();
                    }
                }
                Err(error) if is_first || !error.is_transient() => return error,
                Err(_) => self.inbox.count(|all| all.failed += 1),
            }
            sleep(backoff.delay(None)).await;
        }
    }

    /// Acknowledges what is durable, until the reader closes.
    ///
    /// # Errors
    /// If another run has taken the consumer.
    pub(super) async fn acknowledge(
        &self,
        stream: &Stream,
        commands: &mut UnboundedReceiver<Command>,
    ) -> Result<()> {
        while let Some(Command::Acknowledge(mut durable)) = commands.recv().await {
            let Some((_, last)) = durable.pop() else { continue };
            for (_, reply) in durable {
                // What is lost with the connection comes again, and is acknowledged then.
                let _lost = self.client.publish(String::from(reply), "+ACK".into()).await;
            }
            let last = String::from(last);
            if !self.streamed.is_late {
                let _lost = self.client.publish(last, "+ACK".into()).await;
                continue;
            }
            // The answer to the last one says that the server has all of them.
            let name = self.consumer.borrow().clone();
            let answer = timeout(ANSWER, self.client.request(last, "+ACK".into())).await;
            if let (Ok(Ok(_)), Some(name)) = (answer, name)
                && let Ok(state) = stream.consumer_info(name).await
            {
                self.is_still_own(&state)?;
                self.shared.floor.fetch_max(state.ack_floor.stream_sequence, Ordering::AcqRel);
            }
        }
        Ok(())
    }

    /// Pulls until the consumer is gone; whether messages came.
    async fn pull(&self, consumer: &Pulled) -> bool {
        let largest = self.client.max_payload();
        let pulling =
            consumer.stream().max_messages_per_batch(MESSAGES).max_bytes_per_batch(BYTES.max(2 * largest));
        let Ok(messages) = pulling.heartbeat(Duration::from_secs(5)).messages().await else {
            self.inbox.count(|all| all.failed += 1);
            return false;
        };
        let (mut messages, mut came) = (messages.ready_chunks(AT_ONCE), false);
        loop {
            let some = tokio::select! {
                some = messages.next() => some,
                // What was on its way over the lost connection would come late.
                () = self.shared.reconnected.notified() => break,
            };
            let Some(some) = some else { break };
            let (at, mut is_gone) = (self.clock.read(), false);
            let mut arrived = Vec::with_capacity(some.len());
            for message in some {
                match message {
                    Ok(message) => arrived.extend(Arrived::stored(message, at)),
                    Err(error) => is_gone |= ends(error.kind()),
                }
            }
            came |= !arrived.is_empty();
            let bytes = arrived.iter().map(Arrived::size).sum();
            self.inbox.put(&mut arrived, bytes).await;
            if is_gone {
                break;
            }
        }
        came
    }
}

/// The numbers of the stream's messages do not mean what they did when they were read.
pub(super) fn is_other(url: &str, stream: &str, why: &str) -> Error {
    Error::data(format!("{url}: the stream {stream:?} {why}: its messages have other numbers now"))
        .with_help("begin with another --state")
}

/// When the stream was made, in nanoseconds since 1970.
pub(super) fn made(stream: &Stream) -> i64 {
    i64::try_from(stream.cached_info().created.unix_timestamp_nanos()).unwrap_or_default()
}

/// Whether a consumer gives no more messages after this error. After others, such as a lost connection, the client goes on by itself.
fn ends(error: MessagesErrorKind) -> bool {
    matches!(
        error,
        MessagesErrorKind::ConsumerDeleted
            | MessagesErrorKind::NoResponders
            | MessagesErrorKind::PushBasedConsumer
    )
}
