//! When a device is polled, and which polls were missed: a state machine without a clock.
//!
//! Polls are due at the multiples of the interval since 1970, so that devices with the same interval are polled at the same times, and a slow answer shifts nothing.

use std::time::Duration;

use tidemill_engine::time::Timestamp;

/// The polls of a device.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// The interval in nanoseconds.
    every: i64,
    /// The poll that is due now or next: so many intervals since 1970.
    turn: i64,
}

/// How long to wait for the next attempt, and how many polls will have been missed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) delay: Duration,
    pub(crate) missed: u64,
}

impl Schedule {
    /// Polls at this interval, the first one at once.
    pub(crate) fn new(every: Duration, now: Timestamp) -> Self {
        let every = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX).max(1);
        Self { every, turn: now.as_nanos().div_euclid(every) }
    }

    /// When the poll is due that is tried now.
    pub(crate) fn due(&self) -> Timestamp {
        Timestamp::from_nanos(self.turn.saturating_mul(self.every))
    }

    /// The poll has been done by `now`: the next one is the first that is due later.
    pub(crate) fn done(&mut self, now: Timestamp) -> Pause {
        let current = now.as_nanos().div_euclid(self.every);
        let missed = current.saturating_sub(self.turn).max(0).unsigned_abs();
        self.turn = current.saturating_add(1);
        let left = self.due().as_nanos().saturating_sub(now.as_nanos());
        Pause { delay: Duration::from_nanos(left.max(0).unsigned_abs()), missed }
    }

    /// The poll has failed, and is tried again after `delay`: instead of it, the newest one that is due then.
    pub(crate) fn failed(&mut self, now: Timestamp, delay: Duration) -> Pause {
        let delay_nanos = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
        let then = now.as_nanos().saturating_add(delay_nanos).div_euclid(self.every);
        let missed = then.saturating_sub(self.turn).max(0).unsigned_abs();
        self.turn = then;
        Pause { delay, missed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn pause(millis: u64, missed: u64) -> Pause {
        Pause { delay: Duration::from_millis(millis), missed }
    }

    #[test]
    fn polls_are_at_multiples_of_the_interval() {
        let mut schedule = Schedule::new(SECOND, at(10_300));
        assert_eq!(schedule.due(), at(10_000));
        assert_eq!(schedule.done(at(10_350)), pause(650, 0));
        assert_eq!((schedule.due(), schedule.done(at(11_020))), (at(11_000), pause(980, 0)));
    }

    #[test]
    fn an_answer_that_takes_longer_than_the_interval_misses_polls() {
        let mut schedule = Schedule::new(SECOND, at(10_000));
        assert_eq!(schedule.done(at(13_400)), pause(600, 3), "those of 11, 12 and 13 s");
        assert_eq!(schedule.due(), at(14_000));
    }

    #[test]
    fn a_poll_that_is_repeated_in_time_is_not_missed() {
        let mut schedule = Schedule::new(SECOND, at(10_000));
        assert_eq!(schedule.failed(at(10_100), Duration::from_millis(200)), pause(200, 0));
        assert_eq!(schedule.done(at(10_310)), pause(690, 0));
        assert_eq!(schedule.failed(at(11_100), Duration::from_millis(3000)), pause(3000, 3));
        assert_eq!((schedule.due(), schedule.done(at(14_110))), (at(14_000), pause(890, 0)));
    }

    #[test]
    fn a_clock_that_is_set_back_delays_nothing() {
        let mut schedule = Schedule::new(SECOND, at(100_000));
        assert_eq!(schedule.done(at(50_400)), pause(600, 0));
        assert_eq!(schedule.due(), at(51_000));
    }

    proptest! {
        /// Each multiple of the interval is one poll that was done, or missed.
        #[test]
        fn polls_that_are_done_and_missed_are_all(every in 1..2000_u64, steps in prop::collection::vec((0..9000_i64, 0..9000_u64, any::<bool>()), 1..50)) {
            let every_millis = every as i64;
            let mut now = 1_000_000;
            let mut schedule = Schedule::new(Duration::from_millis(every), at(now));
            let first = now / every_millis;
            let (mut done, mut missed) = (0, 0);
            for (took, delay, succeeds) in steps {
                now += took;
                let pause = match succeeds {
                    true => (done += 1, schedule.done(at(now))).1,
                    false => schedule.failed(at(now), Duration::from_millis(delay)),
                };
                missed += pause.missed as i64;
                now += pause.delay.as_millis() as i64;
                prop_assert!(schedule.due() <= at(now));
                prop_assert_eq!(first + done + missed, schedule.due().as_nanos() / 1_000_000 / every_millis);
            }
        }
    }
}
