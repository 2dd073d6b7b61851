//! Counter-based random numbers: the n-th number of a stream depends on seed, stream and n alone, so that any part of the data can be
//! generated independently, with the same bits on any machine.

/// What a stream of random numbers is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Noise = 1,
    Spike,
    SpikeSign,
    Stuck,
    Nan,
    Null,
    Gap,
    Phase,
    Swap,
    Jitter,
    Odd,
    OddPart,
}

/// One stream per purpose and series.
pub(super) fn stream(purpose: Purpose, series: u64) -> u64 {
    series << 4 | purpose as u64
}

/// A family of streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random {
    seed: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed: mix(seed) }
    }

    /// The `n`-th number of `stream`: 64 uniformly distributed bits.
    pub(super) fn bits(self, stream: u64, n: u64) -> u64 {
        mix(self.seed ^ mix(stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ mix(n)))
    }

    /// Uniform in [0, 1).
    pub(super) fn uniform(self, stream: u64, n: u64) -> f64 {
        (self.bits(stream, n) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Approximately normal, mean 0, standard deviation 1: the scaled sum of four uniform numbers (Irwin and Hall). Additions and one
    /// multiplication of exact values, so the bits are the same everywhere.
    pub(super) fn normal(self, stream: u64, n: u64) -> f64 {
        let bits = self.bits(stream, n);
        let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xffff).sum();
        // Four uniform numbers of 0 … 65535 have the mean 131070 and a standard deviation of about 65536 / √3.
        (sum as f64 - 131_070.0) * (1.732_050_807_568_877_2 / 65_536.0)
    }

    /// Whether an event of this probability happens.
    pub(super) fn happens(self, probability: f64, stream: u64, n: u64) -> bool {
        probability > 0.0 && self.uniform(stream, n) < probability
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_fixed() {
        // SplitMix64's first number from state 0.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn the_numbers_are_even_and_normal() {
        let random = Random::new(7);
        let count = 100_000u32;
        let mean = |f: &dyn Fn(u64) -> f64| (0..u64::from(count)).map(f).sum::<f64>() / f64::from(count);
        assert!((mean(&|n| random.uniform(1, n)) - 0.5).abs() < 0.01);
        assert!(mean(&|n| random.normal(2, n)).abs() < 0.02);
        assert!((mean(&|n| random.normal(3, n).powi(2)) - 1.0).abs() < 0.03);
        assert!((mean(&|n| f64::from(u8::from(random.happens(0.1, 4, n)))) - 0.1).abs() < 0.01);
    }
}
