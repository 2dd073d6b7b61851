//! A proxy between tidemill and a server that misbehaves as told.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::listener::{Listener, lock};

/// How often a connection without data looks whether something has changed.
const TICK: Duration = Duration::from_millis(10);

/// The most bytes that are passed at once.
const LARGEST: usize = 64 * 1024;

/// What goes wrong with connections, existing and new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Everything arrives later by this.
    Latency(Duration),
    /// So many bytes pass in a second.
    Throttle(u32),
    /// Connections are reset.
    Reset,
    /// Connections are accepted and stay open, but nothing is read from them or answered: as by a host that has lost its power.
    HalfOpen,
    /// Everything is read, and dropped.
    BlackHole,
    /// Bytes arrive in pieces of this size, a millisecond apart.
    Slice(usize),
    /// One bit of every so-manieth byte is flipped.
    Corrupt(u64),
}

/// The directions of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// A TCP proxy at a port of its own.
pub struct Proxy {
    listener: Listener,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    upstream: u16,
    is_over: AtomicBool,
    up: Way,
    down: Way,
}

/// One direction of all connections.
#[derive(Default)]
struct Way {
    fault: Mutex<Fault>,
    bytes: AtomicU64,
}

impl Proxy {
    /// A proxy for the server at this port of loopback, which need not be there yet.
    #[must_use]
    pub fn start(upstream: u16) -> Self {
        let shared = Arc::new(Shared { upstream, ..Shared::default() });
        let served = Arc::clone(&shared);
        let listener = Listener::start(move |client| {
            // An error: one side has ended the connection.
            drop(served.serve(&client));
        });
        Self { listener, shared }
    }

    /// Its port, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// From now on, this goes wrong in both directions.
    pub fn set(&self, fault: Fault) {
        self.set_one(Direction::Up, fault);
        self.set_one(Direction::Down, fault);
    }

    /// From now on, this goes wrong in one direction.
    pub fn set_one(&self, direction: Direction, fault: Fault) {
        *lock(&self.way(direction).fault) = fault;
    }

    /// Closes all connections in an orderly way.
    pub fn disconnect(&self) {
        self.listener.disconnect();
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.listener.accepted()
    }

    /// How many bytes have passed in this direction.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.way(direction).bytes.load(Ordering::SeqCst)
    }

    fn way(&self, direction: Direction) -> &Way {
        match direction {
            Direction::Up => &self.shared.up,
            Direction::Down => &self.shared.down,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    /// Serves a connection to its end.
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        if self.is_faulty(Fault::Reset) {
            return set_socket_linger(client, Some(Duration::ZERO)).map_err(io::Error::from);
        }
        while self.is_faulty(Fault::HalfOpen) {
            self.tick()?;
        }
        let server = TcpStream::connect(("127.0.0.1", self.upstream))?;
        for stream in [client, &server] {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TICK))?;
        }
        let connection = Connection { shared: self, is_over: AtomicBool::new(false) };
        // Both directions end before this does.
        std::thread::scope(|scope| {
            scope.spawn(|| connection.direct(&self.up, client, &server));
            connection.direct(&self.down, &server, client);
        });
        Ok(())
    }

    fn tick(&self) -> io::Result<()> {
        std::thread::sleep(TICK);
        if self.is_over.load(Ordering::SeqCst) { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Whether something goes wrong that concerns both directions.
    fn is_faulty(&self, fault: Fault) -> bool {
        *lock(&self.up.fault) == fault || *lock(&self.down.fault) == fault
    }
}

/// A connection through the proxy.
struct Connection<'a> {
    shared: &'a Shared,
    /// Whether one direction has failed.
    is_over: AtomicBool,
}

impl Connection<'_> {
    /// Passes everything in one direction, until it ends or the connection fails.
    fn direct(&self, way: &Way, from: &TcpStream, to: &TcpStream) {
        match self.pump(way, from, to) {
            // The other direction may continue.
            Ok(()) => drop(to.shutdown(Shutdown::Write)),
            Err(_) if self.is_over.swap(true, Ordering::SeqCst) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                // Closed like this, which happens once both directions have ended, they are reset.
                for stream in [from, to] {
                    let _closed_anyway = set_socket_linger(stream, Some(Duration::ZERO));
                }
            }
            Err(_) => {
                drop(from.shutdown(Shutdown::Both));
                drop(to.shutdown(Shutdown::Both));
            }
        }
    }

    fn pump(&self, way: &Way, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; LARGEST];
        let mut passed = 0;
        loop {
            let length = self.wait(way)?;
            let read = match from.read(&mut buffer[..length]) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(error) => return Err(error),
            };
            // What was set in the meantime applies to these bytes.
            self.wait(way)?;
            let bytes = &mut buffer[..read];
            match *lock(&way.fault) {
                Fault::BlackHole => continue,
                Fault::Corrupt(every) => corrupt(bytes, passed, every),
                _ => {}
            }
            to.write_all(bytes)?;
            passed += read as u64;
            way.bytes.fetch_add(read as u64, Ordering::SeqCst);
        }
    }

    /// Waits as the fault demands, once before and once behind each piece, and says how many bytes may be read next.
    fn wait(&self, way: &Way) -> io::Result<usize> {
        loop {
            if self.shared.is_faulty(Fault::Reset) {
                return Err(ErrorKind::ConnectionReset.into());
            }
            if self.is_over.load(Ordering::SeqCst) || self.shared.is_over.load(Ordering::SeqCst) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            let fault = *lock(&way.fault);
            let (pause, length) = match fault {
                Fault::HalfOpen => {
                    std::thread::sleep(TICK);
                    continue;
                }
                Fault::Latency(latency) => (latency / 2, LARGEST),
                Fault::Throttle(rate) => (TICK, rate as usize / 50),
                Fault::Slice(size) => (Duration::from_millis(1), size),
                _ => (Duration::ZERO, LARGEST),
            };
            std::thread::sleep(pause);
            return Ok(length.clamp(1, LARGEST));
        }
    }
}

/// Flips a bit of each byte whose number in the stream is a multiple of `every`.
fn corrupt(bytes: &mut [u8], passed: u64, every: u64) {
    for (byte, number) in bytes.iter_mut().zip(passed + 1..) {
        if number % every.max(1) == 0 {
            *byte ^= 1;
        }
    }
}
