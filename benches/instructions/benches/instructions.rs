//! The kernels, the formats and the stages, once each under callgrind. Inputs are small, since the counts are exact.
//!
//! Kernels that choose instructions at run time are counted with what valgrind shows them: AVX2 at most.
#![expect(missing_docs, reason = "gungraun's macros make modules without any")]

use std::hint::black_box;
use std::sync::Arc;

use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use tidemill::batch::Batch;
use tidemill::error::Result;
use tidemill::format::{Chunk, Encode};
use tidemill::sensor::{SensorId, SensorLookup, Sensors};
use tidemill::stage::{EachSeries, MovingAverage, Normalize, Process, Stage, Threshold};
use tidemill_core::format::csv::CsvEncoder;
use tidemill_core::format::jsonl::JsonEncoder;
use tidemill_core::format::text::write_float;
use tidemill_core::kernel::number::parse_f64;
use tidemill_core::kernel::numerals::{self, Numeral};
use tidemill_core::kernel::separators::{Separators, find};
use tidemill_core::sensor::SensorIds;
use tidemill_core::time::{TimeFormat, TimeParser};

#[path = "../../common/readings.rs"]
#[expect(dead_code, reason = "what other benches use")]
mod readings;
#[path = "../../common/shapes.rs"]
mod shapes;

use readings::{Readings, influx_chunk, jsonl_chunk, process, start};

const COUNT: usize = 2000;
const SENSORS: usize = 20;

fn readings() -> Readings {
    Readings::new(COUNT, SENSORS)
}

#[library_benchmark]
#[bench::csv(readings().csv())]
#[bench::quoted_csv(readings().quoted_csv())]
fn find_separators(text: Vec<u8>) -> Vec<u32> {
    let mut places = Vec::with_capacity(text.len());
    find(black_box(&text), 0, Separators { delimiter: b',', quote: Some(b'"') }, &mut places);
    places
}

#[library_benchmark]
#[bench::three_decimals(readings().numerals())]
#[bench::shortest(readings().values().iter().map(|value| (value / 3.0).to_string()).collect())]
fn parse_number(numerals: Vec<String>) -> f64 {
    black_box(&numerals).iter().filter_map(|text| parse_f64(text.as_bytes())).sum()
}

/// A column's numerals.
fn column() -> Vec<Numeral> {
    let text = readings().numerals().concat();
    let mut end = 0;
    let numerals = readings().numerals().into_iter().map(|numeral| {
        end += numeral.len();
        Numeral::new(text.as_bytes(), end - numeral.len(), end)
    });
    numerals.collect()
}

#[library_benchmark]
#[bench::three_decimals(column())]
fn read_numerals(numerals: Vec<Numeral>) -> Vec<f64> {
    let (mut values, mut others) = (vec![0.0; numerals.len()], Vec::new());
    numerals::read(black_box(&numerals), b'.', &mut values, &mut others);
    values
}

fn times() -> (TimeParser, Vec<String>) {
    let parser = TimeParser::new(TimeFormat::Rfc3339, None).expect("a parser");
    (parser, (0..COUNT).map(|at| format!("2026-01-01T00:{:02}:{:02}.000Z", at / 60 % 60, at % 60)).collect())
}

#[library_benchmark]
#[bench::rfc3339(times())]
fn parse_time((parser, texts): (TimeParser, Vec<String>)) -> usize {
    black_box(&texts).iter().filter(|text| parser.parse(text.as_bytes()).is_ok()).count()
}

/// A worker's table that knows the one sensor of a text, and where the text has its name. Of one sensor, because the table is
/// seeded at random: how many names collide differs from run to run.
fn one_sensor(name: &'static str) -> (SensorIds, &'static str, Vec<(u32, u32)>) {
    let mut ids = SensorIds::new(Arc::default());
    ids.id(name).expect("room");
    (ids, name, vec![(0, name.len() as u32); COUNT])
}

#[library_benchmark]
#[bench::short(one_sensor("temp-00001"))]
fn look_up((mut ids, text, names): (SensorIds, &str, Vec<(u32, u32)>)) -> Vec<SensorId> {
    let mut found = Vec::with_capacity(names.len());
    ids.known_ids(text.as_bytes(), black_box(&names), &mut found);
    found
}

/// Takes the sensor's number from its name, so that no table has a say in what decoding costs.
struct Numbered;

impl SensorLookup for Numbered {
    fn id(&mut self, name: &str) -> Result<SensorId> {
        Ok(number(name.as_bytes()))
    }

    fn known_ids(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut Vec<SensorId>) {
        ids.extend(names.iter().map(|&(start, len)| number(&text[start as usize..][..len as usize])));
    }
}

fn number(name: &[u8]) -> SensorId {
    let digits = name.iter().filter(|byte| byte.is_ascii_digit());
    SensorId(digits.fold(0, |number, digit| 10 * number + u32::from(digit - b'0')))
}

#[library_benchmark]
#[bench::jsonl(jsonl_chunk(readings().jsonl()))]
#[bench::influx(influx_chunk(readings().influx()))]
fn decode(chunk: Chunk) -> Batch {
    black_box(&chunk).decode(&mut Numbered).expect("a batch").batch
}

/// Readings of each shape: the sensors of most come again after a thousand.
const SHAPE: u64 = 8000;

fn shape(name: &str) -> Chunk {
    shapes::shape(name, SHAPE)
}

// CSV, by how a file is written: each shape of `benches/shapes/shapes.py`.
#[library_benchmark]
#[bench::plant(shape("plant"))]
#[bench::steady(shape("steady"))]
#[bench::times(shape("times"))]
#[bench::epochs(shape("epochs"))]
#[bench::names(shape("names"))]
#[bench::long_names(shape("long-names"))]
#[bench::digits(shape("digits"))]
#[bench::wide_digits(shape("wide-digits"))]
#[bench::exponents(shape("exponents"))]
#[bench::integers(shape("integers"))]
#[bench::nulls(shape("nulls"))]
#[bench::quoted(shape("quoted"))]
#[bench::crlf(shape("crlf"))]
fn decode_shape(chunk: Chunk) -> Batch {
    black_box(&chunk).decode(&mut Numbered).expect("a batch").batch
}

/// An encoder and what it gets.
fn records(encoder: impl Fn(&Batch) -> Box<dyn Encode>) -> (Box<dyn Encode>, Batch, Sensors) {
    let (batch, sensors) = readings().batch();
    (encoder(&batch), batch, sensors)
}

#[library_benchmark]
#[bench::csv(records(|_| Box::new(CsvEncoder { delimiter: b',', decimals: None, safe: false })))]
#[bench::jsonl(records(|batch| Box::new(JsonEncoder::new(batch.schema(), None))))]
fn encode((encoder, batch, sensors): (Box<dyn Encode>, Batch, Sensors)) -> Vec<u8> {
    let mut text = Vec::with_capacity(1 << 20);
    encoder.encode(black_box(&batch), &sensors, &mut text);
    text
}

#[library_benchmark]
#[bench::shortest(readings().values().iter().map(|value| value / 3.0).collect())]
fn format_float(values: Vec<f64>) -> Vec<u8> {
    let mut text = Vec::with_capacity(1 << 20);
    black_box(&values).iter().for_each(|&value| write_float(value, None, &mut text));
    text
}

/// A stage's process that has seen the batch once, so that its tables are made; and the batch.
fn used(stage: &dyn Stage) -> (Box<dyn Process>, Batch, Sensors) {
    let (batch, sensors) = readings().batch();
    let mut used = start(stage, &batch);
    process(&mut *used, batch.clone(), &sensors);
    (used, batch, sensors)
}

#[library_benchmark]
#[bench::threshold(used(&Threshold::between(0.0, 120.0)))]
#[bench::normalize(used(&Normalize::min_max(0.0, 120.0)))]
#[bench::moving_average_20(used(&EachSeries(MovingAverage::rows(20))))]
fn stage((mut used, batch, sensors): (Box<dyn Process>, Batch, Sensors)) -> Batch {
    process(&mut *used, black_box(batch), &sensors)
}

library_benchmark_group!(
    name = kernels,
    benchmarks = [
        find_separators,
        parse_number,
        read_numerals,
        parse_time,
        look_up,
        decode,
        decode_shape,
        encode,
        format_float,
        stage
    ]
);
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = kernels
);
