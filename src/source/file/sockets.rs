//! Records that come in over sockets.
//!
//! One thread waits for all connections. Each has its own framing, so that what one sends never mixes with what another does, and
//! is read a little at a time, so that none keeps the others waiting. What is bounded: connections, the bytes of a record, the bytes
//! of unfinished records of all connections. Backpressure is the senders' own: what is not read stays with them.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};

use super::address::Address;
use super::descriptors;
use super::framing::{Framing, Layout};
use super::wait::PATIENCE;
use crate::error::{Error, Result};
use crate::offset::Sequence;
use crate::source::Input;

/// Bytes that are read of one connection before the next one has its turn.
const READ: usize = 64 << 10;

/// Connections at once; one more makes the one go that has been silent for the longest.
const MAX_CONNECTIONS: usize = 10_000;

/// Bytes of unfinished records, over all connections.
const MAX_WAITING: usize = 16 << 20;

/// Connections that may wait to be taken in, where the system grants so many. One that finds no room is not refused: it tries again
/// after a second, then after two, then four.
const BACKLOG: i32 = 4096;

/// Connections and datagrams that are taken in before others have their turn.
const AT_ONCE: usize = 256;

/// Bytes that are read before they are handed on; who is ready still is asked again.
const READ_AT_ONCE: u64 = 1 << 20;

/// Before another try to connect: this long, and twice that after every failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why a stream is refused whose columns are not those of the input.
const OTHER_COLUMNS: &str = "its header is not that of the input";

/// Who is waited for in the name of the address itself; connections count from 1.
const OWN: u64 = 0;

/// The sockets of one address.
pub(super) struct Sockets {
    address: Address,
    stem: Arc<str>,
    layout: Layout,
    poll: OwnedFd,
    own: Own,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    /// The ordinal of the address in its input.
    file: u64,
    /// Bytes of unfinished records.
    waiting: usize,
    /// What has come and not been given out.
    ready: VecDeque<Input>,
    scratch: Vec<u8>,
    bytes: u64,
    counts: Counts,
}

/// The socket of the address itself.
enum Own {
    TcpListener(TcpListener),
    UnixListener(UnixListener),
    Datagrams(UdpSocket, Framing),
    /// A connection that is made from here, again and again.
    Dial {
        next_try: Instant,
        pause: Duration,
    },
}

/// One who sends.
struct Connection {
    peer: Peer,
    framing: Framing,
    /// When it last sent something.
    heard: Instant,
}

enum Peer {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What happened, for the summary.
#[derive(Default)]
struct Counts {
    connections: u64,
    lost: u64,
    crowded_out: u64,
    cut_off: u64,
    refused: u64,
    other_columns: u64,
    failed_tries: u64,
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
            Address::TcpListen(host) => {
                let listener = TcpListener::bind(&*address.resolve(host)?).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                // The standard library asks for 128, which a burst of senders fills in milliseconds.
                rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
                Own::TcpListener(listener)
            }
            Address::UnixListen(path) => {
                remove_stale(path);
                let listener = UnixListener::bind(path).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                Own::UnixListener(listener)
            }
            Address::Udp(host) => {
                let socket = UdpSocket::bind(&*address.resolve(host)?).map_err(failed)?;
                socket.set_nonblocking(true).map_err(failed)?;
                let framing = Framing::new(address.to_string().into(), address.to_string().into(), file);
                Own::Datagrams(socket, framing)
            }
            Address::Tcp(_) | Address::Unix(_) => Own::Dial { next_try: Instant::now(), pause: FIRST_PAUSE },
        };
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        if let Some(socket) = own.socket() {
            epoll::add(&poll, socket, EventData::new_u64(OWN), EventFlags::IN)
                .map_err(|error| failed(error.into()))?;
        }
        Ok(Self {
            address: address.clone(),
            stem: address.to_string().into(),
            layout,
            poll,
            own,
            connections: BTreeMap::new(),
            next_connection: OWN + 1,
            file,
            waiting: 0,
            ready: VecDeque::new(),
            scratch: vec![0; READ],
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
            self.wait()?;
        }
        Ok(self.pop(sequence).unwrap_or(Input::Nothing))
    }

    /// What has come in already and has not been given out: whole records, then what has come of others. All connections are closed.
    pub(super) fn drain(&mut self, sequence: Sequence) -> Option<Input> {
        while self.ready.is_empty() {
            let (&id, connection) = self.connections.first_key_value()?;
            if connection.framing.waiting() > 0 {
                self.counts.cut_off += 1;
                self.refuse(id, "the run was stopped before the record ended");
            }
            self.close(id);
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
        let Counts { connections, lost, crowded_out, cut_off, refused, other_columns, failed_tries } =
            self.counts;
        let all = [
            (connections, "connections"),
            (failed_tries, "tries to connect failed"),
            (lost, "broken off"),
            (crowded_out, "silent ones closed to make room"),
            (cut_off, "ended in the middle of a record"),
            (refused, "records too long or never ended"),
            (other_columns, "closed for a header with other columns"),
        ];
        let shown: Vec<_> = all
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let shown = if shown.is_empty() { "nobody connected".into() } else { shown.join(", ") };
        format!("{}: {shown}", self.address)
    }

    fn wait(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(AT_ONCE);
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
        match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::io("wait at", &self.address, &error.into())),
        }
        let enough = self.bytes + READ_AT_ONCE;
        for event in events {
            if self.bytes >= enough {
                break;
            }
            match event.data.u64() {
                OWN => self.own()?,
                connection => self.receive(connection),
            }
        }
        Ok(())
    }

    /// Somebody connects, or datagrams have come.
    fn own(&mut self) -> Result<()> {
        for _ in 0..AT_ONCE {
            let accepted = match &self.own {
                Own::TcpListener(listener) => {
                    listener.accept().map(|(stream, from)| (Peer::Tcp(stream), format!("tcp://{from}")))
                }
                Own::UnixListener(listener) => {
                    listener.accept().map(|(stream, _)| (Peer::Unix(stream), self.address.to_string()))
                }
                Own::Datagrams(..) => {
                    self.datagrams();
                    return Ok(());
                }
                Own::Dial { .. } => return Ok(()),
            };
            match accepted {
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
        Ok(())
    }

    fn welcome(&mut self, peer: Peer, name: String) {
        if self.connections.len() >= MAX_CONNECTIONS {
            self.make_room();
        }
        let id = self.next_connection;
        let added = peer.set_nonblocking().and_then(|()| {
            epoll::add(&self.poll, peer.socket(), EventData::new_u64(id), EventFlags::IN).map_err(Into::into)
        });
        if added.is_err() {
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
            self.end(id);
        }
    }

    /// Reads once from a connection.
    fn receive(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.peer.read(&mut self.scratch) {
            Ok(0) => self.end(id),
            Ok(read) => self.take_in(id, read),
            Err(error) if is_for_later(&error) => {}
            Err(_) => {
                self.counts.lost += 1;
                self.end(id);
            }
        }
    }

    /// Takes in what was read from a connection.
    fn take_in(&mut self, id: u64, read: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.heard = Instant::now();
        self.bytes += read as u64;
        self.waiting -= connection.framing.waiting();
        connection.framing.push(&self.scratch[..read]);
        let taken = take_whole(&mut connection.framing, &self.layout, &mut self.ready, &mut self.counts);
        self.waiting += connection.framing.waiting();
        if taken.is_err() {
            // Nothing that follows a header which is not the input's can be understood.
            self.counts.other_columns += 1;
            self.refuse(id, OTHER_COLUMNS);
            self.close(id);
        } else if self.waiting > MAX_WAITING {
            self.counts.refused += 1;
            self.refuse(id, "too many unfinished records wait for their end");
        }
    }

    fn refuse(&mut self, id: u64, why: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        self.waiting -= connection.framing.waiting();
        self.ready.push_back(connection.framing.refuse(why, &self.layout));
    }

    /// The other side has ended. What is left of a record is no record: its last number may lack digits.
    fn end(&mut self, id: u64) {
        if self.connections.get(&id).is_some_and(|connection| connection.framing.waiting() > 0) {
            self.counts.cut_off += 1;
            self.refuse(id, "the connection ended before the record did");
        }
        self.close(id);
    }

    fn close(&mut self, id: u64) {
        if let Some(connection) = self.connections.remove(&id) {
            self.waiting -= connection.framing.waiting();
        }
        if let Own::Dial { next_try, pause } = &mut self.own {
            *next_try = Instant::now() + *pause;
        }
    }

    /// Connects, where that is to be done from here and is due.
    fn dial(&mut self) {
        let Own::Dial { next_try, pause } = &mut self.own else { return };
        if !self.connections.is_empty() || Instant::now() < *next_try {
            return;
        }
        match connect(&self.address) {
            Ok(peer) => {
                *pause = FIRST_PAUSE;
                let name = self.address.to_string();
                self.welcome(peer, name);
            }
            Err(_) => {
                self.counts.failed_tries += 1;
                *next_try = Instant::now() + *pause;
                *pause = (*pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Reads datagrams: each has whole records, the last of which needs no line end.
    fn datagrams(&mut self) {
        let Own::Datagrams(socket, framing) = &mut self.own else { return };
        let mut is_ours = true;
        for _ in 0..AT_ONCE {
            let read = match socket.recv(&mut self.scratch) {
                Ok(read) => read,
                Err(error) if is_for_later(&error) => break,
                Err(_) => {
                    self.counts.lost += 1;
                    break;
                }
            };
            self.bytes += read as u64;
            framing.push(&self.scratch[..read]);
            if read > 0 && self.scratch[read - 1] != b'\n' {
                framing.push(b"\n");
            }
            // A quote that is not closed in its datagram never is: it must not swallow the next one.
            if framing.waiting() >= READ || framing.is_open() {
                is_ours = take_whole(framing, &self.layout, &mut self.ready, &mut self.counts).is_ok();
                if !is_ours {
                    break;
                }
                if framing.waiting() > 0 {
                    self.counts.refused += 1;
                    self.ready
                        .push_back(framing.refuse("a datagram ended before its record did", &self.layout));
                }
            }
        }
        // Whoever sends may begin anew with the right columns.
        if !is_ours || take_whole(framing, &self.layout, &mut self.ready, &mut self.counts).is_err() {
            self.counts.other_columns += 1;
            self.ready.push_back(framing.refuse(OTHER_COLUMNS, &self.layout));
            *framing = Framing::new(Arc::clone(&self.stem), Arc::clone(&self.stem), self.file);
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
            Self::TcpListener(socket) => Some(socket.as_fd()),
            Self::UnixListener(socket) => Some(socket.as_fd()),
            Self::Datagrams(socket, _) => Some(socket.as_fd()),
            Self::Dial { .. } => None,
        }
    }
}

impl Peer {
    fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }

    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
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

/// Why nobody can listen there.
fn unavailable(address: &Address, error: &io::Error) -> Error {
    let cause = Error::io("listen at", address, error);
    match (address, error.kind()) {
        (Address::UnixListen(_), io::ErrorKind::AddrInUse) => {
            cause.with_help("another process listens there, or a file that is no socket is in the way: stop it, move it, or choose another path")
        }
        (_, io::ErrorKind::AddrInUse) => {
            cause.with_help("another process listens there: stop it, or choose another port")
        }
        (_, io::ErrorKind::AddrNotAvailable) => {
            cause.with_help("it is no address of this machine; 0.0.0.0 means all that it has")
        }
        _ => cause,
    }
}

/// Connects. An address that does not answer is given up after a second, so that a stop need not wait for much longer.
fn connect(address: &Address) -> Result<Peer> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let failed = |error: io::Error| Error::io("connect to", address, &error);
    match address {
        Address::Unix(path) => UnixStream::connect(path).map(Peer::Unix).map_err(failed),
        Address::Tcp(host) => {
            let mut last = io::ErrorKind::AddrNotAvailable.into();
            for socket in address.resolve(host)? {
                match TcpStream::connect_timeout(&socket, PATIENCE) {
                    Ok(stream) => return Ok(Peer::Tcp(stream)),
                    Err(error) => last = error,
                }
            }
            Err(failed(last))
        }
        _ => Err(Error::internal("an address that is listened at")),
    }
}

/// The socket of a process that is gone would keep the next one from listening.
fn remove_stale(path: &Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        let _gone = std::fs::remove_file(path);
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
