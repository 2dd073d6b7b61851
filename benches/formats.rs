//! Bytes to records and back. Each answer is checked before it is timed.

mod common;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use influxdb_line_protocol::FieldValue;
use tidemill::batch::Batch;
use tidemill::format::{Chunk, Encode};
use tidemill::sensor::Sensors;
use tidemill::sink::{ParquetFile, SinkSpec};
use tidemill::stage::{EachSeries, MovingAverage, Normalize};
use tidemill_core::format::csv::CsvEncoder;
use tidemill_core::format::jsonl::JsonEncoder;

use common::{
    Readings, assert_same, csv_chunk, group, influx_chunk, jsonl_chunk, measurement, process, short, start,
};

const COUNT: usize = 20_000;

/// Text to columns, beside the crates `csv`, with the standard library's number parser, and `influxdb-line-protocol`.
fn decode(criterion: &mut Criterion) {
    let readings = Readings::new(COUNT, 100);
    let texts = [
        ("csv", csv_chunk(readings.csv())),
        ("csv, all quoted", csv_chunk(readings.quoted_csv())),
        ("jsonl", jsonl_chunk(readings.jsonl())),
        ("influx", influx_chunk(readings.influx())),
    ];
    let mut group = group(criterion, "decode", COUNT);
    for (name, chunk) in &texts {
        assert_same(&measurement(&decoded(chunk), "value"), &readings.values());
        group.bench_function(*name, |b| b.iter(|| decoded(black_box(chunk))));
    }
    let text = readings.csv();
    assert_same(&by_csv_crate(&text), &readings.values());
    group.bench_function("csv crate, values only", |b| b.iter(|| by_csv_crate(black_box(&text))));
    let text = readings.influx();
    assert_same(&by_influx_crate(&text), &readings.values());
    group.bench_function("influxdb-line-protocol crate, values only", |b| {
        b.iter(|| by_influx_crate(black_box(&text)));
    });
}

/// Where the last whole record of a piece of text ends.
fn cut(criterion: &mut Criterion) {
    let readings = Readings::new(COUNT, 100);
    let mut group = group(criterion, "cut", COUNT);
    for (name, chunk) in
        [("csv", csv_chunk(readings.csv())), ("csv, all quoted", csv_chunk(readings.quoted_csv()))]
    {
        let whole = chunk.bytes.as_slice();
        let piece = &whole[..whole.len() - 1];
        let end = chunk.decoder.complete(piece, false);
        assert_eq!(Some(end), piece.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1));
        group.bench_function(name, |b| b.iter(|| chunk.decoder.complete(black_box(piece), false)));
    }
}

/// Columns to text, and to a Parquet file.
fn encode(criterion: &mut Criterion) {
    let readings = Readings::new(COUNT, 100);
    let (batch, sensors) = readings.batch();
    let csv = CsvEncoder { delimiter: b',', decimals: None, safe: false };
    let jsonl = JsonEncoder::new(batch.schema(), None);
    let mut group = group(criterion, "encode", COUNT);
    for (name, encoder) in [("csv", &csv as &dyn Encode), ("jsonl", &jsonl)] {
        let text = encoded(encoder, &batch, &sensors);
        let chunk = if name == "csv" { csv_chunk(text) } else { jsonl_chunk(text) };
        assert_same(&measurement(&decoded(&chunk), "value"), &readings.values());
        group.bench_function(name, |b| b.iter(|| encoded(encoder, black_box(&batch), &sensors)));
    }
    let averaged = averaged(&batch, &sensors);
    for (name, encoder) in [
        ("csv, two long floats", &csv as &dyn Encode),
        ("jsonl, two long floats", &JsonEncoder::new(averaged.schema(), None)),
    ] {
        let text = encoded(encoder, &averaged, &sensors);
        let chunk = if name.starts_with("csv") { csv_chunk(text) } else { jsonl_chunk(text) };
        let read = decoded(&chunk);
        for column in ["value", "value_avg"] {
            assert_same(&measurement(&read, column), &measurement(&averaged, column));
        }
        group.bench_function(name, |b| b.iter(|| encoded(encoder, black_box(&averaged), &sensors)));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bench.parquet");
    let sink = ParquetFile::new(path.to_str().expect("a path of text"));
    assert!(written(&sink, &batch, &sensors) > 0);
    assert!(path.exists(), "the file is there");
    group.bench_function("parquet", |b| b.iter(|| written(&sink, black_box(&batch), &sensors)));
}

/// The same records as a usual pipeline leaves them: scaled, and with moving means.
fn averaged(batch: &Batch, sensors: &Sensors) -> Batch {
    let (normalize, average) = (Normalize::min_max(0.0, 120.0), MovingAverage::rows(20));
    let scaled = process(&mut *start(&normalize, batch), batch.clone(), sensors);
    process(&mut *start(&EachSeries(average), &scaled), scaled, sensors)
}

fn decoded(chunk: &Chunk) -> Batch {
    let decoded = chunk.decode(&mut Sensors::default()).expect("a batch");
    assert!(decoded.rejections.is_empty(), "nothing is refused");
    decoded.batch
}

fn by_csv_crate(text: &[u8]) -> Vec<f64> {
    let mut reader = csv::Reader::from_reader(text);
    let (mut record, mut values) = (csv::ByteRecord::new(), Vec::new());
    while reader.read_byte_record(&mut record).expect("a record") {
        values.push(std::str::from_utf8(&record[2]).expect("text").parse().expect("a number"));
    }
    values
}

fn by_influx_crate(text: &[u8]) -> Vec<f64> {
    let lines = influxdb_line_protocol::parse_lines(std::str::from_utf8(text).expect("text"));
    let value = |line: influxdb_line_protocol::ParsedLine<'_>| match line.field_value("value") {
        Some(FieldValue::F64(value)) => *value,
        other => panic!("{other:?} is no number"),
    };
    lines.map(|line| value(line.expect("a record"))).collect()
}

fn encoded(encoder: &dyn Encode, batch: &Batch, sensors: &Sensors) -> Vec<u8> {
    let mut text = Vec::new();
    encoder.header(batch.schema(), &mut text);
    encoder.encode(batch, sensors, &mut text);
    text
}

/// Writes a file of `batch`; gives how many records it has.
fn written(spec: &ParquetFile, batch: &Batch, sensors: &Sensors) -> usize {
    let mut sink = spec.open(batch.schema(), &tidemill::sink::SinkContext::default()).expect("a sink");
    sink.write(batch, sensors).expect("written");
    sink.flush().expect("flushed");
    sink.commit().expect("committed");
    batch.len()
}

criterion_group! {
    name = benches;
    config = short();
    targets = decode, cut, encode
}
criterion_main!(benches);
