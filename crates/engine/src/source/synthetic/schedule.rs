//! When which sensor reads: a pure function of the options.

use super::Synthetic;
use super::random::{Purpose, Random, stream};
use crate::error::{Error, Result};
use crate::time::{TimeFormat, TimeParser, Timestamp, parse_duration};

/// Own times are in whole milliseconds.
const MILLISECOND: i64 = 1_000_000;

/// One reading of one sensor, or of one unit.
pub(super) struct Reading {
    /// The sensor's turn.
    pub(super) turn: u64,
    /// How many readings of this sensor come before it.
    pub(super) k: u64,
    pub(super) time: Timestamp,
}

/// The order and the times of all readings.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    random: Random,
    start: Timestamp,
    interval: i64,
    sensors: u64,
    is_spread: bool,
    jitter: Option<i64>,
    swaps: f64,
}

impl Schedule {
    /// The schedule of `options`; an error if a time cannot be read, or would be beyond what a timestamp can hold.
    pub(super) fn new(options: &Synthetic) -> Result<Self> {
        let parser = TimeParser::new(TimeFormat::Rfc3339, None).map_err(Error::internal)?;
        let start =
            parser.parse(options.start.as_bytes()).map_err(|why| Error::config(format!("`start`: {why}")))?;
        let duration = |name: &str, text: &str| {
            parse_duration(text).map_err(|why| Error::config(format!("`{name}`: {why}")))
        };
        let interval = duration("interval", &options.interval)?;
        let jitter = options.jitter.as_deref().map(|text| duration("jitter", text)).transpose()?;
        if jitter.is_some_and(|jitter| jitter > interval / 2) {
            return Err(Error::config("`jitter` must be at most half of `interval`"));
        }
        let schedule = Self {
            random: Random::new(options.seed),
            start,
            interval,
            sensors: options.sensors,
            is_spread: options.spread,
            jitter,
            swaps: options.swaps.unwrap_or(0.0),
        };
        if schedule.is_within_range(options.records) {
            return Ok(schedule);
        }
        Err(Error::config("the last reading would be beyond the year 2262").with_help("shorten `interval`"))
    }

    /// The time between two readings of a sensor, in nanoseconds.
    pub(super) fn interval(&self) -> i64 {
        self.interval
    }

    /// The reading with this number.
    pub(super) fn reading(&self, number: u64) -> Reading {
        let (k, place) = (number / self.sensors, number % self.sensors);
        let time = self.start.saturating_add(k as i64 * self.interval + self.delay(k, place));
        Reading { turn: self.turn(k, place), k, time }
    }

    /// Whether a timestamp can hold all times of so many `records`.
    fn is_within_range(&self, records: u64) -> bool {
        let has_own_times = self.is_spread || self.jitter.is_some();
        let intervals = (records / self.sensors).checked_add(if has_own_times { 2 } else { 0 });
        let span = intervals.and_then(|intervals| intervals.checked_mul(self.interval.unsigned_abs()));
        span.and_then(|span| i64::try_from(span).ok()).and_then(|span| self.start.checked_add(span)).is_some()
    }

    /// The sensor at this place of round `k`: its own, or that of the other place of its pair.
    fn turn(&self, k: u64, place: u64) -> u64 {
        let (pair, other) = (place / 2, place ^ 1);
        let swaps = other < self.sensors && self.random.happens(self.swaps, stream(Purpose::Swap, pair), k);
        if swaps { other } else { place }
    }

    /// How long after the beginning of round `k` the sensor at this place reads, in nanoseconds.
    fn delay(&self, k: u64, place: u64) -> i64 {
        let spread = match self.is_spread {
            true => (i128::from(self.interval) * i128::from(place) / i128::from(self.sensors)) as i64,
            false => 0,
        };
        let late = self.jitter.map_or(0, |jitter| {
            (self.random.uniform(stream(Purpose::Jitter, place), k) * jitter as f64) as i64
        });
        (spread + late) / MILLISECOND * MILLISECOND
    }
}
