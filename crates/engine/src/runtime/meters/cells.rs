//! What the threads of a run store for others to read. One thread at a time stores in each; a reader may find counts of different moments, each of which was right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::meter::SourceMeter;
use crate::metrics::Ledger;
use crate::runtime::tally::Tally;
use crate::source::Progress;
use crate::time::{Clock, Timestamp};

/// The number of counts in a ledger.
const COUNTS: usize = 9;

/// Upper bounds of the buckets for latencies, in seconds; beyond the last is one more bucket.
pub(super) const BUCKETS: [f64; 12] =
    [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

/// Of which nothing is known.
const UNKNOWN: u64 = u64::MAX;

/// Before all times.
const NEVER: i64 = i64::MIN;

/// A ledger.
#[derive(Debug, Default)]
pub(crate) struct LedgerCells([AtomicU64; COUNTS]);

impl LedgerCells {
    pub(crate) fn store(&self, ledger: &Ledger) {
        let Ledger { input, output, made, folded, filtered, rejected, late, dropped, held } = *ledger;
        let counts = [input, output, made, folded, filtered, rejected, late, dropped, held];
        self.0.iter().zip(counts).for_each(|(cell, count)| cell.store(count, Ordering::Relaxed));
    }

    pub(super) fn load(&self) -> Ledger {
        let [input, output, made, folded, filtered, rejected, late, dropped, held] =
            std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed));
        Ledger { input, output, made, folded, filtered, rejected, late, dropped, held }
    }
}

/// A moment; none at first.
#[derive(Debug)]
pub(crate) struct Moment(AtomicI64);

impl Default for Moment {
    fn default() -> Self {
        Self(AtomicI64::new(NEVER))
    }
}

impl Moment {
    /// It is now.
    fn now(&self) {
        self.at(Clock::default().read());
    }

    fn at(&self, time: Timestamp) {
        self.0.store(time.as_nanos(), Ordering::Relaxed);
    }

    /// It is this one, unless it is a later one already.
    fn not_before(&self, time: Timestamp) {
        self.0.fetch_max(time.as_nanos(), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(NEVER, Ordering::Relaxed);
    }

    /// In nanoseconds since 1970.
    pub(super) fn nanos(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&nanos| nanos != NEVER)
    }

    /// How long ago it was.
    pub(super) fn age(&self) -> Option<Duration> {
        let elapsed = Clock::default().read().as_nanos().saturating_sub(self.nanos()?);
        Some(Duration::from_nanos(u64::try_from(elapsed).unwrap_or(0)))
    }
}

/// The workers, and the records up to the sinks.
#[derive(Debug)]
pub(crate) struct CrewMeters {
    pub(super) sources: Vec<SourceMeters>,
    pub(super) stages: Vec<LedgerCells>,
    pub(super) sensors: AtomicU64,
    /// The number of workers that have something to do.
    busy: AtomicU64,
    /// When a worker has last finished something, in milliseconds since the beginning.
    moved: AtomicU64,
    begun: Instant,
    /// The progress of all sources.
    pub(super) done: AtomicU64,
    pub(super) total: AtomicU64,
}

/// One source.
#[derive(Debug, Default)]
pub(crate) struct SourceMeters {
    pub(super) ledger: LedgerCells,
    /// What it reports itself.
    pub(super) own: SourceMeter,
    /// Bytes in flight.
    pub(super) queued: Arc<AtomicU64>,
    /// The newest time of a record.
    pub(super) newest: Moment,
    /// What waits at its origin, and one more; 0 if that is not known.
    pub(super) waiting: AtomicU64,
}

/// A worker has something to do as long as this exists.
pub(crate) struct Busy<'a>(&'a CrewMeters);

impl CrewMeters {
    /// For these sources, and so many stages.
    pub(crate) fn new(sources: impl IntoIterator<Item = SourceMeter>, stages: usize) -> Self {
        let source = |own| SourceMeters { own, ..SourceMeters::default() };
        Self {
            sources: sources.into_iter().map(source).collect(),
            stages: (0..stages).map(|_| LedgerCells::default()).collect(),
            sensors: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            begun: Instant::now(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
        }
    }

    /// A worker has something to do.
    pub(crate) fn works(&self) -> Busy<'_> {
        // One that had nothing to do begins to count now.
        if self.busy.fetch_add(1, Ordering::Relaxed) == 0 {
            self.moves();
        }
        Busy(self)
    }

    /// The counts behind a piece of the input.
    pub(crate) fn count(&self, tally: &Tally, sensors: usize, progress: Progress) {
        self.sources.iter().zip(&tally.sources).for_each(|(own, entry)| own.ledger.store(&entry.ledger));
        self.stages.iter().zip(&tally.stages).for_each(|(own, entry)| own.store(&entry.ledger));
        self.sensors.store(sensors as u64, Ordering::Relaxed);
        self.done.store(progress.done, Ordering::Relaxed);
        self.total.store(progress.total.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// A source has given `batch`.
    pub(crate) fn read(&self, source: usize, batch: &Batch) {
        let newest = batch.times().and_then(|times| times.iter().max());
        if let (Some(source), Some(newest)) = (self.sources.get(source), newest) {
            source.newest.not_before(*newest);
        }
    }

    /// So much waits at the origin of a source.
    pub(crate) fn waits(&self, source: usize, waiting: Option<u64>) {
        let Some(source) = self.sources.get(source) else { return };
        source.waiting.store(waiting.map_or(0, |waiting| waiting.saturating_add(1)), Ordering::Relaxed);
    }

    /// Where the bytes in flight from a source are counted.
    pub(crate) fn queued(&self, source: usize) -> Arc<AtomicU64> {
        self.sources.get(source).map_or_else(Arc::default, |source| Arc::clone(&source.queued))
    }

    /// How long workers have had something to do and have finished nothing.
    pub(super) fn stuck(&self) -> Duration {
        if self.busy.load(Ordering::Relaxed) == 0 {
            return Duration::ZERO;
        }
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(moved)
    }

    fn moves(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(millis, Ordering::Relaxed);
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.moves();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One sink and its delivery.
#[derive(Debug, Default)]
pub(crate) struct SinkMeters {
    pub(super) ledger: LedgerCells,
    /// Bytes in its queue.
    pub(super) queued: Arc<AtomicU64>,
    /// Since when the run has waited for it, and it has accepted nothing.
    pub(super) stands: Moment,
    /// Whether it delivers by epochs, or after checkpoints.
    pub(super) delivers: AtomicBool,
    /// What is not delivered yet.
    pub(super) epochs: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) attempts: AtomicU64,
    pub(super) failures: AtomicU64,
    /// Since when its delivery has failed.
    pub(super) fails: Moment,
    /// Whether its circuit breaker lets only probes through.
    pub(super) breaker: AtomicBool,
    /// By bucket.
    pub(super) latencies: [AtomicU64; BUCKETS.len() + 1],
    /// Their sum in microseconds.
    pub(super) latency: AtomicU64,
}

impl SinkMeters {
    /// Its counts so far.
    pub(crate) fn count(&self, ledger: &Ledger) {
        self.ledger.store(ledger);
    }

    /// Where the bytes in its queue are counted.
    pub(crate) fn queued(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.queued)
    }

    /// It has passed `records` on, `time` after their arrival.
    pub(crate) fn took(&self, time: Duration, records: u64) {
        let seconds = time.as_secs_f64();
        let bucket = BUCKETS.iter().position(|&most| seconds <= most).unwrap_or(BUCKETS.len());
        self.latencies[bucket].fetch_add(records, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).saturating_mul(records);
        self.latency.fetch_add(micros, Ordering::Relaxed);
    }

    /// The run waits for it from now on.
    pub(crate) fn stands_still(&self) {
        self.stands.now();
    }

    /// It accepts something again.
    pub(crate) fn resumes(&self) {
        self.stands.clear();
    }

    /// So much is not delivered yet.
    pub(crate) fn piles_up(&self, epochs: usize, bytes: u64) {
        self.delivers.store(true, Ordering::Relaxed);
        self.epochs.store(epochs as u64, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// A delivery was tried, after which the circuit breaker lets only probes through or not; returns whether it did so before.
    pub(crate) fn tried(&self, has_failed: bool, is_open: bool) -> bool {
        self.delivers.store(true, Ordering::Relaxed);
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match has_failed {
            true => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if self.fails.nanos().is_none() {
                    self.fails.now();
                }
            }
            false => self.fails.clear(),
        }
        self.breaker.swap(is_open, Ordering::Relaxed)
    }
}

/// The checkpoints of a run.
#[derive(Debug, Default)]
pub(crate) struct CheckpointMeters {
    pub(super) made: AtomicU64,
    /// When the last one became durable.
    pub(super) last: Moment,
    /// How long that took, in microseconds.
    pub(super) micros: AtomicU64,
    pub(super) bytes: AtomicU64,
    /// Those that were due while another was on its way.
    deferred: AtomicU64,
    /// Whether the one that is due now is counted.
    is_deferred: AtomicBool,
}

impl CheckpointMeters {
    /// One is durable: after so long, with so many bytes.
    pub(crate) fn made(&self, time: Duration, bytes: u64) {
        self.last.now();
        self.micros.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.made.fetch_add(1, Ordering::Relaxed);
        self.is_deferred.store(false, Ordering::Relaxed);
    }

    /// How long the last one took until it was durable.
    pub(crate) fn took(&self) -> Option<Duration> {
        (self.made.load(Ordering::Relaxed) > 0)
            .then(|| Duration::from_micros(self.micros.load(Ordering::Relaxed)))
    }

    /// One is due, and has to wait for the one before it.
    pub(crate) fn defers(&self) {
        if !self.is_deferred.swap(true, Ordering::Relaxed) {
            self.deferred.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were due while another was on its way.
    pub(crate) fn deferred(&self) -> u64 {
        self.deferred.load(Ordering::Relaxed)
    }
}

/// `None` for what is not known.
pub(super) fn known(cell: &AtomicU64) -> Option<u64> {
    Some(cell.load(Ordering::Relaxed)).filter(|&value| value != UNKNOWN)
}
