//! The thread of the connection. The client of the library connects again by itself; what is made anew here is a consumer that is gone.
//!
//! It begins with [`Link::start`] and ends when the server has refused something, or the [`Link`] is closed or dropped; that sends what is still to be acknowledged first,
//! which takes [`FAREWELL`] at most, whatever the server does.

use std::cell::{Cell, RefCell};
use std::future::ready;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_nats::{Client, ClientError, Event, Server, ServerError, ServerInfo};
use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::time::Clock;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::sleep;

use super::progress::{Newest, Reply};
use super::stream::{Reading, Streamed};
use super::{Arrived, plain};
use crate::connection::Connection;
use crate::failure;

/// How long the client may take to send what is left.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

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
    /// The newest message that was read.
    newest: Mutex<Newest>,
    /// How many messages the server sends before the first is acknowledged.
    pub(super) window: AtomicU64,
    /// Messages that the stream no longer had when the run resumed.
    pub(super) missing: AtomicU64,
    /// When the stream was made, in nanoseconds since 1970; 0 until there is a consumer.
    pub(super) created: AtomicI64,
    /// The client has connected again.
    pub(super) reconnected: Notify,
}

impl Shared {
    pub(super) fn newest(&self) -> Newest {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_newest(&self, newest: Newest) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = newest;
    }
}

/// The thread, as the reader sees it.
pub(super) struct Link {
    commands: UnboundedSender<Command>,
    /// Takes who reads.
    start: Option<oneshot::Sender<u64>>,
    inbox: Arc<Inbox<Arrived>>,
    /// The reader closes: commands before that may take [`FAREWELL`].
    closing: watch::Sender<bool>,
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
        let (closing, is_closing) = watch::channel(false);
        let worker = Worker { receiving, inbox: Arc::clone(&inbox), shared, commands: received };
        let work = move || {
            runtime.block_on(worker.run(started, is_closing));
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("nats".into()).spawn(work).map_err(failed)?;
        Ok(Self { commands, start: Some(start), inbox, closing, thread: Some(thread) })
    }

    /// Begins to receive, for this owner.
    pub(super) fn begin(&mut self, owner: u64) {
        if let Some(start) = self.start.take() {
            let _after_the_end = start.send(owner);
        }
    }

    /// Whether [`Link::begin`] is still to come.
    pub(super) fn is_waiting(&self) -> bool {
        self.start.is_some()
    }

    /// Lets the thread do this. Nothing happens after its end.
    pub(super) fn send(&self, command: Command) {
        let _after_the_end = self.commands.send(command);
    }

    /// Lets the thread do what it was told before, and end.
    pub(super) fn close(&self) {
        // First, so that whoever has met the command knows it too.
        self.closing.send_replace(true);
        self.send(Command::Close);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.inbox.close();
        self.start = None;
        self.close();
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
    async fn run(mut self, started: oneshot::Receiver<u64>, mut is_closing: watch::Receiver<bool>) {
        let ended = tokio::select! {
            ended = self.receive(started) => ended,
            // The server is away, or does not answer: what was to be acknowledged comes again.
            () = overdue(&mut is_closing) => Ok(()),
        };
        self.inbox.end(ended.err());
    }

    async fn receive(&mut self, started: oneshot::Receiver<u64>) -> Result<()> {
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
                let mut reading = Reading {
                    url,
                    client: &client,
                    filters,
                    streamed,
                    inbox,
                    shared,
                    clock,
                    consumer: RefCell::new(None),
                    dropped: Cell::new(0),
                    owner: 0,
                };
                let stream = reading.stream().await?;
                inbox.ready();
                // An error: the reader is gone.
                let Ok(owner) = started.await else { return Ok(()) };
                reading.owner = owner;
                tokio::select! {
                    error = reading.receive() => return Err(error),
                    acknowledged = reading.acknowledge(&stream, commands) => acknowledged?,
                }
            }
        }
        let _lost = client.flush().await;
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
    let happened = move |event: Event| {
        match event {
            Event::Connected => {
                counts.count(|all| all.made += 1);
                if counts.connections().lost > 0 {
                    shared.reconnected.notify_one();
                }
            }
            Event::Disconnected => counts.count(|all| all.lost += 1),
            Event::SlowConsumer(_) => counts.count(|all| all.dropped += 1),
            Event::ServerError(error) => refused(&counts, &url, &says(&error)),
            Event::ClientError(error) => {
                counts.count(|all| all.failed += 1);
                if let ClientError::Other(why) = error {
                    refused(&counts, &url, &why);
                }
            }
            _ => {}
        }
        ready(())
    };
    let (ends, url) = (Arc::clone(inbox), connection.url.clone());
    // Asked before each attempt to connect again: the event of the last one has less to say.
    let attempt = move |servers: Vec<Server>, _: ServerInfo| {
        let last = servers.iter().map(|server| server.last_error.as_deref().unwrap_or_default());
        if let Some(why) = failure::lasting_of_all(last) {
            refused(&ends, &url, why);
        }
        ready(None)
    };
    let options = connection.options()?.event_callback(happened).reconnect_to_server_callback(attempt);
    let servers = connection.servers()?;
    options.connect(servers).await.map_err(|error| failure::connecting(&connection.url, &error))
}

/// Ends the run if the reason is one that does not pass.
fn refused(inbox: &Inbox<Arrived>, url: &str, why: &str) {
    if let Some(lasting) = failure::Lasting::of(why) {
        inbox.end(Some(lasting.error(url, why)));
    }
}

/// The words of the server.
fn says(error: &ServerError) -> String {
    match error {
        ServerError::Other(why) => why.clone(),
        other => other.to_string(),
    }
}

/// Waits until the reader closes.
async fn closed(commands: &mut UnboundedReceiver<Command>) {
    while let Some(Command::Acknowledge(_)) = commands.recv().await {}
}

/// Returns when it is too late for what the reader asked for before it closed.
async fn overdue(is_closing: &mut watch::Receiver<bool>) {
    // An error: the reader is gone.
    let _gone = is_closing.wait_for(|is_closing| *is_closing).await;
    sleep(FAREWELL).await;
}
