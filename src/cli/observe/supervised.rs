//! A run under a service manager: it is told when the run has begun, that it is alive, what it waits for, and that it ends.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | supervised | [`supervise`] | the next time to tell that the run is alive | with the process |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::service;
use super::view::is_live;
use tidemill_engine::runtime::Meters;

/// How often to look whether there is something to tell.
const LOOK: Duration = Duration::from_millis(100);

/// A run that the service manager is told of; when this is dropped, that it ends.
pub(in super::super) struct Supervised {
    is_ready: Arc<AtomicBool>,
}

/// Tells the service manager when the run with these meters has begun, and then, while it is alive, twice in each interval that it asks for.
pub(super) fn supervise(meters: Meters) -> Supervised {
    let is_ready = Arc::new(AtomicBool::new(false));
    if service::is_there() {
        let is_ready = Arc::clone(&is_ready);
        let work = move || watch(&meters, &is_ready);
        let _not_told = std::thread::Builder::new().name("supervised".into()).spawn(work);
    }
    Supervised { is_ready }
}

fn watch(meters: &Meters, is_ready: &AtomicBool) {
    let interval = service::watchdog().map(|interval| interval / 2);
    let (mut told, mut is_held_up) = (None::<Instant>, false);
    loop {
        if meters.has_begun() && !is_ready.swap(true, Ordering::Relaxed) {
            service::tell("READY=1");
        }
        let is_due = |interval| told.is_none_or(|told| told.elapsed() >= interval);
        if interval.is_some_and(is_due) && is_live(meters) {
            service::tell("WATCHDOG=1");
            told = Some(Instant::now());
        }
        let obstacles = if is_ready.load(Ordering::Relaxed) { meters.obstacles() } else { Vec::new() };
        if obstacles.is_empty() == is_held_up {
            is_held_up = !is_held_up;
            service::tell(&format!(
                "STATUS={}",
                if is_held_up { obstacles.join("; ") } else { "running".into() }
            ));
        }
        std::thread::sleep(interval.unwrap_or(LOOK).min(LOOK));
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // A run may end before anybody has looked.
        if !self.is_ready.swap(true, Ordering::Relaxed) {
            service::tell("READY=1");
        }
        service::tell("STOPPING=1");
    }
}
