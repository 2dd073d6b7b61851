//! What a test of random input is told by variables, the seed first of all.

use rand::RngExt;

/// The number in a variable, if it is set.
#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
pub(crate) fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// The seed in `TIDEMILL_SEED`, or another one each time; printed, so that a failure can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = variable("TIDEMILL_SEED").unwrap_or_else(|| rand::rng().random());
    println!("TIDEMILL_SEED={seed}");
    seed
}
