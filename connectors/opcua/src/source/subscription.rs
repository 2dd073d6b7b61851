//! Values as they come: from the inbox they become lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidemill_connect::inbox::Inbox;
use tidemill_connect::message::{Lines, Received, Subscription};
use tidemill_engine::error::{Error, ErrorKind, Result};

use super::link::Link;
use super::monitor::{Arrived, Wanted};
use super::readings::Readings;
use crate::nodes::remark;

/// How often a wait for the server looks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How long the session may take to be closed.
const FAREWELL: Duration = Duration::from_secs(3);

/// Receives values.
pub(super) struct Receiver {
    /// Taken when the run begins.
    pub(super) wanted: Option<Wanted>,
    pub(super) readings: Readings,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) inbox: Arc<Inbox<Arrived>>,
    pub(super) link: Option<Link>,
    /// Taken from the inbox, and not read yet.
    pub(super) arrived: std::vec::IntoIter<Arrived>,
    /// How long to wait for values once the run stops: until the session has ended.
    pub(super) closed: Option<Duration>,
    /// How many nodes the server does not show to this client.
    pub(super) hidden: Arc<AtomicU64>,
}

impl Subscription for Receiver {
    fn begin(&mut self) -> Result<()> {
        let wanted = self.wanted.take().ok_or_else(|| Error::internal("the source has begun twice"))?;
        self.link = Some(Link::start(wanted, Arc::clone(&self.inbox))?);
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
        if self.arrived.as_slice().is_empty() {
            self.arrived = self.inbox.take(self.closed.unwrap_or(wait))?.into_iter();
        }
        while !lines.is_full() {
            let Some(Arrived { nodes, node, value, at }) = self.arrived.next() else { break };
            self.readings.push(&nodes[node], &value, at, lines);
        }
        Ok(Received::More)
    }

    fn close(&mut self, _can_resume: bool) -> Result<()> {
        if let Some(link) = &mut self.link {
            link.close();
        }
        self.closed = Some(FAREWELL);
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        let hidden = remark(self.hidden.load(Ordering::Relaxed));
        [self.inbox.connections().remarks("server"), self.readings.remarks(), Vec::from_iter(hidden)].concat()
    }
}
