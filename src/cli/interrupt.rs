//! Ctrl-C. The first one, or a termination signal, stops the run at the next chunk: sinks are dropped without being
//! committed, and leave nothing behind. The second ends the process at once; then parts of files under temporary
//! names may be left, never a file that looks finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::output;
use crate::error::ErrorKind;

/// A flag that is set when the user asks to stop. The thread that waits for the signal is the library's; it lives
/// as long as the process.
pub(super) fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(ErrorKind::Interrupted.exit_code().into());
        }
        output::note("stopping; press Ctrl-C again to stop at once");
    };
    // Without a handler Ctrl-C ends the process as it always does.
    let _unhandled = ctrlc::set_handler(handler);
    stop
}
