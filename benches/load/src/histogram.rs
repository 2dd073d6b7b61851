//! How long things took, to the microsecond.

use std::time::Duration;

/// Longer than this is counted as this.
const LONGEST: usize = 2_000_000;

/// A count for every microsecond.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; LONGEST + 1], total: 0, longest: Duration::ZERO }
    }

    /// Adds `count` things that took `duration` each; a begun microsecond counts as one.
    pub(crate) fn add(&mut self, duration: Duration, count: u64) {
        let micros = usize::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(LONGEST).min(LONGEST);
        self.counts[micros] += count;
        self.total += count;
        self.longest = self.longest.max(duration);
    }

    /// How many were added.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How many took longer than `duration`.
    pub(crate) fn beyond(&self, duration: Duration) -> u64 {
        let micros = usize::try_from(duration.as_micros()).unwrap_or(LONGEST).min(LONGEST);
        self.counts[micros + 1..].iter().sum()
    }

    /// In milliseconds: the quantiles that everybody asks for, and the longest.
    pub(crate) fn json(&self) -> String {
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];
        let quantiles: Vec<_> = quantiles
            .iter()
            .map(|&(name, share)| format!("\"{name}\": {:.3}", self.quantile(share) as f64 / 1e3))
            .collect();
        format!("{{{}, \"max\": {:.3}}}", quantiles.join(", "), self.longest.as_secs_f64() * 1e3)
    }

    /// In microseconds: the least that this share of all did not exceed.
    fn quantile(&self, share: f64) -> usize {
        let wanted = (share * self.total as f64).ceil() as u64;
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= wanted
        };
        self.counts.iter().position(reached).unwrap_or(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_what_so_many_did_not_exceed() {
        let mut histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.add(Duration::from_micros(micros), 1);
        }
        let expected =
            r#"{"p50": 0.500, "p90": 0.900, "p99": 0.990, "p99.9": 0.999, "p99.99": 1.000, "max": 1.000}"#;
        assert_eq!(histogram.json(), expected);
        assert_eq!((histogram.total(), histogram.beyond(Duration::from_micros(990))), (1000, 10));
    }

    #[test]
    fn what_is_too_long_is_not_lost() {
        let mut histogram = Histogram::new();
        histogram.add(Duration::from_secs(9), 3);
        assert_eq!((histogram.total(), histogram.beyond(Duration::from_secs(1))), (3, 3));
        assert!(histogram.json().ends_with("\"max\": 9000.000}"));
    }
}
