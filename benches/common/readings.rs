//! Readings with a seed, the ways from them to batches and back, and plain computations to judge answers by.

use std::sync::Arc;

use tidemill::batch::{Batch, Bytes, Schema};
use tidemill::format::{Format, Head};
use tidemill::sensor::Sensors;
use tidemill::source::Offset;
use tidemill::stage::{Flow, Process, Stage};
use tidemill_core::format::csv::{Csv, Dialect};
use tidemill_core::format::influx::{Influx, InfluxOptions};
use tidemill_core::format::jsonl::{JsonLines, JsonOptions};
use tidemill_core::format::{Chunk, columns::ColumnOptions};

/// Readings of some sensors in turn, a second apart, of 10.000 to 109.999; one in 200 is 300.
pub(crate) struct Readings {
    sensors: usize,
    /// In thousandths.
    values: Vec<u64>,
}

/// One reading as the files have it.
struct Row {
    time: String,
    sensor: String,
    value: String,
}

impl Readings {
    /// `count` readings; the same every time.
    pub(crate) fn new(count: usize, sensors: usize) -> Self {
        let mut random = SplitMix::new(1);
        let value = |_| match random.next() {
            spike if spike.is_multiple_of(200) => 300_000,
            ordinary => 10_000 + (ordinary >> 20) % 100_000,
        };
        Self { sensors, values: (0..count).map(value).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The numbers that the texts stand for.
    pub(crate) fn values(&self) -> Vec<f64> {
        self.values.iter().map(|&value| value as f64 / 1000.0).collect()
    }

    /// The numerals.
    pub(crate) fn numerals(&self) -> Vec<String> {
        self.rows().map(|row| row.value).collect()
    }

    /// `timestamp,sensor,value`, with a header.
    pub(crate) fn csv(&self) -> Vec<u8> {
        self.lines("timestamp,sensor,value\n", |Row { time, sensor, value }| {
            format!("{time},{sensor},{value}\n")
        })
    }

    /// The same with every field quoted.
    pub(crate) fn quoted_csv(&self) -> Vec<u8> {
        self.lines("\"timestamp\",\"sensor\",\"value\"\n", |Row { time, sensor, value }| {
            format!("\"{time}\",\"{sensor}\",\"{value}\"\n")
        })
    }

    /// An object a line.
    pub(crate) fn jsonl(&self) -> Vec<u8> {
        self.lines("", |Row { time, sensor, value }| {
            format!("{{\"timestamp\":\"{time}\",\"sensor\":\"{sensor}\",\"value\":{value}}}\n")
        })
    }

    /// Line protocol of two tags and two fields.
    pub(crate) fn influx(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (at, Row { sensor, value, .. }) in self.rows().enumerate() {
            let time = 1_700_000_000_000_000_000 + 1_000_000 * at;
            let line = format!("cpu,host={sensor},region=b value={value},idle={}i {time}\n", at % 100);
            text.extend_from_slice(line.as_bytes());
        }
        text
    }

    /// In columns.
    pub(crate) fn batch(&self) -> (Batch, Sensors) {
        let mut sensors = Sensors::default();
        let batch = csv_chunk(self.csv()).decode(&mut sensors).expect("a batch").batch;
        (batch, sensors)
    }

    fn lines(&self, header: &str, line: impl Fn(Row) -> String) -> Vec<u8> {
        let mut text = header.as_bytes().to_vec();
        self.rows().for_each(|row| text.extend_from_slice(line(row).as_bytes()));
        text
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        self.values.iter().enumerate().map(|(at, value)| {
            let second = at / self.sensors;
            let (day, hour, minute) = (second / 86_400 + 1, second / 3600 % 24, second / 60 % 60);
            Row {
                time: format!("2026-01-{day:02}T{hour:02}:{minute:02}:{:02}.000Z", second % 60),
                sensor: format!("temp-{:05}", at % self.sensors),
                value: format!("{}.{:03}", value / 1000, value % 1000),
            }
        })
    }
}

/// Steele, Lea and Flood's generator.
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ n >> 31
    }
}

/// All of a CSV file as one chunk, header left out.
pub(crate) fn csv_chunk(text: Vec<u8>) -> Chunk {
    chunk(&Csv::new(&Dialect::default(), &columns()).expect("a format"), text)
}

/// All of a JSON Lines file as one chunk.
pub(crate) fn jsonl_chunk(text: Vec<u8>) -> Chunk {
    chunk(&JsonLines::new(&JsonOptions::default(), &columns()).expect("a format"), text)
}

/// All of a file of line protocol as one chunk.
pub(crate) fn influx_chunk(text: Vec<u8>) -> Chunk {
    let options = InfluxOptions { sensor: Some("host".to_owned()), ..InfluxOptions::default() };
    chunk(&Influx::new(&options).expect("a format"), text)
}

fn columns() -> ColumnOptions {
    let named = |name: &str| Some(name.to_owned());
    ColumnOptions { time: Some("timestamp".into()), sensor: named("sensor"), ..ColumnOptions::default() }
}

/// All of a file as one chunk, header left out.
pub(crate) fn chunk(format: &dyn Format, text: Vec<u8>) -> Chunk {
    let head = Head { name: "bench", stem: "bench", bytes: &text, is_whole: true };
    let schema = Arc::new(format.schema(head).expect("a schema"));
    let bound = format.bind(head, &schema).expect("a decoder");
    let bytes = Bytes::new(text);
    Chunk {
        sequence: 0,
        file: "bench".into(),
        offset: Offset::default(),
        bytes: bytes.slice(bound.skip_bytes..bytes.len()),
        decoder: bound.decoder,
        witness: None,
        received: None,
    }
}

/// The private state of `stage` for batches like `batch`.
pub(crate) fn start(stage: &dyn Stage, batch: &Batch) -> Box<dyn Process> {
    stage.start(batch.schema()).expect("a process")
}

/// What a process makes of `batch`.
pub(crate) fn process(process: &mut dyn Process, batch: Batch, sensors: &Sensors) -> Batch {
    process.process(batch, sensors, &mut Flow::default()).expect("a batch")
}

/// The numbers in the measurement `name`; 0 for null.
pub(crate) fn measurement(batch: &Batch, name: &str) -> Vec<f64> {
    let at = index(batch.schema(), name);
    batch.measurement(at).iter().map(|value| value.unwrap_or(0.0)).collect()
}

fn index(schema: &Schema, name: &str) -> usize {
    schema.index_of(name).expect("a column of that name")
}

/// What `plain` makes of the last `window` values at each, each from scratch.
pub(crate) fn plain_windows(values: &[f64], window: usize, plain: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let result = |at: usize| plain(&values[(at + 1).saturating_sub(window)..=at]);
    (0..values.len()).map(result).collect()
}

/// Their mean.
pub(crate) fn plain_mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The least of them.
pub(crate) fn plain_least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The greatest of them.
pub(crate) fn plain_greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The deviation of a population, in two passes.
pub(crate) fn plain_deviation(values: &[f64]) -> f64 {
    let mean = plain_mean(values);
    plain_mean(&values.iter().map(|value| (value - mean).powi(2)).collect::<Vec<_>>()).sqrt()
}

/// The middle of the sorted values.
pub(crate) fn plain_median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Panics unless `a` and `b` are the same but for rounding.
pub(crate) fn assert_close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len(), "as many values");
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "value {at} is {a}, not {b}");
    }
}

/// Panics unless `a` and `b` are the same bits.
pub(crate) fn assert_same(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len(), "as many values");
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a.to_bits(), b.to_bits(), "value {at} is {a}, not {b}");
    }
}
