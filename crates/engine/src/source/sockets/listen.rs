//! Listening for connections at an address.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::address::Address;
use super::connection::Peer;
use crate::error::{Error, Result};

/// The requested length of the accept queue. A client that finds it full is not refused: it retries after a second, then after two, then
/// four.
const BACKLOG: i32 = 4096;

/// A listening socket.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens at `address`.
    ///
    /// # Errors
    /// If the address is not available.
    pub(super) fn open(address: &Address) -> Result<Self> {
        let failed = |error: io::Error| unavailable(address, &error);
        match address {
            Address::TcpListen(host) => {
                let listener = TcpListener::bind(&*address.resolve(host)?).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                // The standard library requests 128, which a burst of senders fills in milliseconds.
                rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
                Ok(Self::Tcp(listener))
            }
            Address::UnixListen(path) => {
                remove_stale(path);
                let listener = UnixListener::bind(path).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                Ok(Self::Unix(listener))
            }
            _ => Err(Error::internal("cannot listen at this kind of address")),
        }
    }

    /// The next incoming connection and its name: the peer's address, if known.
    pub(super) fn accept(&self, address: &Address) -> io::Result<(Peer, String)> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().map(|(stream, from)| (Peer::Tcp(stream), format!("tcp://{from}")))
            }
            Self::Unix(listener) => {
                listener.accept().map(|(stream, _)| (Peer::Unix(stream), address.to_string()))
            }
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// The error if the address is not available.
pub(super) fn unavailable(address: &Address, error: &io::Error) -> Error {
    let cause = Error::io("listen at", address, error);
    match (address, error.kind()) {
        (Address::UnixListen(_), io::ErrorKind::AddrInUse) => {
            cause.with_help("another process listens there, or a file that is not a socket is in the way: stop it, move it, or choose another path")
        }
        (_, io::ErrorKind::AddrInUse) => {
            cause.with_help("another process listens there: stop it, or choose another port")
        }
        (_, io::ErrorKind::AddrNotAvailable) => {
            cause.with_help("it is not an address of this machine; 0.0.0.0 means all of them")
        }
        _ => cause,
    }
}

/// Removes the socket of a process that has ended, which would prevent listening.
fn remove_stale(path: &Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        let _gone = std::fs::remove_file(path);
    }
}
