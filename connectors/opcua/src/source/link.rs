//! The thread of a session: connects, finds the nodes, subscribes, receives, and connects again.
//!
//! It begins with [`Link::start`] and ends when the first attempt has failed, the server refuses this client, or the [`Link`] is dropped.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::monitor::{Arrived, Wanted, subscribe};
use crate::failure::of_status;
use crate::session::Connected;

/// The thread, as the reader sees it.
pub(super) struct Link {
    /// Sent or dropped: the thread ends.
    close: Option<oneshot::Sender<()>>,
    inbox: Arc<Inbox<Arrived>>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    pub(super) fn start(wanted: Wanted, inbox: Arc<Inbox<Arrived>>) -> Result<Self> {
        let (close, closed) = oneshot::channel();
        let failed = |error: std::io::Error| Error::io("cannot start a thread for", "OPC UA", &error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let worker = Worker { wanted, inbox: Arc::clone(&inbox), closed };
        let work = move || {
            runtime.block_on(worker.run());
            // A name that is being resolved is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("opcua".into()).spawn(work).map_err(failed)?;
        Ok(Self { close: Some(close), inbox, thread: Some(thread) })
    }

    /// Lets the thread close the session and end.
    pub(super) fn close(&mut self) {
        self.close = None;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.inbox.close();
        self.close();
        if let Some(thread) = self.thread.take() {
            // A panic has nothing more to say.
            drop(thread.join());
        }
    }
}

/// What runs on the thread.
struct Worker {
    wanted: Wanted,
    inbox: Arc<Inbox<Arrived>>,
    closed: oneshot::Receiver<()>,
}

impl Worker {
    async fn run(mut self) {
        // Says that nothing more comes, also if the client panics.
        let end = End {
            inbox: Arc::clone(&self.inbox),
            error: Some(Error::internal("the OPC UA client has panicked")),
        };
        let error = self.sessions().await;
        end.with(error);
    }

    /// One session after another; the error that ends them.
    async fn sessions(&mut self) -> Option<Error> {
        let mut backoff = Backoff::default();
        loop {
            let before = self.inbox.connections().made;
            let error = match self.session().await {
                Ok(()) => return None,
                Err(error) => error,
            };
            if !self.inbox.is_ready() || !error.is_transient() {
                return Some(error);
            }
            match self.inbox.connections().made > before {
                true => {
                    backoff.reset();
                    self.inbox.count(|connections| connections.lost += 1);
                }
                false => self.inbox.count(|connections| connections.failed += 1),
            }
            if self.pause(backoff.delay(None)).await.is_break() {
                return None;
            }
        }
    }

    /// Waits, unless the reader closes.
    async fn pause(&mut self, delay: Duration) -> ControlFlow<()> {
        match timeout(delay, &mut self.closed).await {
            Ok(_) => ControlFlow::Break(()),
            Err(_) => ControlFlow::Continue(()),
        }
    }

    /// One session, until it is lost (an error) or the reader closes.
    async fn session(&mut self) -> Result<()> {
        let Self { wanted, inbox, closed } = self;
        let mut connected = tokio::select! {
            _ = &mut *closed => return Ok(()),
            connected = Connected::new(&wanted.connection) => connected?,
        };
        let ended = tokio::select! {
            _ = &mut *closed => Ok(()),
            ended = values(&mut connected, wanted, inbox) => ended,
        };
        connected.close().await;
        ended
    }
}

/// Subscribes, and lets values come, until the session is lost.
///
/// # Errors
/// Why it is lost, or cannot be subscribed to.
async fn values(connected: &mut Connected, wanted: &Wanted, inbox: &Arc<Inbox<Arrived>>) -> Result<()> {
    let (ended, mut end) = mpsc::unbounded_channel();
    let session = Arc::clone(&connected.session);
    connected.during(subscribe(&session, wanted, inbox, ended)).await?;
    inbox.count(|connections| connections.made += 1);
    inbox.ready();
    loop {
        let step = async {
            // While there is no room, nothing is asked for: the server's queues fill instead.
            inbox.room().await;
            connected.step().await
        };
        tokio::select! {
            Some(status) = end.recv() => {
                let url = wanted.connection.url.as_str();
                return Err(of_status(url, "the server has ended the subscription", status).transient());
            }
            stepped = step => stepped?,
        }
    }
}

/// Ends the inbox when it is dropped.
struct End {
    inbox: Arc<Inbox<Arrived>>,
    error: Option<Error>,
}

impl End {
    fn with(mut self, error: Option<Error>) {
        self.error = error;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.inbox.end(self.error.take());
    }
}
