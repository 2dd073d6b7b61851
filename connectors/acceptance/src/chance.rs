//! Random moments that can be repeated.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often things are killed; the tests say how often if it is not given |
//! | `TIDEMILL_OUTAGE` | for how many seconds a server is down; the tests say how long if it is not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier run; what happens at such a moment depends on the machine too |

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use crate::environment;

/// How often things are killed: as the environment says, else `otherwise`.
///
/// # Panics
/// If the environment says it with something that is not a number.
#[must_use]
pub fn kills(otherwise: u64) -> u64 {
    environment::number("TIDEMILL_KILLS").unwrap_or(otherwise)
}

/// For how long a server is down: as the environment says, else `otherwise`.
///
/// # Panics
/// If the environment says it with something that is not a number.
#[must_use]
pub fn outage(otherwise: Duration) -> Duration {
    environment::number("TIDEMILL_OUTAGE").map_or(otherwise, Duration::from_secs)
}

/// Numbers that look random, from a seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From the seed of the environment, else a new one; printed with the `name` of the test.
    ///
    /// # Panics
    /// If the environment has something that is not a number.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let seed = environment::number("TIDEMILL_SEED");
        // Short enough to be typed.
        let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish() % 1_000_000);
        println!("{name}: TIDEMILL_SEED={seed}");
        Self(seed)
    }

    /// Another one, independent of this one from now on.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// If that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number of milliseconds from `least` to just below `most`.
    ///
    /// # Panics
    /// If there is none.
    pub fn pause(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
