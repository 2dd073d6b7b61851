//! How long is waited between two tries of what may succeed later.

use std::time::{Duration, Instant};

/// Before the second try.
const FIRST: Duration = Duration::from_millis(100);

/// Between two tries at most.
const LONGEST: Duration = Duration::from_secs(5);

/// How often it is looked whether waiting is still of use.
const LOOK: Duration = Duration::from_millis(50);

/// The waits between the tries of one thing: each is twice as long as the one before.
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
    /// Whether nothing has been waited for yet.
    pub(crate) fn is_first(&self) -> bool {
        self.next == FIRST
    }

    /// Waits until the next try is due; `false` as soon as nobody `goes_on`.
    pub(crate) fn wait(&mut self, goes_on: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        while goes_on() {
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
