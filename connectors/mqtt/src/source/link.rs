//! The thread of the connection: connects, subscribes, receives, and connects again.
//!
//! It begins with [`Link::start`] and ends when the connection has failed for good, or the [`Link`] is closed or dropped. That sends what is still to be
//! acknowledged first, and waits until the broker has taken it: a broker that is still sending when the connection ends may drop acknowledgements that it has
//! not read. This takes [`FAREWELL`] at most; a broker that answers is then told of the end.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::time::{Clock, Timestamp};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::receiving::{Pending, Receiving};
use crate::client::{Ack, Client, FAREWELL, Message, Outgoing, Sender, Setup, V4, V5};
use crate::options::Version;

/// A message as it arrived.
pub(super) struct Arrived {
    pub(super) message: Message,
    pub(super) at: Timestamp,
    /// Over which of the connections, counted from 1.
    pub(super) connection: u64,
}

/// What the reader asks for.
pub(super) enum Command {
    /// These messages are durable: each with the connection over which it came.
    Acknowledge(Vec<(u64, Ack)>),
    Publish(Outgoing),
    Close,
}

/// What to subscribe to.
pub(super) struct Subscriptions {
    pub(super) version: Version,
    pub(super) setup: Setup,
    pub(super) filters: Vec<String>,
    pub(super) qos: u8,
    /// The broker has kept a session since an earlier run.
    pub(super) resumes: bool,
    pub(super) clock: Clock,
}

/// The thread, as the reader sees it.
pub(super) struct Link {
    commands: UnboundedSender<Command>,
    inbox: Arc<Inbox<Arrived>>,
    /// The reader closes: commands before that may take [`FAREWELL`].
    closing: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    pub(super) fn start(subscriptions: Subscriptions, inbox: Arc<Inbox<Arrived>>) -> Result<Self> {
        let (commands, received) = unbounded_channel();
        let failed = |error: std::io::Error| Error::io("cannot start a thread for", "MQTT", &error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (closing, is_closing) = watch::channel(false);
        let worker = Worker {
            subscriptions,
            inbox: Arc::clone(&inbox),
            commands: received,
            is_closing,
            connection: 0,
            is_subscribed: false,
        };
        let work = move || {
            runtime.block_on(async {
                match worker.subscriptions.version {
                    Version::V4 => worker.run::<V4>().await,
                    Version::V5 => worker.run::<V5>().await,
                }
            });
        };
        let thread = thread::Builder::new().name("mqtt".into()).spawn(work).map_err(failed)?;
        Ok(Self { commands, inbox, closing, thread: Some(thread) })
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
        self.close();
        if let Some(thread) = self.thread.take() {
            // A panic has nothing more to say: the messages are not acknowledged.
            drop(thread.join());
        }
    }
}

/// What runs on the thread.
struct Worker {
    subscriptions: Subscriptions,
    inbox: Arc<Inbox<Arrived>>,
    commands: UnboundedReceiver<Command>,
    /// Whether the reader closes.
    is_closing: watch::Receiver<bool>,
    /// The connections so far.
    connection: u64,
    /// The broker has accepted the subscriptions.
    is_subscribed: bool,
}

impl Worker {
    async fn run<C: Client>(mut self) {
        let mut backoff = Backoff::default();
        let error = loop {
            let before = self.inbox.connections().made;
            let error = match self.connect::<C>().await {
                Ok(()) => break None,
                // What was to be sent comes again.
                Err(_) if *self.is_closing.borrow() => break None,
                Err(error) => error,
            };
            // Brokers may also refuse by ending the connection.
            if !self.inbox.is_ready() || !error.is_transient() {
                break Some(error);
            }
            match self.inbox.connections().made > before {
                true => {
                    backoff.reset();
                    self.inbox.count(|connections| connections.lost += 1);
                }
                false => self.inbox.count(|connections| connections.failed += 1),
            }
            if self.pause(backoff.delay(None)).await.is_break() {
                break None;
            }
        };
        self.inbox.end(error);
    }

    /// Waits, unless the reader closes.
    async fn pause(&mut self, delay: Duration) -> ControlFlow<()> {
        match timeout(delay, closed(&mut self.is_closing)).await {
            Ok(()) => ControlFlow::Break(()),
            Err(_) => ControlFlow::Continue(()),
        }
    }

    /// One connection, until it is lost (an error) or the reader closes.
    async fn connect<C: Client>(&mut self) -> Result<()> {
        let mut client = C::new(&self.subscriptions.setup)?;
        let sender = client.sender();
        self.connection += 1;
        let Self { subscriptions, inbox, commands, is_closing, connection, is_subscribed } = self;
        let (connection, pending) = (*connection, Pending::default());
        let sending = sender.clone();
        let mut receiving =
            Receiving { subscriptions, inbox, sender: sending, pending: &pending, connection, is_subscribed };
        let mut receive = std::pin::pin!(receiving.receive(&mut client));
        tokio::select! {
            lost = &mut receive => return lost,
            () = obey(&sender, commands, connection, &pending) => {}
            () = overdue(is_closing) => return Ok(()),
        }
        // The client is asked to disconnect, and ends with an error when it has.
        let disconnected = async { tokio::join!(sender.disconnect(), receive) };
        let _ended_or_late = timeout(FAREWELL, disconnected).await;
        Ok(())
    }
}

/// Does what the reader asks for, until it closes.
async fn obey(
    sender: &impl Sender,
    commands: &mut UnboundedReceiver<Command>,
    connection: u64,
    pending: &Pending,
) {
    let mut has_acknowledged = false;
    while let Some(command) = commands.recv().await {
        match command {
            Command::Acknowledge(acks) => {
                for (_, ack) in acks.into_iter().filter(|(own, _)| *own == connection) {
                    if !sender.acknowledge(ack).await {
                        break;
                    }
                    pending.add();
                    has_acknowledged = true;
                }
            }
            Command::Publish(message) => {
                // Requests that do not arrive are made again.
                let _gone = sender.publish(message).await;
            }
            Command::Close => break,
        }
    }
    if has_acknowledged && sender.settle().await {
        pending.settled().await;
    }
}

/// Returns when the reader closes.
async fn closed(is_closing: &mut watch::Receiver<bool>) {
    // An error: the reader is gone.
    let _gone = is_closing.wait_for(|is_closing| *is_closing).await;
}

/// Returns when it is too late for what the reader asked for before it closed.
async fn overdue(is_closing: &mut watch::Receiver<bool>) {
    closed(is_closing).await;
    sleep(FAREWELL).await;
}
