//! macOS and the BSDs: `kqueue`.
#![expect(unsafe_code, reason = "kqueue is given descriptors by number")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::kqueue::{self, Event, EventFilter, EventFlags};
use rustix::io::Errno;

use super::AT_ONCE;

/// The set of watched sockets.
pub(in super::super) struct Poll(OwnedFd);

impl Poll {
    /// # Errors
    /// If the process or the system has no descriptor left.
    pub(in super::super) fn new() -> io::Result<Self> {
        let queue = kqueue::kqueue()?;
        // Unlike on Linux, there is no flag for that: a program started in between inherits an empty queue at worst.
        rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Self(queue))
    }

    /// Adds `socket` under the id `id`.
    ///
    /// # Errors
    /// If the system has no memory for it.
    pub(in super::super) fn add(&self, socket: BorrowedFd<'_>, id: u64) -> io::Result<()> {
        self.change(socket, id, EventFlags::ADD)
    }

    /// Removes it; must be called before it is closed.
    pub(in super::super) fn remove(&self, socket: BorrowedFd<'_>) {
        let _was_not_added = self.change(socket, 0, EventFlags::DELETE);
    }

    fn change(&self, socket: BorrowedFd<'_>, id: u64, flags: EventFlags) -> io::Result<()> {
        // The user data is never dereferenced, only returned.
        let id = ptr::without_provenance_mut(usize::try_from(id).map_err(io::Error::other)?);
        let change = Event::new(EventFilter::Read(socket.as_raw_fd()), flags, id);
        // SAFETY: the descriptor is open, since it is borrowed; the sockets call `remove` before they close one, and the system forgets
        // those that are closed. No room for events is given, so none are returned.
        unsafe { kqueue::kevent(&self.0, &[change], &mut [] as &mut [Event], None) }?;
        Ok(())
    }

    /// Waits until a socket is readable, for `timeout` (below a second) at most, and replaces `ids` by the readable ones: [`AT_ONCE`] at
    /// most.
    ///
    /// # Errors
    /// Errors of the system, none of which is expected; an interruption by a signal is not an error.
    pub(in super::super) fn wait(&self, timeout: Duration, ids: &mut Vec<u64>) -> io::Result<()> {
        let mut events = Vec::with_capacity(AT_ONCE);
        // SAFETY: as in `change`; nothing is changed here.
        let result = unsafe { kqueue::kevent(&self.0, &[], spare_capacity(&mut events), Some(timeout)) };
        ids.clear();
        ids.extend(events.iter().map(|event: &Event| event.udata().addr() as u64));
        match result {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
