//! Counters: the ledger of a stage and of a run. No globals.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What happened to the records of a stage or run. `is_balanced` holds after every run (asserted in release builds too): in + made = out +
/// folded + filtered + rejected + late + dropped + held. All fields count records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Records received.
    pub input: u64,
    /// Records emitted.
    pub output: u64,
    /// New records, such as aggregates.
    pub made: u64,
    /// Records that were aggregated into others.
    pub folded: u64,
    /// Records removed by a stage, as configured.
    pub filtered: u64,
    /// Records rejected as malformed.
    pub rejected: u64,
    /// Records rejected as late.
    pub late: u64,
    /// Records discarded because a queue was full (only with `when_full = "drop"`).
    pub dropped: u64,
    /// Records still buffered, such as those to be reordered. 0 at the end of a bounded run.
    pub held: u64,
}

impl Ledger {
    /// Whether every record is accounted for.
    pub fn is_balanced(&self) -> bool {
        let gone = self.folded + self.filtered + self.rejected + self.late + self.dropped;
        self.input + self.made == self.output + gone + self.held
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.output += other.output;
        self.made += other.made;
        self.folded += other.folded;
        self.filtered += other.filtered;
        self.rejected += other.rejected;
        self.late += other.late;
        self.dropped += other.dropped;
        self.held += other.held;
    }
}

/// A histogram of latencies, with a relative error of at most 1/32.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// By bucket: 32 buckets per power of two of nanoseconds. Empty until something is counted.
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

/// Percentiles of the latencies of one stage or sink, for reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// The component: `stage 0 (threshold)`.
    pub part: String,
    /// The number of records measured.
    pub records: u64,
    /// 50th percentile.
    #[serde(serialize_with = "seconds", rename = "p50_seconds")]
    pub p50: Duration,
    /// 99th percentile.
    #[serde(serialize_with = "seconds", rename = "p99_seconds")]
    pub p99: Duration,
    /// 99.9th percentile.
    #[serde(serialize_with = "seconds", rename = "p999_seconds")]
    pub p999: Duration,
    /// The longest latency.
    #[serde(serialize_with = "seconds", rename = "longest_seconds")]
    pub longest: Duration,
    /// The non-empty buckets: the upper bound of each in nanoseconds, and its number of records. A bucket is a 32nd of a power of two wide.
    pub histogram: Vec<(u64, u64)>,
}

/// Buckets per power of two, in bits.
const FINE: u32 = 5;

impl Latencies {
    /// Counts `records` with the latency `time`.
    pub fn add(&mut self, time: Duration, records: u64) {
        if self.counts.is_empty() {
            self.counts.resize(bucket(u64::MAX) + 1, 0);
        }
        self.counts[bucket(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))] += records;
        self.total += records;
        self.longest = self.longest.max(time);
    }

    /// The quantile `share` (0 to 1) of the latencies, with a relative error of at most 1/32. 0 if nothing was counted.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.total as f64).ceil() as u64;
        let mut seen = 0;
        let at = self.counts.iter().position(|&count| {
            seen += count;
            seen >= rank.max(1)
        });
        at.map_or(Duration::ZERO, |at| Duration::from_nanos(upper(at)).min(self.longest))
    }

    /// The report for the component `part`.
    pub fn told(&self, part: impl Into<String>) -> Latency {
        Latency {
            part: part.into(),
            records: self.total,
            p50: self.quantile(0.5),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            longest: self.longest,
            histogram: self.histogram(),
        }
    }

    fn histogram(&self) -> Vec<(u64, u64)> {
        let buckets = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        buckets.map(|(at, &count)| (upper(at), count)).collect()
    }
}

/// The bucket of a number of nanoseconds.
fn bucket(nanos: u64) -> usize {
    let octave = nanos.max(1).ilog2();
    match octave.checked_sub(FINE) {
        None => nanos as usize,
        Some(shift) => (((shift + 1) as usize) << FINE) + ((nanos >> shift) as usize & ((1 << FINE) - 1)),
    }
}

/// The largest number of nanoseconds of a bucket.
fn upper(bucket: usize) -> u64 {
    match (bucket >> FINE).checked_sub(1) {
        None => bucket as u64,
        Some(shift) => {
            let first = (1u64 << FINE) + (bucket & ((1 << FINE) - 1)) as u64;
            (first << shift) + ((1 << shift) - 1)
        }
    }
}

/// One line of the summary: the ledger of a source, stage or sink, and the time spent in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// The component's name, as in the pipeline file.
    pub name: String,
    /// Counts of its records.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// Time spent in it, summed over all threads.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub time: Duration,
    /// Time that threads spent waiting for their turn, in addition.
    #[serde(serialize_with = "seconds", rename = "waiting_seconds")]
    pub waiting: Duration,
}

impl Entry {
    /// An empty entry for the component `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds the entry of another thread for the same component.
    pub fn add(&mut self, other: &Self) {
        self.ledger += other.ledger;
        self.time += other.time;
        self.waiting += other.waiting;
    }
}

/// Serialises a duration as decimal seconds.
pub fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_in_a_bucket_whose_bounds_are_a_thirty_second_apart() {
        for nanos in (0..5000).chain((0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let top = upper(bucket(nanos));
            assert!(nanos <= top && top - nanos <= nanos / 32, "{nanos}: {top}");
        }
        for nanos in 1..5000 {
            assert!(bucket(nanos) >= bucket(nanos - 1), "{nanos}");
            assert!(upper(bucket(nanos) - 1) < nanos, "{nanos}");
        }
        assert_eq!(upper(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn quantiles_are_those_of_the_counts() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), Duration::ZERO);
        (1..=1000).for_each(|micros| latencies.add(Duration::from_micros(micros), 1));
        let within = |share: f64, micros: u64| {
            let (got, due) = (latencies.quantile(share).as_nanos() as f64, micros as f64 * 1e3);
            assert!(due <= got && got <= due * (1.0 + 1.0 / 32.0), "{share}: {got}");
        };
        within(0.5, 500);
        within(0.99, 990);
        within(0.999, 999);
        assert_eq!(latencies.quantile(1.0), Duration::from_millis(1));
    }

    #[test]
    fn a_ledger_balances_only_when_nothing_is_lost() {
        let mut ledger =
            Ledger { input: 10, output: 4, filtered: 3, rejected: 1, late: 1, held: 1, ..Ledger::default() };
        assert!(ledger.is_balanced());
        ledger.output += 1;
        assert!(!ledger.is_balanced());
        ledger.made += 1;
        assert!(ledger.is_balanced());
        ledger = Ledger { input: 3, folded: 3, made: 1, output: 1, ..Ledger::default() };
        assert!(ledger.is_balanced());
    }
}
