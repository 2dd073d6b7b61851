//! What keeps a failure of somebody else from becoming one of everybody: pauses between attempts ([`Backoff`]), a limit of how many attempts are retries
//! ([`RetryBudget`]), and a [`Breaker`] that stops calling a target that is down.
//!
//! These are state machines without threads and clocks: the caller passes the time. The engine uses them for every sink that delivers by epochs; authors
//! of components use them where they call somebody themselves, such as to connect again.

mod backoff;
mod breaker;
#[cfg(test)]
mod breaker_tests;
mod budget;
#[cfg(test)]
mod simulation_tests;

use std::time::{Duration, Instant};

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerOptions, Permit};
pub use budget::RetryBudget;

/// Interval between checks whether to go on waiting.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for `delay`; `false` as soon as `may_continue` returns false.
pub(crate) fn pause(delay: Duration, may_continue: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while may_continue() {
        let left = delay.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK));
    }
    false
}
