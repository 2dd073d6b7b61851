//! Exponential back-off between attempts.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use crate::random::Random;

/// The longest delay that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// The delays between attempts. Each is drawn between nothing and a limit that doubles with every failure (full jitter), so that clients that have lost the
/// same server do not come back together. By default, the limit begins at 100 ms and ends at 30 s.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    /// `None`: each delay is the limit.
    random: Option<Random>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(30))
    }
}

impl Backoff {
    /// Delays of at most `base` after the first failure, and of at most `cap` at all.
    pub fn new(base: Duration, cap: Duration) -> Self {
        // Seeded by the system, and new each time.
        let seed = RandomState::new().build_hasher().finish();
        Self { random: Some(Random::new(seed)), ..Self::without_jitter(base, cap) }
    }

    /// The same delays each time, for tests.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { random: Some(Random::new(seed)), ..self }
    }

    /// Delays that are the limits themselves: for what only this process waits for, such as its disk.
    pub(crate) fn without_jitter(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0, random: None }
    }

    /// Whether nothing has failed since the beginning or the last success.
    pub fn is_first(&self) -> bool {
        self.failures == 0
    }

    /// The delay before the next attempt, after a failure. If the server has [said](crate::Error::retry_after) how long to wait, up to an hour, the delay
    /// comes on top of that.
    pub fn delay(&mut self, retry_after: Option<Duration>) -> Duration {
        let limit = self.base.saturating_mul(1 << self.failures.min(30)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let drawn = match &mut self.random {
            None => limit,
            Some(random) => {
                let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX - 1);
                Duration::from_nanos(random.below(nanos + 1))
            }
        };
        drawn + retry_after.unwrap_or_default().min(LONGEST_ASKED)
    }

    /// An attempt has succeeded: the next failure is the first one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_fill_the_range_up_to_a_limit_that_doubles_and_ends() {
        let limits = |failures: u32| Duration::from_millis(100 << failures).min(Duration::from_secs(30));
        for failures in 0..12 {
            let drawn = |seed| Backoff { failures, ..Backoff::default().with_seed(seed) }.delay(None);
            let drawn: Vec<_> = (0..1000).map(drawn).collect();
            let (limit, mean) = (limits(failures), drawn.iter().sum::<Duration>() / 1000);
            assert!(drawn.iter().all(|delay| *delay <= limit), "{failures}");
            assert!(
                mean > limit.mul_f64(0.45) && mean < limit.mul_f64(0.55),
                "{failures}: {mean:?} of {limit:?}"
            );
        }
        assert!(Backoff { failures: u32::MAX, ..Backoff::default() }.delay(None) <= Duration::from_secs(30));
        assert_ne!(
            Backoff::default().delay(None),
            Backoff::default().delay(None),
            "each has a seed of its own"
        );
    }

    #[test]
    fn what_the_server_asks_for_is_the_least_and_success_begins_anew() {
        let asked = Duration::from_secs(7);
        let mut backoff = Backoff::default();
        let delay = backoff.delay(Some(asked));
        assert!(asked <= delay && delay <= asked + Duration::from_millis(100), "{delay:?}");
        assert!(backoff.delay(Some(Duration::MAX)) <= LONGEST_ASKED + Duration::from_millis(200));
        assert!(!backoff.is_first());
        backoff.reset();
        assert!(backoff.is_first() && backoff.delay(None) <= Duration::from_millis(100));
    }

    #[test]
    fn without_jitter_delays_are_the_limits() {
        let mut backoff = Backoff::without_jitter(Duration::from_millis(100), Duration::from_millis(350));
        let delays = std::iter::repeat_with(|| backoff.delay(None).as_millis()).take(4);
        assert_eq!(delays.collect::<Vec<_>>(), [100, 200, 350, 350]);
    }
}
