//! How many mails may still be sent.

use std::collections::VecDeque;
use std::time::Duration;

/// At most so many mails in any stretch of so much time.
#[derive(Debug)]
pub(crate) struct Budget {
    most: usize,
    per: Duration,
    /// When the last mails were sent, the oldest first.
    sent: VecDeque<Duration>,
}

impl Budget {
    /// `most` mails in the time `per`.
    pub(crate) fn new(most: usize, per: Duration) -> Self {
        Self { most, per, sent: VecDeque::new() }
    }

    /// How many mails may be sent at `now`.
    pub(crate) fn room(&mut self, now: Duration) -> usize {
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

    proptest! {
        #[test]
        fn no_stretch_of_time_has_more_mails(steps in proptest::collection::vec(0..40_u64, 1..200), most in 1..6_usize) {
            let per = Duration::from_secs(60);
            let (mut budget, mut now, mut all) = (Budget::new(most, per), Duration::ZERO, Vec::new());
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
