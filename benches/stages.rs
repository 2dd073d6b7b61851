//! Each stage on a batch of records. Each answer is checked before it is timed.

mod common;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tidemill::batch::Batch;
use tidemill::sensor::Sensors;
use tidemill::stage::{
    Action, Columns, EachSensor, EachSeries, Method, MovingAverage, MovingMax, MovingMedian, MovingMin,
    MovingStd, Normalize, Process, Rate, Record, SensorStage, Silence, Stage, Threshold,
};

use common::{
    Readings, assert_close, group, measurement, plain_deviation, plain_greatest, plain_least, plain_mean,
    plain_median, plain_windows, process, short, start,
};

const COUNT: usize = 20_000;
const SENSORS: usize = 100;

/// What a stage must make of the readings: given their values and the batch that left it.
type Check = fn(&[f64], &Batch);

fn stages(criterion: &mut Criterion) {
    let cases: [(&str, Box<dyn Stage>, Check); 15] = [
        ("threshold, drop", Box::new(Threshold::between(0.0, 120.0)), drops),
        ("threshold, mask", Box::new(Threshold::between(0.0, 120.0).action(Action::Mask)), masks),
        ("threshold, flag", Box::new(Threshold::between(0.0, 120.0).action(Action::Flag)), keeps),
        ("normalize, min_max", Box::new(Normalize::min_max(0.0, 120.0)), scales),
        ("normalize, running", Box::new(Normalize::running(Method::MinMax)), keeps),
        ("moving_average, 20", Box::new(EachSeries(MovingAverage::rows(20))), averages),
        ("moving_average, 150", Box::new(EachSeries(MovingAverage::rows(150))), long_averages),
        ("moving_average, 20s", Box::new(EachSeries(MovingAverage::duration("20s"))), averages),
        ("moving_min, 20", Box::new(EachSeries(MovingMin::rows(20))), least),
        ("moving_max, 20", Box::new(EachSeries(MovingMax::rows(20))), greatest),
        ("moving_std, 20", Box::new(EachSeries(MovingStd::rows(20))), deviations),
        ("moving_median, 20", Box::new(EachSeries(MovingMedian::rows(20))), medians),
        ("rate, difference", Box::new(EachSeries(Rate::difference())), keeps),
        ("silence, 1h", Box::new(EachSensor::new(Silence::after("1h"))), keeps),
        ("sensor stage, nothing", Box::new(EachSensor::new(Nothing)), keeps),
    ];
    let readings = Readings::new(COUNT, SENSORS);
    let ((batch, sensors), values) = (readings.batch(), readings.values());
    let mut group = group(criterion, "stage", COUNT);
    for (name, stage, check) in cases {
        check(&values, &process(&mut *start(&*stage, &batch), batch.clone(), &sensors));
        let ready = || (used(&*stage, &batch, &sensors), batch.clone());
        let run = |(mut used, batch): (Box<dyn Process>, Batch)| process(&mut *used, batch, &sensors);
        group.bench_function(name, |b| b.iter_batched(ready, run, BatchSize::LargeInput));
    }
    let stage = Normalize::fitted(Method::MinMax);
    group.bench_function("normalize, first pass", |b| {
        b.iter_batched(|| (), |()| learn(&stage, &batch, &sensors), BatchSize::LargeInput);
    });
    group.finish();
}

/// What it costs to be a stage of one sensor.
#[derive(Clone, serde::Serialize)]
struct Nothing;

impl SensorStage for Nothing {
    type State = u64;
    type Bound = ();

    fn name(&self) -> &str {
        "nothing"
    }

    fn bind(&self, _columns: &mut Columns<'_>) -> tidemill::Result<()> {
        Ok(())
    }

    fn state(&self, _bound: &(), _sensor: &str) -> u64 {
        0
    }

    fn record(&self, _bound: &(), records: &mut u64, _record: &mut Record<'_>) -> tidemill::Result<()> {
        *records += 1;
        Ok(())
    }
}

/// A process that has seen all sensors: windows are full, tables are made. Where time must not run back, a new one.
fn used(stage: &dyn Stage, batch: &Batch, sensors: &Sensors) -> Box<dyn Process> {
    let mut used = start(stage, batch);
    if stage.parameters()["window"].as_str().is_none() {
        process(&mut *used, batch.clone(), sensors);
    }
    used
}

fn learn(stage: &Normalize, batch: &Batch, sensors: &Sensors) {
    let mut fit = stage.fit(batch.schema()).expect("a first pass").expect("one of this stage");
    fit.observe(batch, sensors).expect("observed");
    assert!(fit.finish(sensors).expect("learnt").is_some(), "one pass is enough");
}

fn drops(values: &[f64], batch: &Batch) {
    let expected: Vec<f64> = values.iter().copied().filter(|&value| value <= 120.0).collect();
    assert!(expected.len() < values.len(), "something is dropped");
    assert_close(&measurement(batch, "value"), &expected);
}

fn masks(values: &[f64], batch: &Batch) {
    let expected: Vec<f64> = values.iter().map(|&value| if value <= 120.0 { value } else { 0.0 }).collect();
    assert_close(&measurement(batch, "value"), &expected);
}

fn keeps(values: &[f64], batch: &Batch) {
    assert_eq!(batch.len(), values.len());
}

fn scales(values: &[f64], batch: &Batch) {
    let expected: Vec<f64> = values.iter().map(|&value| value / 120.0).collect();
    assert_close(&measurement(batch, "value"), &expected);
}

fn averages(values: &[f64], batch: &Batch) {
    looks_back(values, batch, "value_avg", 20, plain_mean);
}

fn long_averages(values: &[f64], batch: &Batch) {
    looks_back(values, batch, "value_avg", 150, plain_mean);
}

fn least(values: &[f64], batch: &Batch) {
    looks_back(values, batch, "value_min", 20, plain_least);
}

fn greatest(values: &[f64], batch: &Batch) {
    looks_back(values, batch, "value_max", 20, plain_greatest);
}

fn deviations(values: &[f64], batch: &Batch) {
    looks_back(values, batch, "value_std", 20, plain_deviation);
}

fn medians(values: &[f64], batch: &Batch) {
    looks_back(values, batch, "value_median", 20, plain_median);
}

/// Holds the column `name` to what `plain` makes of the last `window` values of each sensor.
fn looks_back(values: &[f64], batch: &Batch, name: &str, window: usize, plain: fn(&[f64]) -> f64) {
    let results = measurement(batch, name);
    for sensor in 0..SENSORS {
        let of_sensor =
            |all: &[f64]| -> Vec<f64> { all.iter().skip(sensor).step_by(SENSORS).copied().collect() };
        assert_close(&of_sensor(&results), &plain_windows(&of_sensor(values), window, plain));
    }
}

criterion_group! {
    name = benches;
    config = short();
    targets = stages
}
criterion_main!(benches);
