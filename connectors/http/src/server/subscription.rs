//! The source: takes requests from the queue, and lets them be answered when they are durable.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `http` | `begin` | connections, requests, their answers | when the source is dropped, after at most a second for answers on their way |
//! | `http-decode`, two at most | requests, when they have arrived | requests | after ten seconds without one, or with `http`, after the body that it decodes |

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;

use tidemill_connect::message::{Lines, Received, Subscription};
use tidemill_engine::cuts::CutRequest;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::source::OpenOptions;
use tokio::sync::watch;

use super::accept::{Server, serve};
use super::access::Access;
use super::certificates::Certificates;
use super::content::Contents;
use super::fields::Fields;
use super::handle::{Counts, Handler};
use super::options::HttpServer;
use super::queue::{Exit, queue};

/// The source in use.
pub(super) struct Receiving {
    address: SocketAddr,
    handler: Arc<Handler>,
    tls: Option<Arc<Certificates>>,
    connections: usize,
    fields: Fields,
    exit: Exit,
    cuts: CutRequest,
    /// Whether a request is safe only when a checkpoint is durable.
    keeps_place: bool,
    running: Option<Running>,
}

/// The thread of the server.
struct Running {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiving {
    pub(super) fn new(
        spec: &HttpServer,
        address: SocketAddr,
        access: Access,
        contents: Contents,
        fields: Fields,
        tls: Option<Arc<Certificates>>,
        open: &OpenOptions,
    ) -> Result<Self> {
        let options = &spec.options;
        let max_body = options.max_body.bytes("max_body")?;
        let room = options.queue.bytes("queue")?;
        if max_body == 0 || room < max_body {
            return Err(Error::config("`queue` is smaller than `max_body`, or `max_body` is 0")
                .with_help("the queue must hold at least one request"));
        }
        if options.connections == 0 {
            return Err(Error::config("`connections` is 0: nobody could send"));
        }
        let (entry, exit) = queue(room);
        let handler = Handler {
            access,
            contents,
            fields: fields.clone(),
            entry,
            max_body,
            max_decoded: options.max_decoded.bytes("max_decoded")?,
            timeout: options.timeout()?,
            clock: open.clock.clone(),
            counts: Counts::new(&open.meter),
        };
        Ok(Self {
            address,
            handler: Arc::new(handler),
            tls,
            connections: options.connections,
            fields,
            exit,
            cuts: open.cuts.clone(),
            keeps_place: open.keeps_place,
            running: None,
        })
    }
}

impl Subscription for Receiving {
    fn begin(&mut self) -> Result<()> {
        let address = self.address;
        let failed = |error: std::io::Error| {
            Error::unavailable(format!("cannot listen at {address}: {error}")).with_help(
                "check that no other program listens there, and the permission for ports below 1024",
            )
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let server = Server {
            listener,
            handler: Arc::clone(&self.handler),
            tls: self.tls.clone(),
            connections: self.connections,
            stopped,
        };
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || serve(server));
        let thread = thread.map_err(|error| Error::internal(format!("no thread for the server: {error}")))?;
        self.running = Some(Running { stop, thread: Some(thread) });
        Ok(())
    }

    fn receive(&mut self, lines: &mut Lines, wait: Duration) -> Result<Received> {
        if self.running.as_ref().is_some_and(Running::has_ended) {
            return Err(Error::internal("the HTTP server has ended: it may have panicked"));
        }
        let mut wait = wait;
        while !lines.is_full() {
            match self.exit.next(wait, !self.keeps_place) {
                Ok((content, values, received)) => content.push(lines, &self.fields, &values, received),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Ok(Received::End),
            }
            // What is there is taken; nothing more is waited for.
            wait = Duration::ZERO;
        }
        if self.exit.is_waited_for() {
            self.cuts.ask();
        }
        Ok(Received::More)
    }

    fn position(&self) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.exit.ticket().to_le_bytes().into()))
    }

    fn resume(&mut self, position: &[u8]) -> Result<()> {
        self.exit.resume(ticket(position)?);
        Ok(())
    }

    fn durable(&mut self, _epoch: u64, position: &[u8]) -> Result<()> {
        self.exit.answer(ticket(position)?);
        Ok(())
    }

    fn close(&mut self, _can_resume: bool) -> Result<()> {
        self.handler.entry.close();
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        self.handler.counts.remarks()
    }
}

impl Running {
    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

fn ticket(position: &[u8]) -> Result<u64> {
    let ticket = position.try_into().map(u64::from_le_bytes);
    ticket.map_err(|_| Error::data("the saved position of an HTTP server cannot be read"))
}

impl Drop for Running {
    fn drop(&mut self) {
        // The thread has ended if nobody listens.
        let _ended = self.stop.send(true);
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}
