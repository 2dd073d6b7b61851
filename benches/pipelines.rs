//! Whole pipelines, from a file to nothing, to CSV, to Parquet. Each answer is checked before it is timed.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tidemill::pipeline::Builder;
use tidemill::sink::{CsvFile, JsonLinesFile, Null, ParquetFile};
use tidemill::source::Csv;
use tidemill::stage::{Method, MovingAverage, Normalize, Threshold};
use tidemill::{Pipeline, Report};

use common::{Readings, group, short};

const COUNT: usize = 100_000;
const SENSORS: usize = 1000;

/// Adds a sink whose file is in a folder.
type Outlet = fn(Builder, &Path) -> Builder;

fn pipelines(criterion: &mut Criterion) {
    let readings = Readings::new(COUNT, SENSORS);
    let kept = readings.values().iter().filter(|&&value| value <= 120.0).count() as u64;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let input = file("in.csv");
    std::fs::write(&input, readings.csv()).expect("written");

    let mut group = group(criterion, "pipeline", COUNT);
    let cases: [(&str, Outlet, PathBuf); 4] = [
        ("to nothing", |pipeline, _| pipeline.sink(Null::default()), input.clone()),
        ("to csv", |pipeline, out| pipeline.sink(CsvFile::new(text(out))), file("out.csv")),
        ("to jsonl", |pipeline, out| pipeline.sink(JsonLinesFile::new(text(out))), file("out.jsonl")),
        ("to parquet", |pipeline, out| pipeline.sink(ParquetFile::new(text(out))), file("out.parquet")),
    ];
    for (name, sink, out) in cases {
        let run = || checked(sink(smooth(&input), &out), kept);
        run();
        group.bench_function(name, |b| b.iter(run));
    }
    group.bench_function("fit and apply", |b| b.iter(|| checked(fitted(&input).sink(Null::default()), kept)));
    group.finish();
}

/// The main job: drop, scale, average.
fn smooth(input: &Path) -> Builder {
    source(input).stage(Normalize::min_max(0.0, 120.0)).stage(MovingAverage::rows(20))
}

/// Two passes.
fn fitted(input: &Path) -> Builder {
    source(input).stage(Normalize::fitted(Method::MinMax))
}

fn source(input: &Path) -> Builder {
    let csv = Csv::new(text(input)).time("timestamp").sensor("sensor");
    Pipeline::builder().source(csv).stage(Threshold::between(0.0, 120.0))
}

/// Runs, and makes sure that nothing went missing on the way.
fn checked(pipeline: Builder, kept: u64) -> Report {
    let report = pipeline.run().expect("a run");
    assert_eq!(report.sources[0].ledger.output, COUNT as u64);
    assert_eq!(report.sinks[0].ledger.output, kept);
    assert_eq!(report.sensors, SENSORS as u64);
    report
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

criterion_group! {
    name = benches;
    config = short().sample_size(10).measurement_time(Duration::from_secs(2));
    targets = pipelines
}
criterion_main!(benches);
