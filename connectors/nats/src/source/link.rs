//! The thread of the connection. The client of the library connects again by itself; what is made anew here is a consumer that is gone.
//!
//! It begins with [`Link::start`] and ends when the server has refused something, or the [`Link`] is dropped; that sends what is still to be acknowledged first,
//! which takes [`FAREWELL`] at most.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_nats::{Client, Event, ServerError};
use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::time::Clock;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::progress::Reply;
use super::stream::{Reading, Streamed};
use super::{Arrived, plain};
use crate::connection::Connection;
use crate::failure;

/// How long the client may take to send what is left.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// How long the server may take to say that it has acknowledgements.
const ANSWER: Duration = Duration::from_secs(5);

/// What the reader asks for.
pub(super) enum Command {
    /// These messages are durable.
    Acknowledge(Vec<(u64, Reply)>),
    Close,
}

/// What to receive.
pub(super) struct Receiving {
    pub(super) connection: Connection,
    pub(super) filters: Vec<String>,
    pub(super) clock: Clock,
    pub(super) what: What,
}

/// With JetStream or without.
pub(super) enum What {
    /// What is published while this client listens; a member of this group.
    Plain {
        queue: Option<String>,
    },
    Stream(Streamed),
}

/// What both threads know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Everything up to here was read and acknowledged.
    pub(super) floor: Arc<AtomicU64>,
    /// How many messages the server sends before the first is acknowledged.
    pub(super) window: AtomicU64,
    /// Messages that the stream no longer had when the run resumed.
    pub(super) missing: AtomicU64,
    /// When the stream was made, in nanoseconds since 1970; 0 until there is a consumer.
    pub(super) created: AtomicI64,
    /// The client has connected again.
    pub(super) reconnected: Notify,
}

/// The thread, as the reader sees it.
pub(super) struct Link {
    commands: UnboundedSender<Command>,
    start: Option<oneshot::Sender<i64>>,
    inbox: Arc<Inbox<Arrived>>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    pub(super) fn start(
        receiving: Receiving,
        inbox: Arc<Inbox<Arrived>>,
        shared: Arc<Shared>,
    ) -> Result<Self> {
        let (commands, received) = unbounded_channel();
        let (start, started) = oneshot::channel();
        let failed = |error: std::io::Error| Error::io("cannot start a thread for", "NATS", &error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let worker = Worker { receiving, inbox: Arc::clone(&inbox), shared, commands: received };
        let work = move || runtime.block_on(worker.run(started));
        let thread = thread::Builder::new().name("nats".into()).spawn(work).map_err(failed)?;
        Ok(Self { commands, start: Some(start), inbox, thread: Some(thread) })
    }

    /// Begins to receive from the stream that was made at this time, if that is known.
    pub(super) fn begin(&mut self, created: i64) {
        if let Some(start) = self.start.take() {
            let _after_the_end = start.send(created);
        }
    }

    /// Lets the thread do this. Nothing happens after its end.
    pub(super) fn send(&self, command: Command) {
        let _after_the_end = self.commands.send(command);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.inbox.close();
        self.start = None;
        self.send(Command::Close);
        if let Some(thread) = self.thread.take() {
            // A panic has nothing more to say: the messages are not acknowledged.
            drop(thread.join());
        }
    }
}

/// What runs on the thread.
struct Worker {
    receiving: Receiving,
    inbox: Arc<Inbox<Arrived>>,
    shared: Arc<Shared>,
    commands: UnboundedReceiver<Command>,
}

impl Worker {
    async fn run(mut self, started: oneshot::Receiver<i64>) {
        let error = self.receive(started).await.err();
        self.inbox.end(error);
    }

    async fn receive(&mut self, started: oneshot::Receiver<i64>) -> Result<()> {
        let Self { receiving, inbox, shared, commands } = self;
        let client = connected(&receiving.connection, inbox, shared).await?;
        let Receiving { connection, filters, clock, what } = receiving;
        let url = connection.url.as_str();
        match what {
            What::Plain { queue } => {
                let messages = plain::subscribed(&client, url, filters, queue.as_deref()).await?;
                inbox.ready();
                tokio::select! {
                    () = plain::receive(messages, inbox, clock) => {}
                    () = closed(commands) => {}
                }
            }
            What::Stream(streamed) => {
                let name = RefCell::new(None);
                let mut reading = Reading {
                    url,
                    client: &client,
                    filters,
                    streamed,
                    inbox,
                    shared,
                    clock,
                    consumer: &name,
                    is_resumed: false,
                };
                let stream = reading.stream().await?;
                inbox.ready();
                // An error: the reader is gone.
                let Ok(created) = started.await else { return Ok(()) };
                reading.check(&stream, created)?;
                tokio::select! {
                    error = reading.receive(&stream) => return Err(error),
                    () = acknowledge(&client, &stream, &name, shared, streamed.is_late, commands) => {}
                }
            }
        }
        let _late = timeout(FAREWELL, client.flush()).await;
        Ok(())
    }
}

/// Connects, and counts what happens to the connection from then on.
async fn connected(
    connection: &Connection,
    inbox: &Arc<Inbox<Arrived>>,
    shared: &Arc<Shared>,
) -> Result<Client> {
    let (counts, shared, url) = (Arc::clone(inbox), Arc::clone(shared), connection.url.clone());
    let options = connection.options()?.event_callback(move |event| {
        match event {
            Event::Connected => {
                counts.count(|all| all.made += 1);
                if counts.connections().lost > 0 {
                    shared.reconnected.notify_one();
                }
            }
            Event::Disconnected => counts.count(|all| all.lost += 1),
            Event::SlowConsumer(_) => counts.count(|all| all.dropped += 1),
            Event::ServerError(ServerError::AuthorizationViolation) => {
                counts.end(Some(failure::refused(&url, "authorization violation")));
            }
            Event::ServerError(ServerError::Other(why))
                if why.to_ascii_lowercase().contains("permissions") =>
            {
                counts.end(Some(failure::refused(&url, &why)));
            }
            _ => {}
        }
        async {}
    });
    let servers = connection.servers()?;
    options.connect(servers).await.map_err(|error| failure::connecting(&connection.url, &error))
}

/// Waits until the reader closes.
async fn closed(commands: &mut UnboundedReceiver<Command>) {
    while let Some(Command::Acknowledge(_)) = commands.recv().await {}
}

/// Acknowledges what is durable, until the reader closes.
async fn acknowledge(
    client: &Client,
    stream: &super::stream::Stream,
    consumer: &RefCell<Option<String>>,
    shared: &Shared,
    is_late: bool,
    commands: &mut UnboundedReceiver<Command>,
) {
    while let Some(Command::Acknowledge(mut durable)) = commands.recv().await {
        let Some((_, last)) = durable.pop() else { continue };
        for (_, reply) in durable {
            // What is lost with the connection comes again, and is acknowledged then.
            let _lost = client.publish(String::from(reply), "+ACK".into()).await;
        }
        let last = String::from(last);
        if !is_late {
            let _lost = client.publish(last, "+ACK".into()).await;
            continue;
        }
        // The answer to the last one says that the server has all of them.
        let name = consumer.borrow().clone();
        let answer = timeout(ANSWER, client.request(last, "+ACK".into())).await;
        if let (Ok(Ok(_)), Some(name)) = (answer, name)
            && let Ok(state) = stream.consumer_info(name).await
        {
            shared.floor.fetch_max(state.ack_floor.stream_sequence, Ordering::AcqRel);
        }
    }
}
