//! Ctrl-C. The first one, or a termination signal, stops the run at the next chunk: sinks are dropped without being
//! committed, and leave nothing behind. The second ends the process at once; then parts of files under temporary
//! names may be left, never a file that looks finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::output;
use crate::error::ErrorKind;

/// How long a run may take to write what has come in.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the process if it has not ended by then: an output that takes no more must not keep it for ever. The thread lives as long as
/// the process.
fn give_up_later() {
    let give_up = || {
        std::thread::sleep(PATIENCE);
        output::note("not all that had come in could be written within 10 s; stopped without that");
        std::process::exit(ErrorKind::Interrupted.exit_code().into());
    };
    let _stops_by_itself = std::thread::Builder::new().name("give up".into()).spawn(give_up);
}

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
        give_up_later();
    };
    // Without a handler Ctrl-C ends the process as it always does.
    let _unhandled = ctrlc::set_handler(handler);
    stop
}
