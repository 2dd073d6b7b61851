//! Datagrams: each contains complete records, the last of which needs no line end.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::drops::dropped;
use super::received::Received;
use crate::error::Result;
use crate::source::stream::framing::Framing;
use crate::source::stream::wait::is_for_later;

/// Maximum length of a datagram in bytes.
const LARGEST: usize = 64 << 10;

/// The requested receive buffer in bytes, to absorb bursts.
const RECEIVE_BUFFER: usize = 8 << 20;

/// A socket that receives datagrams from anyone.
pub(super) struct Datagrams {
    socket: UdpSocket,
    name: Arc<str>,
    file: u64,
    framing: Framing,
    scratch: Vec<u8>,
    /// The system's counter of dropped datagrams, which wraps at 2^32.
    dropped: u32,
}

impl Datagrams {
    pub(super) fn new(socket: UdpSocket, name: Arc<str>, file: u64) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        enlarge_buffer(&socket);
        let framing = framing(&name, file);
        let dropped = dropped(socket.as_fd()).unwrap_or(0);
        Ok(Self { socket, name, file, framing, scratch: vec![0; LARGEST], dropped })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Adds the datagrams that the system has dropped since the last call.
    pub(super) fn count_dropped(&mut self, received: &mut Received) {
        let more = self.not_counted();
        received.counts.dropped += more;
        self.dropped = self.dropped.wrapping_add(more as u32);
    }

    /// Dropped datagrams not counted yet.
    pub(super) fn not_counted(&self) -> u64 {
        dropped(self.socket.as_fd()).map_or(0, |now| now.wrapping_sub(self.dropped)).into()
    }

    /// The size of the receive buffer in bytes.
    pub(super) fn room(&self) -> usize {
        // The system doubles the size for its own bookkeeping.
        rustix::net::sockopt::socket_recv_buffer_size(&self.socket).unwrap_or(0) / 2
    }

    /// Reads until `most` bytes were read or nothing is left; returns the number of bytes, and whether there may be more.
    pub(super) fn receive(&mut self, most: usize, received: &mut Received) -> (usize, bool) {
        let (mut bytes, mut has_more, mut other_columns) = (0, true, None);
        while bytes < most && other_columns.is_none() {
            let read = match self.socket.recv(&mut self.scratch) {
                Ok(read) => read,
                Err(error) => {
                    received.counts.lost += u64::from(!is_for_later(&error));
                    has_more = error.kind() == io::ErrorKind::Interrupted;
                    break;
                }
            };
            bytes += read;
            other_columns = self.receive_one(read, received).err();
        }
        if other_columns.is_none() {
            other_columns = received.take_whole(&mut self.framing).err();
        }
        // The sender may start anew with the right columns.
        if let Some(error) = other_columns {
            received.reject_columns(&mut self.framing, &error);
            self.framing = framing(&self.name, self.file);
        }
        self.count_dropped(received);
        (bytes, has_more)
    }

    /// Processes a datagram of `read` bytes, which may have its own byte order mark and whose last record needs no line end.
    fn receive_one(&mut self, read: usize, received: &mut Received) -> Result<()> {
        let mut datagram = &self.scratch[..read];
        let lines = self.framing.line_format(datagram, &received.layout);
        if self.framing.has_begun() {
            match lines.without_mark(datagram) {
                Ok(text) => datagram = text,
                Err(encoding) => {
                    let why = format!("a datagram is {encoding}, but earlier ones are not");
                    received.take_whole(&mut self.framing)?;
                    self.framing.push(datagram);
                    self.reject(&why, received);
                    return Ok(());
                }
            }
        }
        self.framing.push(datagram);
        if !datagram.len().is_multiple_of(lines.unit()) {
            let why = "a datagram ended within a character";
            return self.take(why, received);
        }
        if !datagram.is_empty() && !lines.ends_with_line_feed(datagram) {
            self.framing.push(lines.line_feed());
        }
        // A quote must be closed within its datagram: it must not swallow the next one.
        if self.framing.waiting() >= LARGEST || self.framing.is_open() {
            self.take("a datagram ended in the middle of a record", received)?;
        }
        Ok(())
    }

    /// Takes complete records; the incomplete rest of the last datagram is rejected with the reason `why`.
    fn take(&mut self, why: &str, received: &mut Received) -> Result<()> {
        received.take_whole(&mut self.framing)?;
        if self.framing.waiting() > 0 {
            self.reject(why, received);
        }
        Ok(())
    }

    fn reject(&mut self, why: &str, received: &mut Received) {
        received.counts.refused += 1;
        received.reject_last(&mut self.framing, why);
    }
}

/// A framing for a new datagram.
fn framing(name: &Arc<str>, file: u64) -> Framing {
    let mut framing = Framing::new(Arc::clone(name), Arc::clone(name), file);
    // A datagram is complete when it arrives.
    framing.expect_no_more();
    framing
}

/// Requests a larger receive buffer. The system's limit applies unless the process has CAP_NET_ADMIN.
fn enlarge_buffer(socket: &UdpSocket) {
    use rustix::net::sockopt;
    #[cfg(target_os = "linux")]
    if sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER).is_ok() {
        return;
    }
    let _as_much_as_is_granted = sockopt::set_socket_recv_buffer_size(socket, RECEIVE_BUFFER);
}
