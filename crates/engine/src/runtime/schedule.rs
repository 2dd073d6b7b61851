//! When checkpoints are due.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Says when the next checkpoint is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(super) every: Option<Duration>,
    pub(super) last: Instant,
    /// Whether one is on its way, which is waited for: two of them would be in memory at once.
    pub(super) is_busy: Option<Arc<AtomicBool>>,
}

impl Schedule {
    /// Where there is no state folder.
    pub(crate) fn never() -> Self {
        Self { every: None, last: Instant::now(), is_busy: None }
    }

    /// Whether one is due, where something has come since the last one if it `is_dirty`; if so, it is on its way, and the next one is due that
    /// much later.
    pub(crate) fn is_due(&mut self, is_dirty: bool) -> bool {
        let Some(every) = self.every else { return false };
        if !is_dirty || self.last.elapsed() < every {
            return false;
        }
        let is_busy = self.is_busy.as_ref().is_some_and(|is_busy| is_busy.swap(true, Ordering::Acquire));
        if !is_busy {
            self.last = Instant::now();
        }
        !is_busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_checkpoint_is_on_its_way_no_other_is_due() {
        let is_busy = Arc::new(AtomicBool::new(false));
        let busy = Some(Arc::clone(&is_busy));
        let mut schedule = Schedule { every: Some(Duration::ZERO), last: Instant::now(), is_busy: busy };
        assert!(!schedule.is_due(false), "nothing has come");
        assert_eq!([schedule.is_due(true), schedule.is_due(true)], [true, false]);
        is_busy.store(false, Ordering::Release);
        assert!(schedule.is_due(true));
        let mut of_who_waits = Schedule { every: Some(Duration::ZERO), last: Instant::now(), is_busy: None };
        assert_eq!([of_who_waits.is_due(true), of_who_waits.is_due(true)], [true, true]);
        assert!(!Schedule::never().is_due(true));
    }
}
