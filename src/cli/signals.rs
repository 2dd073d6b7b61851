//! Signals that would end the process where a call can say what is wrong.

#![expect(unsafe_code, reason = "what a signal does is set here and nowhere else")]

/// A file that would become larger than the limit on it (`ulimit -f`): without the signal, writing fails and says so.
pub(super) fn ignore_file_too_large() {
    // SAFETY: no handler is installed, so none runs; nothing else in this process relies on the signal, and no other thread runs yet.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
