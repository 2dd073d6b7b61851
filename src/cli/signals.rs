//! Signals that would end the process although the failing call reports the error, and SIGHUP, which asks for a reload.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | hangup | [`on_hangup`] | SIGHUP | with the process |

#![expect(unsafe_code, reason = "what a signal does is set here and nowhere else")]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};

/// Ignores the signal for a file beyond its size limit (`ulimit -f`): the write fails with an error instead.
pub(super) fn ignore_file_too_large() {
    // SAFETY: no handler is installed, so none runs; nothing else in this process relies on the signal, and no other thread runs yet.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Where a hangup is noted: a signal may interrupt anything, so all else is done by a thread.
static NOTE: AtomicI32 = AtomicI32::new(-1);

/// Whether one is noted that the thread has not seen.
static IS_NOTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGHUP has `act` called, on a thread of its own, one call after the other.
pub(super) fn on_hangup(act: impl Fn() + Send + 'static) -> io::Result<()> {
    let (read, write) = rustix::pipe::pipe()?;
    fcntl_setfd(&read, FdFlags::CLOEXEC)?;
    fcntl_setfd(&write, FdFlags::CLOEXEC)?;
    // Open as long as the process.
    NOTE.store(write.into_raw_fd(), Ordering::Release);
    std::thread::Builder::new().name("hangup".into()).spawn(move || {
        let (mut read, mut note) = (File::from(read), [0]);
        while read.read_exact(&mut note).is_ok() {
            IS_NOTED.store(false, Ordering::Release);
            act();
        }
    })?;
    let handler = note_hangup as extern "C" fn(libc::c_int);
    // SAFETY: the handler calls nothing but `write`, which may be called from one.
    unsafe { libc::signal(libc::SIGHUP, handler as libc::sighandler_t) };
    Ok(())
}

extern "C" fn note_hangup(_signal: libc::c_int) {
    if !IS_NOTED.swap(true, Ordering::AcqRel) {
        // SAFETY: one byte is read from where it lies. The pipe is empty, so there is room, and `errno` stays as it is.
        unsafe { libc::write(NOTE.load(Ordering::Acquire), [1_u8].as_ptr().cast(), 1) };
    }
}
