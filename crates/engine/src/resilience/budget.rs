//! How many attempts may be retries.

use std::time::{Duration, Instant};

/// What is not used within this time is lost.
const KEPT: f64 = 10.0;

/// A limit of retries: a share of the calls that succeed, and so many a second in any case. So a target that is overloaded is not given more calls by those
/// that it has failed. By default a tenth, and 10 a second.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    share: f64,
    per_second: f64,
    /// The retries that are allowed now.
    left: f64,
    /// When the last second was paid in.
    paid: Option<Instant>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(0.1, 10.0)
    }
}

impl RetryBudget {
    /// A budget of `share` of the successes and `per_second` retries a second. It begins with those of ten seconds.
    pub fn new(share: f64, per_second: f64) -> Self {
        let (share, per_second) = (share.max(0.0), per_second.max(0.1));
        Self { share, per_second, left: per_second * KEPT, paid: None }
    }

    /// A call has succeeded.
    pub fn succeeded(&mut self) {
        self.pay(self.share);
    }

    /// Takes one retry.
    ///
    /// # Errors
    /// The time after which there is one again, if nothing succeeds until then.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let since = self.paid.map_or(Duration::ZERO, |paid| now.saturating_duration_since(paid));
        self.paid = Some(self.paid.map_or(now, |paid| paid.max(now)));
        self.pay(since.as_secs_f64() * self.per_second);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        // Rounded up, so that it is there then.
        Err(Duration::from_secs_f64((1.0 - self.left) / self.per_second) + Duration::from_micros(1))
    }

    fn pay(&mut self, retries: f64) {
        let most = (self.per_second * KEPT).max(1.0);
        self.left = (self.left + retries).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all that there is.
    fn taken(budget: &mut RetryBudget, now: Instant) -> usize {
        std::iter::from_fn(|| budget.take(now).ok()).count()
    }

    #[test]
    fn retries_are_a_share_of_the_successes_and_some_a_second() {
        let (mut budget, start) = (RetryBudget::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(taken(&mut budget, at(0)), 100, "those of ten seconds");
        assert_eq!(taken(&mut budget, at(1000)), 10, "10 a second");
        (0..50).for_each(|_| budget.succeeded());
        assert!((4..=5).contains(&taken(&mut budget, at(1000))), "a tenth of the successes");
        let wait = budget.take(at(1000)).expect_err("none is left");
        assert!(budget.clone().take(at(1000) + wait).is_ok());
        (0..100_000).for_each(|_| budget.succeeded());
        assert_eq!(taken(&mut budget, at(1000)), 100, "it saves up no more");
        assert_eq!(taken(&mut budget, at(0)), 0, "a clock that goes back pays nothing");
        assert_eq!(taken(&mut budget, at(1_000_000)), 100);
    }
}
