//! The main job with Polars in the same process, beside ours. Each answer is checked before it is timed.
//! `cargo bench --features polars --bench polars`

mod common;

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use polars::prelude::*;
use tidemill::Pipeline;
use tidemill::sink::Null;
use tidemill::source::Csv;
use tidemill::stage::{MovingAverage, Normalize, Threshold};

use common::Readings;

const COUNT: usize = 500_000;
const WINDOW: usize = 20;

fn beside_polars(criterion: &mut Criterion) {
    let readings = Readings::new(COUNT, 1000);
    let kept = readings.values().iter().filter(|&&value| value <= 120.0).count() as u64;
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("in.csv");
    std::fs::write(&input, readings.csv()).expect("written");

    assert_eq!(ours(&input), kept);
    assert_eq!(theirs(&input).expect("a frame"), kept);
    let mut group = criterion.benchmark_group("main job, nothing written");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("tidemill", |b| b.iter(|| ours(&input)));
    group.bench_function("polars", |b| b.iter(|| theirs(&input)));
    group.finish();
}

fn ours(input: &Path) -> u64 {
    let csv = Csv::new(input.to_str().expect("a path of text")).time("timestamp").sensor("sensor");
    let pipeline = Pipeline::builder()
        .source(csv)
        .stage(Threshold::between(0.0, 120.0))
        .stage(Normalize::min_max(0.0, 120.0))
        .stage(MovingAverage::rows(WINDOW as u32))
        .sink(Null::default());
    pipeline.run().expect("a run").sinks[0].ledger.output
}

/// As in `benches/peers`: sensors as categories, timestamps as text; sums, so that nothing is skipped. In memory, since the feature `polars`
/// brings no more of polars than frames need: the streaming engine is measured there.
fn theirs(input: &Path) -> PolarsResult<u64> {
    let categories = DataType::from_categories(Categories::global());
    let schema = Schema::from_iter([
        Field::new("timestamp".into(), DataType::String),
        Field::new("sensor".into(), categories),
        Field::new("value".into(), DataType::Float64),
    ]);
    let options = RollingOptionsFixedWindow { window_size: WINDOW, min_periods: 1, ..Default::default() };
    let totals = CsvReadOptions::default()
        .with_schema(Some(Arc::new(schema)))
        .try_into_reader_with_file_path(Some(input.to_owned()))?
        .finish()?
        .lazy()
        .filter(col("value").gt_eq(lit(0.0)).and(col("value").lt_eq(lit(120.0))))
        .with_column(col("value") / lit(120.0))
        .with_column(col("value").rolling_mean(options).over([col("sensor")])?.alias("value_avg"))
        .select([len().alias("rows"), col("value").sum(), col("value_avg").sum()])
        .collect()?;
    totals.column("rows")?.cast(&DataType::UInt64)?.u64()?.get(0).ok_or_else(|| polars_err!(NoData: "no row"))
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5));
    targets = beside_polars
}
criterion_main!(benches);
