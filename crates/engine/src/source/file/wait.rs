//! Waiting for input no longer than a stop can bear.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a reader waits before it looks whether it is still wanted.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// Whether a read would give something, be it the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    Now,
    NotYet,
}

/// Waits until there is something to read, [`PATIENCE`] at most.
pub(super) fn readable(file: impl AsFd) -> io::Result<Readable> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
    let mut files = [PollFd::new(&file, PollFlags::IN)];
    match poll(&mut files, Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(Readable::NotYet),
        Ok(_) => Ok(Readable::Now),
        Err(error) => Err(error.into()),
    }
}

/// Asks for room in a pipe: the fewer the turns between its two ends, the cheaper a byte. Where that is not granted, it works too.
pub(super) fn widen(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _as_it_was = rustix::pipe::fcntl_setpipe_size(file, 1 << 20);
    // Other systems enlarge a pipe of their own accord.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = file;
}

/// A file opened so that it never waits, for a reader that can; until it `is_gone`, whoever wanted the bytes.
pub(super) struct Patient {
    pub(super) file: File,
    pub(super) is_gone: Arc<AtomicBool>,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_gone.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if readable(&self.file)? == Readable::NotYet {
                continue;
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }
}

/// What reading once from an input that may keep its reader waiting has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// So many.
    Bytes(usize),
    Nothing,
    End,
}

/// Whether reading it may take until somebody writes.
pub(super) fn may_wait(meta: &Metadata) -> bool {
    let kind = meta.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_socket()
}
