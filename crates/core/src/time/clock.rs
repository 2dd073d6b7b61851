//! The wall clock, in one place. Results depend on the input alone: the clock only decides which live records are rejected as too far ahead
//! ([`max_ahead`](crate::pipeline::InputOptions::max_ahead)), and dates reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Timestamp;

/// A clock: the machine's, or one that a test or a replay sets.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// A clock that shows `time` until it is [set](Clock::set).
    pub fn simulated(time: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(time.as_nanos()))))
    }

    /// The current time.
    pub fn read(&self) -> Timestamp {
        match &self.0 {
            Some(nanos) => Timestamp::from_nanos(nanos.load(Ordering::Relaxed)),
            None => machine(),
        }
    }

    /// Sets a simulated clock; the machine's cannot be set.
    pub fn set(&self, time: Timestamp) {
        if let Some(nanos) = &self.0 {
            nanos.store(time.as_nanos(), Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the clock on the wall is read")]
fn machine() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::from_nanos(since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_shows_what_it_was_set_to() {
        let clock = Clock::simulated(Timestamp::from_nanos(5));
        let same = clock.clone();
        same.set(Timestamp::from_nanos(9));
        assert_eq!(clock.read().as_nanos(), 9);
        let machine = Clock::default();
        machine.set(Timestamp::from_nanos(0));
        assert!(machine.read() > Timestamp::from_nanos(0));
    }
}
