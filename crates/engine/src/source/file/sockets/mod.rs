//! Records that come in over sockets.
//!
//! One thread waits for all connections. Each has its own framing, so that what one sends never mixes with what another does, and
//! they are read [by turns](super::turns), so that none keeps the others waiting, nor those who want to connect. What is bounded:
//! connections, the bytes of a record, the bytes of unfinished records of all connections. Backpressure is the senders' own: what is
//! not read stays with them.

mod connection;
mod counts;
mod datagrams;
mod dial;
mod drops;
mod listen;
mod poll;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::UdpSocket;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::connection::{Connection, Peer};
use self::counts::Counts;
use self::datagrams::Datagrams;
use self::dial::Dial;
use self::listen::{Listener, unavailable};
use self::poll::{AT_ONCE, Poll};
use super::address::Address;
use super::descriptors;
use super::framing::{Framing, Layout, MAX_WAITING, STOPPED};
use super::turns::Turns;
use super::wait::PATIENCE;
use crate::error::{Error, Result};
use crate::offset::Sequence;
use crate::source::Input;

/// Connections at once; one more makes the one go that has been silent for the longest.
const MAX_CONNECTIONS: usize = 10_000;

/// Bytes that are read of one connection, or of datagrams, before the next one has its turn.
const TURN: usize = 64 << 10;

/// Bytes that are read before they are handed on; then the system is asked again who is ready.
const READ_AT_ONCE: u64 = 1 << 20;

/// Why what is left of a record is set aside when the other side has ended.
const ENDED: &str = "the connection ended before the record did";

/// Why a stream is refused whose columns are not those of the input.
const OTHER_COLUMNS: &str = "its header is not that of the input";

/// Who is waited for in the name of the address itself; connections count from 1.
const OWN: u64 = 0;

/// The sockets of one address.
pub(super) struct Sockets {
    address: Address,
    stem: Arc<str>,
    layout: Layout,
    poll: Poll,
    own: Own,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    turns: Turns<u64>,
    /// The ordinal of the address in its input.
    file: u64,
    /// Bytes of unfinished records.
    waiting: usize,
    /// What has come and not been given out.
    ready: VecDeque<Input>,
    scratch: Vec<u8>,
    /// The sockets that the last wait named; kept for its memory.
    readable: Vec<u64>,
    bytes: u64,
    counts: Counts,
}

/// The socket of the address itself.
enum Own {
    Listener(Listener),
    Datagrams(Box<Datagrams>),
    /// A connection that is made from here, again and again.
    Dial(Dial),
}

impl Sockets {
    /// Begins to listen, or to try to connect.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) fn open(address: &Address, file: u64, layout: Layout) -> Result<Self> {
        let failed = |error: io::Error| unavailable(address, &error);
        // Every connection takes a descriptor.
        descriptors::raise_limit();
        let own = match address {
            Address::TcpListen(_) | Address::UnixListen(_) => Own::Listener(Listener::open(address)?),
            Address::Udp(host) => {
                let socket = UdpSocket::bind(&*address.resolve(host)?).map_err(failed)?;
                let datagrams = Datagrams::new(socket, address.to_string().into(), file).map_err(failed)?;
                Own::Datagrams(Box::new(datagrams))
            }
            Address::Tcp(_) | Address::Unix(_) => Own::Dial(Dial::new()),
        };
        let poll = Poll::new().map_err(failed)?;
        if let Some(socket) = own.socket() {
            poll.add(socket, OWN).map_err(failed)?;
        }
        Ok(Self {
            address: address.clone(),
            stem: address.to_string().into(),
            layout,
            poll,
            own,
            connections: BTreeMap::new(),
            next_connection: OWN + 1,
            turns: Turns::of(TURN),
            file,
            waiting: 0,
            ready: VecDeque::new(),
            scratch: vec![0; TURN],
            readable: Vec::with_capacity(AT_ONCE),
            bytes: 0,
            counts: Counts::default(),
        })
    }

    /// What has come, or nothing after a while.
    ///
    /// # Errors
    /// When nothing can come any more.
    pub(super) fn next(&mut self, sequence: Sequence) -> Result<Input> {
        if self.ready.is_empty() {
            self.dial();
            self.look()?;
            self.read();
        }
        Ok(self.pop(sequence).unwrap_or(Input::Nothing))
    }

    /// What has come in already and has not been given out: whole records, then what has come of others. All connections are closed.
    pub(super) fn drain(&mut self, sequence: Sequence) -> Option<Input> {
        while self.ready.is_empty() {
            let id = *self.connections.keys().next()?;
            self.end(id, STOPPED);
        }
        self.pop(sequence)
    }

    fn pop(&mut self, sequence: Sequence) -> Option<Input> {
        let mut input = self.ready.pop_front()?;
        if let Input::Chunk(chunk) = &mut input {
            chunk.sequence = sequence;
        }
        Some(input)
    }

    /// The sensor of whoever sends, where no column has it.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// Bytes that have come in.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is worth knowing at the end.
    pub(super) fn remark(&self) -> String {
        let mut counts = self.counts;
        let mut help = String::new();
        if let Own::Datagrams(datagrams) = &self.own {
            counts.dropped += datagrams.not_counted();
            if counts.dropped > 0 {
                let room = datagrams.room() >> 10;
                help = format!(" (its receive buffer has {room} KiB; sysctl net.core.rmem_max bounds it)");
            }
        }
        let nothing = match self.own {
            Own::Datagrams(_) => "nothing went wrong",
            _ => "nobody connected",
        };
        format!("{}: {}{help}", self.address, counts.told().unwrap_or_else(|| nothing.into()))
    }

    /// Asks the system which sockets are readable, and accepts new connections. Waits for [`PATIENCE`] at most where no socket is left to read.
    fn look(&mut self) -> Result<()> {
        let mut readable = std::mem::take(&mut self.readable);
        let timeout = if self.turns.is_empty() { PATIENCE } else { Duration::ZERO };
        let waited = self.poll.wait(timeout, &mut readable);
        waited.map_err(|error| Error::io("wait at", &self.address, &error))?;
        // Where more sockets are readable than one wait names, the listener may be among the others.
        let mut may_connect = readable.len() == AT_ONCE;
        for &id in &readable {
            match (id, &self.own) {
                (OWN, Own::Listener(_)) => may_connect = true,
                (who, _) => self.turns.queue(who),
            }
        }
        self.readable = readable;
        if may_connect {
            self.welcome_all();
        }
        Ok(())
    }

    /// Reads those who are ready, by turns.
    fn read(&mut self) {
        let enough = self.bytes + READ_AT_ONCE;
        while self.bytes < enough
            && let Some((who, most)) = self.turns.begin()
        {
            let (read, has_more) = match (who, &mut self.own) {
                (OWN, Own::Datagrams(datagrams)) => {
                    datagrams.receive(most, &self.layout, &mut self.ready, &mut self.counts)
                }
                _ => self.receive(who, most),
            };
            self.bytes += read as u64;
            self.turns.end(who, most, read, has_more);
        }
    }

    /// Takes in those who want to connect.
    fn welcome_all(&mut self) {
        for _ in 0..AT_ONCE {
            let Own::Listener(listener) = &self.own else { return };
            match listener.accept(&self.address) {
                Ok((peer, name)) => self.welcome(peer, name),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if descriptors::are_used_up(&error) => {
                    self.make_room();
                    break;
                }
                // Whoever was to be accepted has gone.
                Err(_) => {
                    self.counts.lost += 1;
                    break;
                }
            }
        }
    }

    fn welcome(&mut self, peer: Peer, name: String) {
        if self.connections.len() >= MAX_CONNECTIONS {
            self.make_room();
        }
        let id = self.next_connection;
        if peer.set_nonblocking().and_then(|()| self.poll.add(peer.socket(), id)).is_err() {
            self.counts.lost += 1;
            return;
        }
        self.next_connection += 1;
        self.counts.connections += 1;
        let framing = Framing::new(name.into(), Arc::clone(&self.stem), self.file);
        self.connections.insert(id, Connection { peer, framing, heard: Instant::now() });
    }

    /// Closes the connection that has been silent for the longest.
    fn make_room(&mut self) {
        let silent = self.connections.iter().min_by_key(|(_, connection)| connection.heard);
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.counts.crowded_out += 1;
            self.end(id, ENDED);
        }
    }

    /// Reads once from a connection, up to `most` bytes; how many came, and whether there may be more.
    fn receive(&mut self, id: u64, most: usize) -> (usize, bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return (0, false) };
        match connection.peer.read(&mut self.scratch[..most]) {
            Ok(0) => self.end(id, ENDED),
            Ok(read) => {
                self.take_in(id, read);
                return (read, read == most && self.connections.contains_key(&id));
            }
            Err(error) if is_for_later(&error) => {}
            Err(_) => {
                self.counts.lost += 1;
                self.end(id, ENDED);
            }
        }
        (0, false)
    }

    /// Takes in what was read from a connection.
    fn take_in(&mut self, id: u64, read: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.heard = Instant::now();
        let taken = connection.change(&mut self.waiting, |framing| {
            framing.push(&self.scratch[..read]);
            take_whole(framing, &self.layout, &mut self.ready, &mut self.counts)
        });
        if let Err(error) = taken {
            self.refuse_columns(id, &error);
            self.close(id);
        }
        while self.waiting > MAX_WAITING {
            self.refuse_most();
        }
    }

    /// Sets the unfinished record aside that has the most bytes: who holds much pays, not who comes last.
    fn refuse_most(&mut self) {
        let holds = |(&id, connection): (&u64, &Connection)| (connection.framing.waiting(), id);
        if let Some((_, id)) = self.connections.iter().map(holds).max() {
            self.counts.refused += 1;
            self.refuse(id, "too many unfinished records wait for their end, and this one is the longest");
            // What follows a header that nobody has seen cannot be understood.
            if self.connections.get(&id).is_some_and(|connection| !connection.framing.has_begun()) {
                self.close(id);
            }
        }
    }

    fn refuse(&mut self, id: u64, why: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        self.ready
            .push_back(connection.change(&mut self.waiting, |framing| framing.refuse(why, &self.layout)));
    }

    /// The same of a connection that sends nothing more.
    fn refuse_last(&mut self, id: u64, why: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let refused = connection.change(&mut self.waiting, |framing| framing.refuse_last(why, &self.layout));
        self.ready.push_back(refused);
    }

    /// Nothing more comes over a connection. What is left of a record is no record, for that is `why`: its last number may lack digits.
    fn end(&mut self, id: u64, why: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let taken = connection.change(&mut self.waiting, |framing| {
            framing.expect_no_more();
            take_whole(framing, &self.layout, &mut self.ready, &mut self.counts)
        });
        if let Err(error) = taken {
            self.refuse_columns(id, &error);
        } else if self.connections.get(&id).is_some_and(|connection| connection.framing.waiting() > 0) {
            self.counts.cut_off += 1;
            self.refuse_last(id, why);
        }
        self.close(id);
    }

    /// Sets aside what has come over a connection whose columns are not the input's: nothing that follows can be understood.
    fn refuse_columns(&mut self, id: u64, error: &Error) {
        self.counts.other_columns += 1;
        self.refuse_last(id, &format!("{OTHER_COLUMNS}: {}", error.message()));
    }

    fn close(&mut self, id: u64) {
        self.turns.leave(id);
        if let Some(connection) = self.connections.remove(&id) {
            self.waiting -= connection.framing.waiting();
            self.poll.remove(connection.peer.socket());
        }
        if let Own::Dial(dial) = &mut self.own {
            dial.has_ended();
        }
    }

    /// Connects, where that is to be done from here and is due.
    fn dial(&mut self) {
        let Own::Dial(dial) = &mut self.own else { return };
        if !self.connections.is_empty() {
            return;
        }
        match dial.connect(&self.address) {
            Some(Ok(peer)) => {
                let name = self.address.to_string();
                self.welcome(peer, name);
            }
            Some(Err(_)) => self.counts.failed_tries += 1,
            None => {}
        }
    }
}

/// Moves all whole records to `ready`.
///
/// # Errors
/// When the stream begins with other columns.
fn take_whole(
    framing: &mut Framing,
    layout: &Layout,
    ready: &mut VecDeque<Input>,
    counts: &mut Counts,
) -> Result<()> {
    while let Some(input) = framing.take(layout, false, 0)? {
        counts.refused += u64::from(matches!(input, Input::Records(_)));
        ready.push_back(input);
    }
    Ok(())
}

impl Own {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Listener(listener) => Some(listener.socket()),
            Self::Datagrams(datagrams) => Some(datagrams.socket()),
            Self::Dial(_) => None,
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

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
