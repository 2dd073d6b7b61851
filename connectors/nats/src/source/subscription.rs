//! The reading side of the source: messages from the inbox become lines, and are acknowledged when they are durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemill_connect::inbox::Inbox;
use tidemill_connect::message::{Lines, Received, Subscription};
use tidemill_engine::cuts::CutRequest;
use tidemill_engine::error::{Error, ErrorKind, Result};

use super::link::{Command, FAREWELL, Link, Receiving, Shared};
use super::progress::{Position, Progress, Reply};
use super::stream::is_other;
use super::{Arrived, Stored};
use crate::subjects::{Field, Subjects};

/// How often a wait for the server looks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Receives messages.
pub(super) struct Receiver {
    /// Taken when the run begins.
    pub(super) receiving: Option<Receiving>,
    /// The server and the stream, in messages.
    pub(super) url: String,
    pub(super) stream: String,
    pub(super) subjects: Subjects,
    /// Of the envelope, in the order in which [`Lines`] asks for them.
    pub(super) fields: Vec<Field>,
    /// What was read of a stream.
    pub(super) progress: Option<Progress>,
    /// Whether messages are acknowledged when they are durable.
    pub(super) is_late: bool,
    pub(super) shared: Arc<Shared>,
    pub(super) cuts: CutRequest,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) inbox: Arc<Inbox<Arrived>>,
    pub(super) link: Option<Link>,
    /// Taken from the inbox, and not read yet.
    pub(super) arrived: std::vec::IntoIter<Arrived>,
    /// What is acknowledged behind the current call.
    pub(super) at_once: Vec<(u64, Reply)>,
    /// How long to wait for messages once the run stops: not at all if they come again, or else until the connection has ended.
    pub(super) closed: Option<Duration>,
    pub(super) repeated: u64,
}

impl Subscription for Receiver {
    fn begin(&mut self) -> Result<()> {
        let receiving = self.receiving.take();
        let receiving = receiving.ok_or_else(|| Error::internal("the source has begun twice"))?;
        self.link = Some(Link::start(receiving, Arc::clone(&self.inbox), Arc::clone(&self.shared))?);
        loop {
            if let Some(ready) = self.inbox.wait_ready(LOOK) {
                return ready;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Interrupted, "stopped while connecting to the server"));
            }
        }
    }

    fn receive(&mut self, lines: &mut Lines, wait: Duration) -> Result<Received> {
        self.start();
        if self.arrived.as_slice().is_empty() {
            self.arrived = self.inbox.take(self.closed.unwrap_or(wait))?.into_iter();
        }
        while !lines.is_full() {
            let Some(arrived) = self.arrived.next() else { break };
            self.read(&arrived, lines)?;
        }
        if let Some(progress) = &self.progress {
            self.shared.set_newest(progress.newest);
        }
        self.acknowledge();
        if self.needs_cut() {
            self.cuts.ask();
        }
        Ok(Received::More)
    }

    fn position(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.progress.as_ref().filter(|_| self.is_late).map(Progress::position))
    }

    fn resume(&mut self, position: &[u8]) -> Result<()> {
        let position = Position::of(position)?;
        if let Some(progress) = &mut self.progress {
            progress.resume(position);
        }
        Ok(())
    }

    fn durable(&mut self, _epoch: u64, position: &[u8]) -> Result<()> {
        let position = Position::of(position)?;
        if let Some(progress) = &mut self.progress {
            self.at_once.extend(progress.durable(&position));
        }
        self.acknowledge();
        Ok(())
    }

    fn close(&mut self, can_resume: bool) -> Result<()> {
        if can_resume && self.is_late {
            // What was not read comes again. The connection stays: the last checkpoint is still to come.
            self.inbox.close();
            self.arrived = Vec::new().into_iter();
            self.closed = Some(Duration::ZERO);
            return Ok(());
        }
        if let Some(link) = &self.link {
            link.close();
        }
        self.closed = Some(FAREWELL);
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.inbox.connections().remarks("server");
        if self.repeated > 0 {
            remarks.push(format!("{} messages were sent a second time, and skipped", self.repeated));
        }
        let missing = self.shared.missing.load(Ordering::Relaxed);
        if missing > 0 {
            remarks.push(format!(
                "the stream has dropped up to {missing} messages before they were read: raise its limits"
            ));
        }
        remarks
    }
}

impl Receiver {
    /// Lets the stream be read, now that it is known from where.
    fn start(&mut self) {
        let (Some(link), Some(progress)) = (&mut self.link, &mut self.progress) else { return };
        if link.is_waiting() {
            self.shared.created.store(progress.created, Ordering::Release);
            self.shared.set_newest(progress.newest);
            link.begin(progress.owner);
        }
        progress.created = self.shared.created.load(Ordering::Acquire);
    }

    fn read(&mut self, arrived: &Arrived, lines: &mut Lines) -> Result<()> {
        if let (Some(progress), Some(stored)) = (&mut self.progress, &arrived.stored) {
            let Stored { sequence, at, reply } = stored;
            let (sequence, at) = (*sequence, at.as_nanos());
            if !self.is_late {
                progress.saw(sequence, at);
                self.at_once.push((sequence, reply.clone()));
            } else if progress.is_other(sequence, at) {
                return Err(self.is_other(sequence));
            } else if let Err(again) = progress.take(sequence, at, reply) {
                // The newest one was asked for again.
                self.repeated += u64::from(sequence != progress.newest.sequence);
                self.at_once.extend(again);
                return Ok(());
            }
        }
        let Self { subjects, fields, .. } = self;
        let value = |field: usize| fields.get(field).and_then(|field| field.value(subjects, arrived));
        lines.push(&arrived.payload, arrived.at, value);
        Ok(())
    }

    /// Another message has the number of the newest one that was read.
    fn is_other(&self, sequence: u64) -> Error {
        let why = format!("has lost its end, and another message {sequence} since that was read");
        is_other(&self.url, &self.stream, &why)
    }

    fn acknowledge(&mut self) {
        if let Some(link) = self.link.as_ref().filter(|_| !self.at_once.is_empty()) {
            link.send(Command::Acknowledge(std::mem::take(&mut self.at_once)));
        }
    }

    /// Whether a checkpoint is needed, so that the server sends on: half of the window is not acknowledged.
    fn needs_cut(&self) -> bool {
        let window = self.shared.window.load(Ordering::Relaxed).max(2);
        self.progress.as_ref().is_some_and(|progress| 2 * progress.unacknowledged() >= window)
    }
}
