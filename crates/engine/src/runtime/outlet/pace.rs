//! When a sink's delivery is tried, and what becomes of one that fails.

use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::OnFailure;
use crate::pipeline::outage::OutageRules;
use crate::resilience::{Backoff, Breaker, BreakerOptions, Permit, RetryBudget};

/// The pauses of deliveries that only the machine itself delays, such as renaming files.
const OWN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The pace of one sink's deliveries.
pub(super) struct Pace {
    backoff: Backoff,
    budget: RetryBudget,
    breaker: Breaker,
    /// Between attempts at what the target refuses.
    repairs: Backoff,
    rules: PaceRules,
}

/// What becomes of a delivery that fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct PaceRules {
    /// Whether transient errors are retried.
    pub(super) retries: bool,
    /// After a permanent error.
    pub(super) refused: OnFailure,
    /// Whether the run ends if the target is down when there is no more input.
    pub(super) ends: bool,
}

/// What to do after a failed attempt.
pub(super) enum Verdict {
    /// Try again after so long.
    Again(Duration),
    /// Drop it.
    Drop,
    /// End the run.
    End,
}

impl Pace {
    /// Of a sink that delivers by epochs.
    pub(super) fn of_target(outage: &OutageRules, rules: PaceRules) -> Self {
        let BreakerOptions { open, longest, .. } = outage.breaker;
        Self {
            backoff: Backoff::new(outage.base, outage.cap),
            budget: RetryBudget::new(outage.budget, 10.0),
            breaker: Breaker::new(outage.breaker.clone()),
            repairs: Backoff::without_jitter(open, longest.max(open)),
            rules,
        }
    }

    /// Of files that appear: there is nobody to spare.
    pub(super) fn of_files(retries: bool) -> Self {
        let (base, cap) = OWN;
        Self {
            backoff: Backoff::without_jitter(base, cap),
            budget: RetryBudget::default(),
            breaker: Breaker::new(BreakerOptions { calls: u32::MAX, ..BreakerOptions::default() }),
            repairs: Backoff::default(),
            rules: PaceRules { retries, refused: OnFailure::Stop, ends: false },
        }
    }

    pub(super) fn rules(&self) -> PaceRules {
        self.rules
    }

    /// Whether the target is known to be down.
    pub(super) fn is_down(&self) -> bool {
        !self.breaker.is_closed()
    }

    /// The permission for one attempt, or the time until it is worth asking again.
    pub(super) fn permit(&mut self) -> Result<Permit, Duration> {
        let now = Instant::now();
        if !self.backoff.is_first() && self.breaker.is_closed() {
            self.budget.take(now)?;
        }
        self.breaker.ask(now)
    }

    /// An attempt has succeeded.
    pub(super) fn succeeded(&mut self, permit: Permit) {
        permit.answered(&Ok(()), Instant::now());
        self.budget.succeeded();
        self.backoff.reset();
        self.repairs.reset();
    }

    /// An attempt has failed.
    pub(super) fn failed(&mut self, permit: Permit, error: Error) -> (Verdict, Error) {
        if error.kind() == ErrorKind::Internal {
            // It may have panicked, and is not called again.
            drop(permit);
            return (Verdict::End, error);
        }
        let result = Err::<(), _>(error);
        permit.answered(&result, Instant::now());
        let Err(error) = result else {
            return (Verdict::Drop, Error::internal("an attempt failed and succeeded"));
        };
        let verdict = match (error.is_transient(), self.rules) {
            (true, PaceRules { retries: true, .. }) => {
                let delay = self.backoff.delay(error.retry_after());
                // While the breaker is open, it says when to try again.
                Verdict::Again(if self.is_down() { error.retry_after().unwrap_or_default() } else { delay })
            }
            (true, _) | (false, PaceRules { refused: OnFailure::Stop, .. }) => Verdict::End,
            (false, PaceRules { refused: OnFailure::Drop, .. }) => Verdict::Drop,
            (false, PaceRules { refused: OnFailure::Wait, .. }) => Verdict::Again(self.repairs.delay(None)),
        };
        (verdict, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::outage::Outage;

    fn pace() -> Pace {
        let rules = PaceRules { retries: true, refused: OnFailure::Stop, ends: false };
        Pace::of_target(&Outage::default().rules().expect("the defaults"), rules)
    }

    /// Fails with `error` until the breaker is open: the number of attempts, and the pauses after them.
    fn until_it_is_down(pace: &mut Pace, error: impl Fn() -> Error) -> Vec<Duration> {
        let mut pauses = Vec::new();
        while !pace.is_down() && pauses.len() < 100 {
            let permit = pace.permit().expect("a budget for the first hundred");
            match pace.failed(permit, error()).0 {
                Verdict::Again(pause) => pauses.push(pause),
                Verdict::Drop | Verdict::End => panic!("it is tried again"),
            }
        }
        pauses
    }

    #[test]
    fn by_default_a_target_that_refuses_at_once_is_down_after_five_attempts_and_two_seconds() {
        let mut pace = pace();
        let pauses = until_it_is_down(&mut pace, || Error::unavailable("refused").transient());
        assert_eq!(pauses.len(), 5);
        // 100 ms, 200, 400, 800 at most: well within the ten seconds in which they are counted.
        assert!(pauses[..4].iter().sum::<Duration>() <= Duration::from_millis(1500), "{pauses:?}");
        assert!(pace.permit().is_err_and(|wait| wait > Duration::from_secs(4)), "the next one is a probe");
    }

    #[test]
    fn a_server_that_asks_for_an_endless_wait_gets_an_hour() {
        let mut pace = pace();
        let endless = || Error::unavailable("busy").transient().with_retry_after(Duration::MAX);
        let pauses = until_it_is_down(&mut pace, endless);
        assert_eq!(pauses.len(), 5);
        for pause in pauses {
            assert!((3600..=3602).contains(&pause.as_secs()), "{pause:?}");
            let _it_can_be_added = Instant::now() + pause;
        }
    }
}
