//! The wall clock, in one place. Results depend on the input alone: the clock only decides which live records are rejected as too far ahead
//! ([`max_ahead`](crate::pipeline::InputOptions::max_ahead)), and dates reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Timestamp;

/// A clock: the machine's, or one that a test or a replay sets.
#[derive(Clone, Debug, Default)]
pub struct Clock(Reading);

/// What a clock shows, in nanoseconds.
#[derive(Clone, Debug, Default)]
enum Reading {
    #[default]
    Machine,
    Simulated(Arc<AtomicI64>),
    /// The machine's, and so much more.
    Shifted(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that shows `time` until it is [set](Clock::set).
    pub fn simulated(time: Timestamp) -> Self {
        Self(Reading::Simulated(Arc::new(AtomicI64::new(time.as_nanos()))))
    }

    /// The machine's clock if it were ahead by so many nanoseconds, which may change.
    pub fn shifted(nanos: Arc<AtomicI64>) -> Self {
        Self(Reading::Shifted(nanos))
    }

    /// The current time.
    pub fn read(&self) -> Timestamp {
        match &self.0 {
            Reading::Machine => machine(),
            Reading::Simulated(nanos) => Timestamp::from_nanos(nanos.load(Ordering::Relaxed)),
            Reading::Shifted(nanos) => machine().saturating_add(nanos.load(Ordering::Relaxed)),
        }
    }

    /// Sets a simulated clock; others cannot be set.
    pub fn set(&self, time: Timestamp) {
        if let Reading::Simulated(nanos) = &self.0 {
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
        let shift = Arc::new(AtomicI64::new(0));
        let shifted = Clock::shifted(Arc::clone(&shift));
        let before = shifted.read();
        shift.store(3_600_000_000_000, Ordering::Relaxed);
        assert!(shifted.read() >= before.saturating_add(3_600_000_000_000));
    }
}
