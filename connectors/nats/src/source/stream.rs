//! Messages of a stream (JetStream), by a consumer from which they are pulled.

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::pull::{self, MessagesErrorKind};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::stream::{self, RetentionPolicy};
use async_nats::jetstream::{self, ErrorCode};
use futures_util::StreamExt as _;
use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::time::Clock;
use tokio::time::sleep;

use super::Arrived;
use super::link::Shared;
use crate::failure;

/// A stream of the server.
pub(super) type Stream = stream::Stream;

/// Messages that are taken at once.
const AT_ONCE: usize = 256;

/// Messages and bytes that the server sends for one request.
const MESSAGES: usize = 10_000;
const BYTES: usize = 4 << 20;

/// The server sends again what was not acknowledged for so long.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// A consumer without a name is forgotten by the server when nobody has asked it for so long.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// How a stream is read.
#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) name: String,
    /// The name of the consumer, if it has one.
    pub(super) consumer: Option<String>,
    pub(super) start: DeliverPolicy,
    pub(super) window: u32,
    /// Messages are acknowledged when they are durable; otherwise when they are read.
    pub(super) is_late: bool,
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
    pub(super) consumer: &'a RefCell<Option<String>>,
    /// What was read is known: from a checkpoint, or since this run has begun.
    pub(super) is_resumed: bool,
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

    /// Checks that it is the stream of the position, which was made at the time `created`.
    pub(super) fn check(&mut self, stream: &Stream, created: i64) -> Result<()> {
        self.is_resumed = created != 0;
        let floor = self.shared.floor.load(Ordering::Acquire);
        let state = &stream.cached_info().state;
        let is_other = created != 0 && created != made(stream);
        if is_other || state.last_sequence < floor {
            return Err(Error::data(format!(
                "{}: the stream {:?} was made anew since the checkpoint: its messages have other numbers now",
                self.url, self.streamed.name
            ))
            .with_help("begin with another --state"));
        }
        if created != 0 && state.first_sequence > floor + 1 {
            self.shared.missing.store(state.first_sequence - floor - 1, Ordering::Release);
        }
        Ok(())
    }

    /// Receives until the server refuses: returns why.
    pub(super) async fn receive(&mut self, stream: &Stream) -> Error {
        let (mut backoff, mut is_first) = (Backoff::default(), true);
        loop {
            match self.consumer(stream).await {
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

    /// The consumer: the one with the name, if there is one and nothing was read by this run, or else a new one, which begins behind what was read. So messages
    /// that were on their way to a process that was killed, or over a connection that was lost, come at once and in their order.
    async fn consumer(&mut self, stream: &Stream) -> Result<Consumer<pull::Config>> {
        let name = self.streamed.consumer.clone().or_else(|| self.consumer.borrow().clone());
        let mut found = match &name {
            None => None,
            Some(name) => self.found(stream, name).await?,
        };
        if let (Some(consumer), Some(name)) = (&found, &name)
            && self.replaces(stream, consumer)
        {
            let gone = stream.delete_consumer(name).await;
            gone.map_err(|error| failure::consumer(self.url, name, &error))?;
            found = None;
        }
        let consumer = match found {
            Some(consumer) => consumer,
            None => {
                let shown = self.streamed.consumer.as_deref().unwrap_or("(without a name)");
                let made = stream.create_consumer(self.config(stream)).await;
                made.map_err(|error| failure::consumer(self.url, shown, &error))?
            }
        };
        self.fits(&consumer)?;
        let info = consumer.cached_info();
        *self.consumer.borrow_mut() = Some(info.name.clone());
        let window = u64::try_from(info.config.max_ack_pending).ok().filter(|&window| window > 0);
        self.shared.window.store(window.unwrap_or(u64::from(self.streamed.window)), Ordering::Release);
        // Also where a consumer begins that has given nothing yet.
        self.shared.floor.fetch_max(info.ack_floor.stream_sequence, Ordering::AcqRel);
        // From here on, positions say where it began.
        self.shared.created.store(made(stream), Ordering::Release);
        self.is_resumed = true;
        Ok(consumer)
    }

    /// The consumer with this name.
    async fn found(&self, stream: &Stream, name: &str) -> Result<Option<Consumer<pull::Config>>> {
        let error = match stream.get_consumer::<pull::Config>(name).await {
            Ok(consumer) => return Ok(Some(consumer)),
            Err(error) => error,
        };
        match stream.consumer_info(name).await {
            Err(missing) if is_missing(&missing) => Ok(None),
            Err(other) => Err(Error::unavailable(format!(
                "{}: the consumer {name:?} does not answer: {other}",
                self.url
            ))
            .transient()),
            Ok(_) => Err(Error::unavailable(format!(
                "{}: the consumer {name:?} cannot be used: {error}",
                self.url
            ))
            .with_help("it must be one from which messages are pulled: choose another name in `consumer`")),
        }
    }

    /// Whether a new consumer takes the place of this one: not if others use it, nor if the stream keeps messages for its consumers alone.
    fn replaces(&self, stream: &Stream, consumer: &Consumer<pull::Config>) -> bool {
        let keeps = stream.cached_info().config.retention != RetentionPolicy::Interest;
        let is_own = self.streamed.consumer.is_none();
        self.is_resumed && keeps && (is_own || consumer.cached_info().num_waiting == 0)
    }

    /// A consumer that was made before must give what the options ask for.
    fn fits(&self, consumer: &Consumer<pull::Config>) -> Result<()> {
        let config = &consumer.cached_info().config;
        let mut filters: Vec<&str> = config.filter_subjects.iter().map(String::as_str).collect();
        filters.extend(Some(config.filter_subject.as_str()).filter(|filter| !filter.is_empty()));
        let mut own: Vec<&str> = self.filters.iter().map(String::as_str).collect();
        filters.sort_unstable();
        own.sort_unstable();
        let wrong = if filters != own {
            format!("is for {}, and `subject` asks for {}", filters.join(", "), own.join(", "))
        } else if config.ack_policy != AckPolicy::Explicit {
            "does not expect each message to be acknowledged".to_owned()
        } else {
            return Ok(());
        };
        let name = &consumer.cached_info().name;
        Err(Error::config(format!("{}: the consumer {name:?} {wrong}", self.url))
            .with_help("choose another name in `consumer`, or delete it: a run with --state continues at its own position"))
    }

    fn config(&self, stream: &Stream) -> pull::Config {
        let floor = self.shared.floor.load(Ordering::Acquire);
        let (filter_subject, filter_subjects) = match self.filters {
            [one] => (one.clone(), Vec::new()),
            several => (String::new(), several.to_vec()),
        };
        pull::Config {
            durable_name: self.streamed.consumer.clone(),
            description: Some("tidemill".to_owned()),
            deliver_policy: match stream.cached_info().config.retention {
                // It has only what is not acknowledged.
                RetentionPolicy::WorkQueue => DeliverPolicy::All,
                _ if self.is_resumed => DeliverPolicy::ByStartSequence { start_sequence: floor + 1 },
                _ => self.streamed.start,
            },
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            filter_subject,
            filter_subjects,
            max_ack_pending: i64::from(self.streamed.window),
            inactive_threshold: if self.streamed.consumer.is_some() { Duration::ZERO } else { FORGOTTEN },
            ..pull::Config::default()
        }
    }

    /// Pulls until the consumer is gone; whether messages came.
    async fn pull(&self, consumer: &Consumer<pull::Config>) -> bool {
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

/// When the stream was made, in nanoseconds since 1970.
fn made(stream: &Stream) -> i64 {
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

fn is_missing(error: &jetstream::context::ConsumerInfoError) -> bool {
    match error.kind() {
        jetstream::context::ConsumerInfoErrorKind::NotFound => true,
        jetstream::context::ConsumerInfoErrorKind::JetStream(error) => {
            error.error_code() == ErrorCode::CONSUMER_NOT_FOUND
        }
        _ => false,
    }
}
