//! Ctrl-C. The first one, or a termination signal, stops the run at the next chunk: sinks are dropped without being
//! committed, and leave nothing behind. The second ends the process at once; then parts of files under temporary
//! names may be left, never a file that looks finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemill_core::error::ErrorKind;
use tidemill_engine::notes::say;
use tidemill_engine::sink::end_alert_commands;

/// How long nothing may go on while what has come in is written.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether anything does.
const LOOK: Duration = Duration::from_millis(100);

/// Whether the runs of this process go on.
static PULSE: Pulse = Pulse { beats: AtomicU64::new(0), is_committing: AtomicBool::new(false) };

struct Pulse {
    beats: AtomicU64,
    is_committing: AtomicBool,
}

/// What somebody has seen of a pulse who waits for a run to end.
struct Watch {
    beats: u64,
    last: Instant,
}

impl Watch {
    /// Whether nothing has gone on for too long at `now`.
    fn gives_up(&mut self, pulse: &Pulse, now: Instant) -> bool {
        let beats = pulse.beats.load(Ordering::Relaxed);
        if beats != self.beats || pulse.is_committing.load(Ordering::Relaxed) {
            (self.beats, self.last) = (beats, now);
        }
        now.duration_since(self.last) >= PATIENCE
    }
}

/// A piece of the input has been processed.
pub(super) fn beat() {
    PULSE.beats.fetch_add(1, Ordering::Relaxed);
}

/// Output is made durable and visible: from here on the process is not ended for taking its time.
pub(super) fn commits() {
    PULSE.is_committing.store(true, Ordering::Relaxed);
}

/// Ends the process when nothing has gone on for too long: an output that takes no more must not keep it for ever. The thread lives as
/// long as the process.
fn give_up_later() {
    let give_up = || {
        let mut watch = Watch { beats: PULSE.beats.load(Ordering::Relaxed), last: Instant::now() };
        while !watch.gives_up(&PULSE, Instant::now()) {
            std::thread::sleep(LOOK);
        }
        say("nothing more of what had come in could be written for 10 s; stopped without that");
        end();
    };
    let _stops_by_itself = std::thread::Builder::new().name("give up".into()).spawn(give_up);
}

/// Ends the process, and what it has started.
fn end() -> ! {
    end_alert_commands();
    std::process::exit(ErrorKind::Interrupted.exit_code().into());
}

/// A flag that is set when the user asks to stop. The thread that waits for the signal is the library's; it lives
/// as long as the process.
pub(super) fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            end();
        }
        say("stopping; press Ctrl-C again to stop at once");
        give_up_later();
    };
    // Without a handler Ctrl-C ends the process as it always does.
    let _unhandled = ctrlc::set_handler(handler);
    stop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_goes_on_or_commits_is_not_given_up() {
        let pulse = Pulse { beats: AtomicU64::new(3), is_committing: AtomicBool::new(false) };
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut watch = Watch { beats: 3, last: start };
        assert!(!watch.gives_up(&pulse, after(9)));
        pulse.beats.store(4, Ordering::Relaxed);
        assert!(!watch.gives_up(&pulse, after(12)), "it has gone on");
        assert!(!watch.gives_up(&pulse, after(21)));
        assert!(watch.gives_up(&pulse, after(22)), "nothing for 10 s");
        pulse.is_committing.store(true, Ordering::Relaxed);
        assert!(!watch.gives_up(&pulse, after(1000)), "however long a commit takes");
    }
}
