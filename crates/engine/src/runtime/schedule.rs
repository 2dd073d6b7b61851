//! The schedule of checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::meters::CheckpointMeters;
use crate::cuts::CutRequest;

/// The time from one checkpoint to one that is requested, at most; see [`Schedule::pause`].
const LONGEST: Duration = Duration::from_millis(50);

/// That time, at least.
const SHORTEST: Duration = Duration::from_millis(5);

/// That time, as a multiple of what the checkpoint took.
const SHARE: u32 = 4;

/// Schedules checkpoints.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(super) every: Option<Duration>,
    pub(super) last: Instant,
    /// Requests for a checkpoint by sources and sinks.
    pub(super) cuts: CutRequest,
    /// Whether a checkpoint is being made; then no other is due, so that only one is in memory.
    pub(super) is_busy: Option<Arc<AtomicBool>>,
    /// What other threads see of the checkpoints.
    pub(super) meters: Option<Arc<CheckpointMeters>>,
}

impl Schedule {
    /// For a run without a state folder.
    pub(crate) fn never() -> Self {
        Self { every: None, last: Instant::now(), cuts: CutRequest::default(), is_busy: None, meters: None }
    }

    /// Whether a checkpoint is due: by time, if input arrived since the last one (`is_dirty`), or because one was requested. If it returns true, the interval
    /// starts again.
    pub(crate) fn is_due(&mut self, is_dirty: bool) -> bool {
        let Some(every) = self.every else { return false };
        let waited = self.last.elapsed();
        let is_asked = self.cuts.is_asked() && waited >= self.pause().min(every);
        if !is_asked && (!is_dirty || waited < every) {
            return false;
        }
        let is_busy = self.is_busy.as_ref().is_some_and(|is_busy| is_busy.swap(true, Ordering::Acquire));
        if is_busy {
            self.meters.iter().for_each(|meters| meters.defers());
        } else {
            self.last = Instant::now();
            self.cuts.begin();
        }
        !is_busy
    }

    /// The least time between two checkpoints of which the second is requested: so long that requests cannot keep the run from its work, and no longer,
    /// since a client may wait for its answer.
    fn pause(&self) -> Duration {
        let took = self.meters.as_ref().and_then(|meters| meters.took());
        took.map_or(LONGEST, |took| took.saturating_mul(SHARE).clamp(SHORTEST, LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(every: Duration) -> Schedule {
        Schedule { every: Some(every), ..Schedule::never() }
    }

    #[test]
    fn while_a_checkpoint_is_on_its_way_no_other_is_due() {
        let is_busy = Arc::new(AtomicBool::new(false));
        let meters = Arc::new(CheckpointMeters::default());
        let (busy, shown) = (Some(Arc::clone(&is_busy)), Some(Arc::clone(&meters)));
        let mut schedule = Schedule { is_busy: busy, meters: shown, ..every(Duration::ZERO) };
        assert!(!schedule.is_due(false), "nothing has come");
        assert_eq!(
            [schedule.is_due(true), schedule.is_due(true), schedule.is_due(true)],
            [true, false, false]
        );
        assert_eq!(meters.deferred(), 1, "the one that is due waits, however often it is asked for");
        is_busy.store(false, Ordering::Release);
        assert!(schedule.is_due(true));
        let mut of_who_waits = every(Duration::ZERO);
        assert_eq!([of_who_waits.is_due(true), of_who_waits.is_due(true)], [true, true]);
        assert!(!Schedule::never().is_due(true));
    }

    #[test]
    fn a_checkpoint_that_is_asked_for_is_due_before_its_time_and_not_at_once_behind_another() {
        let hour = Duration::from_secs(3600);
        let is_busy = Arc::new(AtomicBool::new(false));
        let mut schedule = Schedule { is_busy: Some(Arc::clone(&is_busy)), ..every(hour) };
        let before =
            |schedule: &mut Schedule, time| schedule.last = schedule.last.checked_sub(time).expect("a time");
        before(&mut schedule, LONGEST);
        assert!(!schedule.is_due(true), "nobody has asked");
        schedule.cuts.ask();
        schedule.cuts.ask();
        assert!(schedule.is_due(false), "it is asked for, though nothing has come");
        schedule.cuts.ask();
        assert!(!schedule.is_due(true), "one has just begun");
        before(&mut schedule, LONGEST);
        assert!(!schedule.is_due(true), "it is still on its way");
        is_busy.store(false, Ordering::Release);
        assert!(schedule.is_due(true), "the request has waited for that");
        is_busy.store(false, Ordering::Release);
        before(&mut schedule, LONGEST);
        assert!(!schedule.is_due(true), "one checkpoint answers all requests before it");
        // Whoever wants more of them has them.
        let mut often = every(Duration::ZERO);
        often.cuts.ask();
        assert!(often.is_due(false));
        let asked = CutRequest::default();
        asked.ask();
        assert!(
            !Schedule { cuts: asked, ..Schedule::never() }.is_due(true),
            "without a folder there are none"
        );
    }

    #[test]
    fn requests_are_answered_sooner_where_checkpoints_are_fast() {
        let meters = Arc::new(CheckpointMeters::default());
        let schedule = Schedule { meters: Some(Arc::clone(&meters)), ..every(Duration::from_secs(3600)) };
        let mut pauses = vec![schedule.pause()];
        for micros in [100, 5_000, 90_000] {
            meters.made(Duration::from_micros(micros), 1);
            pauses.push(schedule.pause());
        }
        assert_eq!(pauses, [50, 5, 20, 50].map(Duration::from_millis));
    }
}
