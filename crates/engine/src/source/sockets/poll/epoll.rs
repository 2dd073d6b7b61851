//! Linux: `epoll`.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::AT_ONCE;

/// The set of watched sockets.
pub(in super::super) struct Poll(OwnedFd);

impl Poll {
    /// # Errors
    /// If the process or the system has no descriptor left.
    pub(in super::super) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Adds `socket` under the id `id`.
    ///
    /// # Errors
    /// If the system has no memory for it, or its limit of watched descriptors is reached.
    pub(in super::super) fn add(&self, socket: BorrowedFd<'_>, id: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, socket, EventData::new_u64(id), EventFlags::IN)?)
    }

    /// Removes it; must be called before it is closed.
    pub(in super::super) fn remove(&self, socket: BorrowedFd<'_>) {
        let _was_not_added = epoll::delete(&self.0, socket);
    }

    /// Waits until a socket is readable, for `timeout` (below a second) at most, and replaces `ids` by the readable ones: [`AT_ONCE`] at
    /// most.
    ///
    /// # Errors
    /// Errors of the system, none of which is expected; an interruption by a signal is not an error.
    pub(in super::super) fn wait(&self, timeout: Duration, ids: &mut Vec<u64>) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        let mut events = Vec::with_capacity(AT_ONCE);
        let result = epoll::wait(&self.0, spare_capacity(&mut events), Some(&timeout));
        ids.clear();
        ids.extend(events.iter().map(|event| event.data.u64()));
        match result {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
