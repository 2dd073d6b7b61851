//! Records received over sockets.
//!
//! One thread serves all connections. Each has its own framing, so that data of different senders never mixes, and they are read [in
//! turns](crate::source::stream::turns), so that none starves the others or delays new connections. Bounded are: the connections, the bytes of a record,
//! the bytes of incomplete records over all connections. Back-pressure reaches the senders: data that is not read stays with them.

mod address;
mod connecting;
mod connection;
mod counts;
mod datagrams;
mod dial;
mod drops;
mod listen;
mod own;
mod poll;
mod received;
mod receiving;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use self::address::Address;
pub(crate) use self::address::exclude;
use self::connection::Connection;
use self::listen::unavailable;
use self::own::OwnSocket;
use self::poll::{AT_ONCE, Poll};
use self::received::Received;
use crate::error::{Error, Result};
use crate::meter::SourceMeter;
use crate::offset::Sequence;
use crate::source::Input;
use crate::source::stream::rejected::STOPPED;
use crate::source::stream::turns::Turns;
use crate::source::stream::wait::PATIENCE;
use crate::source::stream::{StreamLayout, descriptors};

/// Bytes read from one connection, or of datagrams, per turn.
const TURN: usize = 64 << 10;

/// Bytes read before they are passed on and the ready sockets are queried again.
const READ_AT_ONCE: u64 = 1 << 20;

/// The poll id of the address's own socket; connections count from 1.
const OWN: u64 = 0;

/// The sockets of one address.
pub(super) struct Sockets {
    address: Address,
    stem: Arc<str>,
    poll: Poll,
    own: OwnSocket,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    turns: Turns<u64>,
    /// The ordinal of the address in its input.
    file: u64,
    /// Bytes of incomplete records.
    waiting: usize,
    received: Received,
    /// What others see of the connections.
    meter: SourceMeter,
    /// Datagrams that were dropped, as it was told.
    reported: u64,
    scratch: Vec<u8>,
    /// The sockets returned by the last wait; kept to reuse its memory.
    readable: Vec<u64>,
    bytes: u64,
}

impl Sockets {
    /// Starts to listen or to connect; reports to `meter`.
    ///
    /// # Errors
    /// If the address is not available.
    pub(super) fn open(
        address: &Address,
        file: u64,
        layout: StreamLayout,
        meter: &SourceMeter,
    ) -> Result<Self> {
        let failed = |error: io::Error| unavailable(address, &error);
        // Every connection takes a descriptor.
        descriptors::raise_limit();
        let own = OwnSocket::open(address, file)?;
        let poll = Poll::new().map_err(failed)?;
        if let Some(socket) = own.socket() {
            poll.add(socket, OWN).map_err(failed)?;
        }
        Ok(Self {
            address: address.clone(),
            stem: address.to_string().into(),
            poll,
            own,
            connections: BTreeMap::new(),
            next_connection: OWN + 1,
            turns: Turns::of(TURN),
            file,
            waiting: 0,
            received: Received::new(layout),
            meter: meter.clone(),
            reported: 0,
            scratch: vec![0; TURN],
            readable: Vec::with_capacity(AT_ONCE),
            bytes: 0,
        })
    }

    /// The next item, or [`Input::Nothing`] after a short wait.
    ///
    /// # Errors
    /// If no more input is possible.
    pub(super) fn next(&mut self, sequence: Sequence) -> Result<Input> {
        if self.received.is_empty() {
            self.dial();
            self.poll()?;
            self.read();
            self.report_dropped();
        }
        Ok(self.received.pop(sequence).unwrap_or(Input::Nothing))
    }

    /// Returns what was received and not returned yet: complete records, then incomplete ones. All connections are closed.
    pub(super) fn drain(&mut self, sequence: Sequence) -> Option<Input> {
        while self.received.is_empty() {
            let id = *self.connections.keys().next()?;
            self.end(id, STOPPED);
        }
        self.received.pop(sequence)
    }

    /// The sensor for all senders, if there is no sensor column.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// Bytes received.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The remark for the end of the run.
    pub(super) fn remark(&self) -> String {
        let mut counts = self.received.counts;
        let mut help = String::new();
        if let OwnSocket::Datagrams(datagrams) = &self.own {
            counts.dropped += datagrams.not_counted();
            if counts.dropped > 0 {
                let room = datagrams.room() >> 10;
                help = format!(" (its receive buffer has {room} KiB; sysctl net.core.rmem_max bounds it)");
            }
        }
        let nothing = match self.own {
            OwnSocket::Datagrams(_) => "nothing went wrong",
            _ => "no connection was made",
        };
        format!("{}: {}{help}", self.address, counts.told().unwrap_or_else(|| nothing.into()))
    }

    /// Queries which sockets are readable, and accepts new connections. Waits for [`PATIENCE`] at most, and only if no socket is left to
    /// read.
    fn poll(&mut self) -> Result<()> {
        let mut readable = std::mem::take(&mut self.readable);
        let timeout = if self.turns.is_empty() { PATIENCE } else { Duration::ZERO };
        let waited = self.poll.wait(timeout, &mut readable);
        waited.map_err(|error| Error::io("wait at", &self.address, &error))?;
        // If more sockets are readable than one wait returns, the listener may be among the others.
        let mut may_connect = readable.len() == AT_ONCE;
        for &id in &readable {
            match (id, &self.own) {
                (OWN, OwnSocket::Listener(_)) => may_connect = true,
                (who, _) => self.turns.queue(who),
            }
        }
        self.readable = readable;
        if may_connect {
            self.accept_all();
        }
        Ok(())
    }

    /// Reports the datagrams that were dropped since the last time.
    fn report_dropped(&mut self) {
        let dropped = self.received.counts.dropped;
        if dropped > self.reported {
            self.meter.count("dropped", dropped - std::mem::replace(&mut self.reported, dropped));
        }
    }

    /// Reads the ready sockets in turns.
    fn read(&mut self) {
        let enough = self.bytes + READ_AT_ONCE;
        while self.bytes < enough
            && let Some((who, most)) = self.turns.begin()
        {
            let (read, has_more) = match (who, &mut self.own) {
                (OWN, OwnSocket::Datagrams(datagrams)) => datagrams.receive(most, &mut self.received),
                _ => self.receive(who, most),
            };
            self.bytes += read as u64;
            self.turns.end(who, most, read, has_more);
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        if let Address::UnixListen(path) = &self.address {
            let _gone = std::fs::remove_file(path);
        }
    }
}
