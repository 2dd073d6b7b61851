//! A connected sender.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::source::stream::framing::Framing;

/// A connection with its own framing.
pub(super) struct Connection {
    pub(super) peer: Peer,
    pub(super) framing: Framing,
    /// When it last sent something.
    pub(super) heard: Instant,
}

impl Connection {
    /// Changes the framing and updates `waiting`, the bytes of incomplete records over all connections.
    pub(super) fn change<T>(&mut self, waiting: &mut usize, change: impl FnOnce(&mut Framing) -> T) -> T {
        *waiting -= self.framing.waiting();
        let changed = change(&mut self.framing);
        *waiting += self.framing.waiting();
        changed
    }
}

/// The socket of the sender.
pub(super) enum Peer {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Peer {
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }

    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}
