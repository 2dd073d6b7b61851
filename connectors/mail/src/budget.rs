//! How many mails may still be sent.

use std::collections::VecDeque;
use std::time::Duration;

/// At most so many mails in any stretch of so much time.
#[derive(Debug)]
pub(crate) struct Budget {
    most: usize,
    per: Duration,
    /// When the last mails were sent, since 1970; the oldest first.
    sent: VecDeque<Duration>,
}

impl Budget {
    /// `most` mails in the time `per`, of which some were sent at these times since 1970, in milliseconds.
    pub(crate) fn new(most: usize, per: Duration, sent: &[u64]) -> Self {
        Self { most, per, sent: sent.iter().map(|&sent| Duration::from_millis(sent)).collect() }
    }

    /// When mails were sent that still count.
    pub(crate) fn sent(&self) -> Vec<u64> {
        self.sent.iter().map(|sent| u64::try_from(sent.as_millis()).unwrap_or(u64::MAX)).collect()
    }

    /// How many mails may be sent at `now`.
    pub(crate) fn room(&mut self, now: Duration) -> usize {
        // A clock that was set back must not hold mails up for longer.
        self.sent.iter_mut().for_each(|sent| *sent = now.min(*sent));
        while self.sent.front().is_some_and(|&sent| sent + self.per <= now) {
            self.sent.pop_front();
        }
        self.most.saturating_sub(self.sent.len())
    }

    /// A mail is sent at `now`.
    pub(crate) fn spend(&mut self, now: Duration) {
        self.sent.push_back(now);
    }

    /// When there is room for a mail again, if there is none at `now`.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Duration> {
        (self.room(now) == 0).then(|| self.sent.front().map(|&sent| sent + self.per)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_sent_before_a_restart_counts_and_a_clock_that_is_set_back_does_not_matter() {
        let (per, at) = (Duration::from_mins(1), Duration::from_secs);
        let mut budget = Budget::new(2, per, &[]);
        budget.spend(at(100));
        budget.spend(at(130));
        let mut budget = Budget::new(2, per, &budget.sent());
        assert_eq!((budget.room(at(140)), budget.next(at(140))), (0, Some(at(160))));
        assert_eq!(budget.room(at(161)), 1);
        assert_eq!((budget.room(at(20)), budget.room(at(79)), budget.room(at(80))), (1, 1, 2));
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_has_more_mails(steps in proptest::collection::vec(0..40_u64, 1..200), most in 1..6_usize) {
            let per = Duration::from_secs(60);
            let (mut budget, mut now, mut all) = (Budget::new(most, per, &[]), Duration::ZERO, Vec::new());
            for step in steps {
                now += Duration::from_secs(step);
                match budget.room(now) {
                    0 => {
                        let next = budget.next(now).expect("a time");
                        prop_assert!(next > now && next <= now + per);
                        now = next;
                        prop_assert!(budget.room(now) > 0, "there is room when it was said");
                    }
                    _ => prop_assert_eq!(budget.next(now), None),
                }
                budget.spend(now);
                all.push(now);
                let in_stretch = all.iter().filter(|&&sent| sent + per > now).count();
                prop_assert!(in_stretch <= most);
            }
        }
    }
}
