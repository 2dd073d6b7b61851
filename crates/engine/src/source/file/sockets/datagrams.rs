//! Datagrams: each has whole records, the last of which needs no line end.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::counts::Counts;
use super::drops::dropped;
use super::{OTHER_COLUMNS, is_for_later, take_whole};
use crate::error::Result;
use crate::source::Input;
use crate::source::file::framing::{Framing, Layout};

/// Bytes that a datagram may have.
const LARGEST: usize = 64 << 10;

/// Bytes that may wait in the system for their turn, where it grants so many: a burst of a moment.
const RECEIVE_BUFFER: usize = 8 << 20;

/// A socket that datagrams come to, from anybody.
pub(super) struct Datagrams {
    socket: UdpSocket,
    name: Arc<str>,
    file: u64,
    framing: Framing,
    scratch: Vec<u8>,
    /// The system's own count of those that it has dropped, which starts again at 2^32.
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

    /// How many more the system has dropped.
    pub(super) fn count_dropped(&mut self, counts: &mut Counts) {
        let more = self.not_counted();
        counts.dropped += more;
        self.dropped = self.dropped.wrapping_add(more as u32);
    }

    /// How many the system has dropped since they were counted.
    pub(super) fn not_counted(&self) -> u64 {
        dropped(self.socket.as_fd()).map_or(0, |now| now.wrapping_sub(self.dropped)).into()
    }

    /// The bytes that the system lets wait.
    pub(super) fn room(&self) -> usize {
        // The system counts what it needs itself, too: about as much.
        rustix::net::sockopt::socket_recv_buffer_size(&self.socket).unwrap_or(0) / 2
    }

    /// Reads until `most` bytes have come or nothing is left; how many came, and whether there may be more.
    pub(super) fn receive(
        &mut self,
        most: usize,
        layout: &Layout,
        ready: &mut VecDeque<Input>,
        counts: &mut Counts,
    ) -> (usize, bool) {
        let (mut bytes, mut has_more, mut other_columns) = (0, true, None);
        while bytes < most && other_columns.is_none() {
            let read = match self.socket.recv(&mut self.scratch) {
                Ok(read) => read,
                Err(error) => {
                    counts.lost += u64::from(!is_for_later(&error));
                    has_more = error.kind() == io::ErrorKind::Interrupted;
                    break;
                }
            };
            bytes += read;
            other_columns = self.take_in(read, layout, ready, counts).err();
        }
        if other_columns.is_none() {
            other_columns = take_whole(&mut self.framing, layout, ready, counts).err();
        }
        // Whoever sends may begin anew with the right columns.
        if let Some(error) = other_columns {
            counts.other_columns += 1;
            let why = format!("{OTHER_COLUMNS}: {}", error.message());
            ready.push_back(self.framing.refuse_last(&why, layout));
            self.framing = framing(&self.name, self.file);
        }
        self.count_dropped(counts);
        (bytes, has_more)
    }

    /// Takes a datagram of `read` bytes in, which may have a byte order mark of its own and whose last record needs no line end.
    fn take_in(
        &mut self,
        read: usize,
        layout: &Layout,
        ready: &mut VecDeque<Input>,
        counts: &mut Counts,
    ) -> Result<()> {
        let mut datagram = &self.scratch[..read];
        let lines = self.framing.line_format(datagram, layout);
        if self.framing.has_begun() {
            match lines.without_mark(datagram) {
                Ok(text) => datagram = text,
                Err(encoding) => {
                    let why = format!("a datagram is {encoding}, and those before it are not");
                    take_whole(&mut self.framing, layout, ready, counts)?;
                    self.framing.push(datagram);
                    self.refuse(&why, layout, ready, counts);
                    return Ok(());
                }
            }
        }
        self.framing.push(datagram);
        if !datagram.len().is_multiple_of(lines.unit()) {
            let why = "a datagram ended within a character";
            return self.take(why, layout, ready, counts);
        }
        if !datagram.is_empty() && !lines.ends_with_line_feed(datagram) {
            self.framing.push(lines.line_feed());
        }
        // A quote that is not closed in its datagram never is: it must not swallow the next one.
        if self.framing.waiting() >= LARGEST || self.framing.is_open() {
            self.take("a datagram ended before its record did", layout, ready, counts)?;
        }
        Ok(())
    }

    /// Moves whole records to `ready`; what is left of the last datagram is none, for that is why.
    fn take(
        &mut self,
        why: &str,
        layout: &Layout,
        ready: &mut VecDeque<Input>,
        counts: &mut Counts,
    ) -> Result<()> {
        take_whole(&mut self.framing, layout, ready, counts)?;
        if self.framing.waiting() > 0 {
            self.refuse(why, layout, ready, counts);
        }
        Ok(())
    }

    fn refuse(&mut self, why: &str, layout: &Layout, ready: &mut VecDeque<Input>, counts: &mut Counts) {
        counts.refused += 1;
        ready.push_back(self.framing.refuse_last(why, layout));
    }
}

/// Of datagrams at their beginning.
fn framing(name: &Arc<str>, file: u64) -> Framing {
    let mut framing = Framing::new(Arc::clone(name), Arc::clone(name), file);
    // What a datagram has is all that it will ever have.
    framing.expect_no_more();
    framing
}

/// Asks for more room than the system gives of its own accord. Only who may administer the network is given more than its limit.
fn enlarge_buffer(socket: &UdpSocket) {
    use rustix::net::sockopt;
    #[cfg(target_os = "linux")]
    if sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER).is_ok() {
        return;
    }
    let _as_much_as_is_granted = sockopt::set_socket_recv_buffer_size(socket, RECEIVE_BUFFER);
}
