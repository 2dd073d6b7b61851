//! Waiting for input, briefly enough not to delay a stop.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a reader waits before it checks for a stop.
pub(in crate::source) const PATIENCE: Duration = Duration::from_millis(50);

/// Whether a read would return data or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Readable {
    Now,
    NotYet,
}

/// Waits until there is something to read, for [`PATIENCE`] at most.
pub(in crate::source) fn readable(file: impl AsFd) -> io::Result<Readable> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
    let mut files = [PollFd::new(&file, PollFlags::IN)];
    match poll(&mut files, Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(Readable::NotYet),
        Ok(_) => Ok(Readable::Now),
        Err(error) => Err(error.into()),
    }
}

/// Enlarges the buffer of a pipe, to reduce switches between reader and writer. Failure is harmless.
pub(in crate::source) fn widen(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _as_it_was = rustix::pipe::fcntl_setpipe_size(file, 1 << 20);
    // Other systems enlarge pipes automatically.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = file;
}

/// A file opened without blocking, for a reader that may block until `is_gone` is set.
pub(in crate::source) struct Patient {
    pub(in crate::source) file: File,
    pub(in crate::source) is_gone: Arc<AtomicBool>,
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

/// The result of reading once from a live input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Arrival {
    /// The number of bytes read.
    Bytes(usize),
    Nothing,
    End,
}

/// Whether a read failed only because there is nothing yet.
pub(in crate::source) fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Whether reads may block until data is written.
pub(in crate::source) fn may_wait(meta: &Metadata) -> bool {
    let kind = meta.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_socket()
}
