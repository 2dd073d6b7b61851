//! Values that the server has kept: node by node, in the order of time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opcua::types::{ByteString, ReadRawModifiedDetails};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_connect::blocking::Blocking;
use tidemill_connect::inbox::Connections;
use tidemill_connect::message::{Lines, Received, Subscription};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::source::OpenOptions;
use tidemill_engine::time::{TimeParser, Timestamp};

use super::page::{Next, page_of, stuck};
use super::position::Position;
use super::readings::Readings;
use crate::nodes::{Node, Nodes, Target, find, remark};
use crate::options::Connection;
use crate::session::Connected;
use crate::value::{Measured, tick_after, tick_before};

/// For how long the server may be away until the run ends.
const PATIENCE: Duration = Duration::from_mins(5);

/// Which part of the history is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The first time, such as "2026-01-01" or "2026-01-01T06:00:00Z".
    pub from: String,
    /// The time before which it ends; when the run begins if not given.
    #[serde(default)]
    pub to: Option<String>,
    /// How many values are asked for at once.
    #[serde(default = "page")]
    pub page: u32,
}

fn page() -> u32 {
    1000
}

impl History {
    /// Everything from `from` on.
    pub fn new(from: impl Into<String>) -> Self {
        Self { from: from.into(), to: None, page: page() }
    }

    /// The times from which on and before which values are read; `now` ends what has no end.
    fn period(&self, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
        let parser = TimeParser::utc();
        let moment =
            |text: &str| parser.moment(text).map_err(|why| Error::config(format!("`history`: {why}")));
        let from = moment(&self.from)?;
        let to = self.to.as_deref().map_or(Ok(now), moment)?;
        if self.page == 0 {
            return Err(Error::config("`history`: `page` must be at least 1"));
        }
        match from < to {
            true => Ok((from, to)),
            false => Err(Error::config(format!("`history` ends at {to}, before it begins at {from}"))),
        }
    }
}

/// Reads the history.
pub(super) struct Historian {
    connection: Connection,
    targets: Vec<Target>,
    from: Timestamp,
    to: Timestamp,
    /// Values of a page.
    most: u32,
    readings: Readings,
    stop: Arc<AtomicBool>,
    position: Position,
    /// Values that have come and were not read yet.
    page: VecDeque<Measured>,
    /// How many of them, of the time of the position, were read before.
    repeated: u64,
    next: Next,
    /// The position from which the last page was asked for, unless the server remembered where it was.
    asked: Option<Position>,
    open: Option<Open>,
    /// Whether the server has answered at all.
    has_begun: bool,
    /// Since when nothing has succeeded.
    failing: Option<Instant>,
    backoff: Backoff,
    connections: Connections,
    /// How many nodes the server does not show to this client.
    hidden: u64,
    blocking: Blocking,
}

/// A session, and the nodes that were found.
struct Open {
    connected: Connected,
    nodes: Vec<Node>,
    hidden: u64,
}

impl Historian {
    pub(super) fn new(
        connection: Connection,
        targets: Vec<Target>,
        history: &History,
        readings: Readings,
        options: &OpenOptions,
    ) -> Result<Self> {
        let (from, to) = history.period(options.clock.read())?;
        Ok(Self {
            connection,
            targets,
            from,
            to,
            most: history.page,
            readings,
            stop: Arc::clone(&options.stop),
            position: Position::start(from),
            page: VecDeque::new(),
            repeated: 0,
            next: Next::Position,
            asked: None,
            open: None,
            has_begun: false,
            failing: None,
            backoff: Backoff::default(),
            connections: Connections::default(),
            hidden: 0,
            blocking: Blocking::new(Arc::clone(&options.stop))?,
        })
    }

    /// Writes the values that have come, as far as there is room.
    fn write(&mut self, lines: &mut Lines) {
        let Some(Open { nodes, .. }) = &self.open else { return };
        let Some(node) = nodes.get(self.position.node) else { return };
        while !lines.is_full() {
            let Some(value) = self.page.pop_front() else { return };
            let Some(at) = value.time else {
                lines.reject(
                    format!("{}: a value of the history has no time", node.path),
                    node.written.as_bytes(),
                );
                continue;
            };
            // Servers send what surrounds the period too.
            if at < self.position.time() || at >= self.to {
                continue;
            }
            if at == self.position.time() && self.repeated > 0 {
                self.repeated -= 1;
                continue;
            }
            self.position.pass(at);
            self.readings.push(node, &value, at, lines);
        }
    }

    /// Gets the next page, in another session if this one is lost; `false` if there is none.
    fn turn(&mut self) -> Result<bool> {
        match self.try_to_turn() {
            Ok(is_there) => {
                (self.has_begun, self.failing) = (true, None);
                self.backoff.reset();
                Ok(is_there)
            }
            // The run stops, and reads on from the position when it resumes.
            Err(_) if self.is_stopped() => Ok(true),
            Err(error) => self.pause(error).map(|()| true),
        }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// If there is none after this failure.
    fn pause(&mut self, error: Error) -> Result<()> {
        match self.open {
            Some(_) => self.connections.lost += 1,
            None => self.connections.failed += 1,
        }
        self.close();
        (self.next, self.asked) = (Next::Position, None);
        if !self.has_begun || !error.is_transient() {
            return Err(error);
        }
        if self.failing.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
            let minutes = PATIENCE.as_secs() / 60;
            return Err(error.with_context(format_args!("no attempt has succeeded for {minutes} minutes")));
        }
        let delay = self.backoff.delay(error.retry_after());
        let _stopped = self.blocking.wait(async {
            tokio::time::sleep(delay).await;
            Ok(())
        });
        Ok(())
    }

    fn try_to_turn(&mut self) -> Result<bool> {
        if self.open.is_none() {
            let open = self.blocking.wait(Open::new(&self.connection, &self.targets))?;
            self.hidden = open.hidden;
            let checked = self.position.check(&open.nodes);
            self.open = Some(open);
            checked?;
        }
        let Some(open) = &mut self.open else { return Ok(false) };
        let Some(node) = open.nodes.get(self.position.node) else { return Ok(false) };
        let point = match std::mem::replace(&mut self.next, Next::Position) {
            Next::Point(point) => point,
            _ if self.asked == Some(self.position) => {
                return Err(stuck(&self.connection.url, node, self.most));
            }
            _ => {
                (self.repeated, self.asked) = (self.position.seen, Some(self.position));
                ByteString::null()
            }
        };
        let details = ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: tick_before(self.position.time()),
            end_time: tick_after(self.to),
            num_values_per_node: self.most,
            return_bounds: false,
        };
        let asked = page_of(&mut open.connected, &self.connection.url, node, details, point);
        let (values, next) = self.blocking.wait(asked)?;
        (self.page, self.next) = (values.into(), next);
        Ok(true)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let _closed_or_late = self.blocking.wait(async {
                open.connected.close().await;
                Ok(())
            });
        }
    }
}

impl Open {
    async fn new(connection: &Connection, targets: &[Target]) -> Result<Self> {
        let mut connected = Connected::new(connection).await?;
        let session = Arc::clone(&connected.session);
        match connected.during(find(&session, &connection.url, targets)).await {
            Ok(Nodes { all, hidden }) => Ok(Self { connected, nodes: all, hidden }),
            Err(error) => {
                connected.close().await;
                Err(error)
            }
        }
    }
}

impl Subscription for Historian {
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn receive(&mut self, lines: &mut Lines, _wait: Duration) -> Result<Received> {
        loop {
            self.write(lines);
            if lines.is_full() || self.is_stopped() {
                return Ok(Received::More);
            }
            if self.next == Next::Node {
                self.position.next_node(self.from);
                self.next = Next::Position;
            }
            if !self.turn()? {
                self.close();
                return Ok(Received::End);
            }
        }
    }

    fn position(&self) -> Result<Option<Vec<u8>>> {
        self.position.to_bytes().map(Some)
    }

    fn resume(&mut self, position: &[u8]) -> Result<()> {
        self.position = Position::of_bytes(position)?;
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        let hidden = Vec::from_iter(remark(self.hidden));
        [self.connections.remarks("server"), self.readings.remarks(), hidden].concat()
    }
}

impl Drop for Historian {
    fn drop(&mut self) {
        self.close();
    }
}
