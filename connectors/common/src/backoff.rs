//! How long to wait before another attempt to connect.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The longest delay after the first failure.
const BASE: Duration = Duration::from_millis(100);

/// The longest delay at all.
const CAP: Duration = Duration::from_secs(30);

/// Delays with full jitter: each is drawn from nothing to a limit, which doubles with each failure from 100 ms to 30 s. So clients that have lost the same
/// server do not come back together.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
    random: RandomState,
}

impl Backoff {
    /// The delay before the next attempt, after a failure.
    pub fn delay(&mut self) -> Duration {
        let limit = CAP.min(BASE.saturating_mul(1 << self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        let mut hasher = self.random.build_hasher();
        hasher.write_u32(self.failures);
        // The upper 32 bits as a fraction.
        limit.mul_f64((hasher.finish() >> 32) as f64 / f64::from(u32::MAX))
    }

    /// The server was reached: the next failure is the first one again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_spread_up_to_a_limit_that_doubles() {
        for failures in 0..40 {
            let limit = CAP.min(BASE * (1 << failures.min(16)));
            let drawn: Vec<Duration> =
                (0..200).map(|_| Backoff { failures, random: RandomState::new() }.delay()).collect();
            assert!(drawn.iter().all(|delay| *delay <= limit));
            // The mean of 200 draws is within a fifth of the middle, but for one in a million.
            let mean = drawn.iter().sum::<Duration>() / 200;
            assert!(mean > limit.mul_f64(0.38) && mean < limit.mul_f64(0.62), "{mean:?} of {limit:?}");
        }
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff::default();
        (0..20).for_each(|_| drop(backoff.delay()));
        backoff.reset();
        assert!(backoff.delay() <= BASE);
    }
}
