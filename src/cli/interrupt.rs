//! Ctrl-C. The first one, or a termination signal, stops the run at the next chunk: sinks are dropped without being
//! committed, and leave nothing behind. The second ends the process at once; then parts of files under temporary
//! names may be left, never a file that looks finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::service;
use tidemill_core::error::ErrorKind;
use tidemill_core::error::Masks;
use tidemill_engine::notes::Event;
use tidemill_engine::sink::end_alert_commands;

/// How long a stopping run may make no progress while it writes received records.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often progress is checked.
const LOOK: Duration = Duration::from_millis(100);

/// The progress of the runs of this process.
static PROGRESS: RunProgress =
    RunProgress { steps: AtomicU64::new(0), is_committing: AtomicBool::new(false) };

struct RunProgress {
    steps: AtomicU64,
    is_committing: AtomicBool,
}

/// The last progress seen, and when.
struct StallDetector {
    steps: u64,
    last: Instant,
}

impl StallDetector {
    /// Whether there has been no progress for too long at `now`.
    fn is_stalled(&mut self, progress: &RunProgress, now: Instant) -> bool {
        let steps = progress.steps.load(Ordering::Relaxed);
        if steps != self.steps || progress.is_committing.load(Ordering::Relaxed) {
            (self.steps, self.last) = (steps, now);
        }
        now.duration_since(self.last) >= PATIENCE
    }
}

/// A piece of the input has been processed.
pub(super) fn advance() {
    PROGRESS.steps.fetch_add(1, Ordering::Relaxed);
}

/// The run commits its output: from here on it is not ended for lack of progress.
pub(super) fn commits() {
    PROGRESS.is_committing.store(true, Ordering::Relaxed);
}

/// Whether the run commits its output.
pub(super) fn is_committing() -> bool {
    PROGRESS.is_committing.load(Ordering::Relaxed)
}

/// Ends the process when there is no progress for too long: a blocked output must not keep it running for ever. The thread lives as
/// long as the process.
fn give_up_later() {
    let give_up = || {
        let mut stall = StallDetector { steps: PROGRESS.steps.load(Ordering::Relaxed), last: Instant::now() };
        while !stall.is_stalled(&PROGRESS, Instant::now()) {
            std::thread::sleep(LOOK);
        }
        let said = "no progress for 10 s while writing received records; stopped without them";
        Event::warn("gave_up").say(&Masks::default(), said);
        end();
    };
    let _stops_by_itself = std::thread::Builder::new().name("give up".into()).spawn(give_up);
}

/// Ends the process and its child processes.
fn end() -> ! {
    end_alert_commands();
    std::process::exit(ErrorKind::Interrupted.exit_code().into());
}

/// Asks the run with this flag to stop; the second time, the process ends.
pub(super) fn interrupt(stop: &AtomicBool) {
    if stop.swap(true, Ordering::Relaxed) {
        end();
    }
    service::tell("STOPPING=1");
    Event::info("stopping").say(&Masks::default(), "stopping; press Ctrl-C again to stop at once");
    give_up_later();
}

/// A flag that is set when the user asks to stop. The thread that waits for the signal is the library's; it lives
/// as long as the process.
pub(super) fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || interrupt(&flag);
    // Without a handler, Ctrl-C ends the process immediately.
    let _unhandled = ctrlc::set_handler(handler);
    stop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_makes_progress_or_commits_is_not_stalled() {
        let progress = RunProgress { steps: AtomicU64::new(3), is_committing: AtomicBool::new(false) };
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut stall = StallDetector { steps: 3, last: start };
        assert!(!stall.is_stalled(&progress, after(9)));
        progress.steps.store(4, Ordering::Relaxed);
        assert!(!stall.is_stalled(&progress, after(12)), "it has made progress");
        assert!(!stall.is_stalled(&progress, after(21)));
        assert!(stall.is_stalled(&progress, after(22)), "nothing for 10 s");
        progress.is_committing.store(true, Ordering::Relaxed);
        assert!(!stall.is_stalled(&progress, after(1000)), "however long a commit takes");
    }
}
