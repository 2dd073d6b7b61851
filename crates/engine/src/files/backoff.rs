//! Exponential back-off between attempts.

use std::time::{Duration, Instant};

/// Pause before the second attempt.
const FIRST: Duration = Duration::from_millis(100);

/// Maximum pause.
const LONGEST: Duration = Duration::from_secs(5);

/// Interval between checks whether to go on waiting.
const LOOK: Duration = Duration::from_millis(50);

/// The pauses between attempts; each is twice as long as the one before.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Whether there was no pause yet.
    pub(crate) fn is_first(&self) -> bool {
        self.next == FIRST
    }

    /// Waits until the next attempt is due; `false` as soon as `may_continue` returns false.
    pub(crate) fn wait(&mut self, may_continue: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        while may_continue() {
            let left = self.next.saturating_sub(begun.elapsed());
            if left.is_zero() {
                self.next = (2 * self.next).min(LONGEST);
                return true;
            }
            std::thread::sleep(left.min(LOOK));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_when_nobody_goes_on() {
        let mut backoff = Backoff::default();
        assert!(!backoff.wait(|| false) && backoff.is_first());
        assert!(backoff.wait(|| true));
        assert_eq!((backoff.next, backoff.is_first()), (2 * FIRST, false));
        let mut long = Backoff { next: LONGEST / 2 };
        long.next = (2 * long.next).min(LONGEST);
        assert_eq!(long.next, LONGEST);
    }
}
