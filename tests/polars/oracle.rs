//! What polars makes of the same work. It keeps other rules in places: where it does, a test says so.

use polars::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidemill::sink::CsvFile;
use tidemill::stage::{Action, Method, MovingAverage, Normalize, Threshold};
use tidemill_engine::source::{self, Csv, Synthetic};

use super::{assert_same, bits, long, run};

/// Readings of a plant as a frame: long, with NaN, nulls and spikes.
fn plant(options: Synthetic) -> DataFrame {
    run(options, |builder| builder).0
}

fn faulty(decimals: u8, nan: f64) -> DataFrame {
    let frame = plant(Synthetic { nan, nulls: 0.03, spikes: 0.01, decimals, ..Synthetic::default() });
    let values = frame.column("value").expect("values").f64().expect("numbers");
    assert!(values.null_count() > 200);
    assert_eq!(nans(&frame) > 0, nan > 0.0);
    frame
}

fn nans(frame: &DataFrame) -> usize {
    let values = frame.column("value").expect("values").f64().expect("numbers");
    values.iter().flatten().filter(|value| value.is_nan()).count()
}

fn collect(frame: LazyFrame) -> DataFrame {
    frame.collect().expect("a frame")
}

/// Two columns of numbers differ by what `tolerance` allows at most; null and NaN are in the same places.
fn assert_near(ours: &DataFrame, theirs: &DataFrame, column: &str, tolerance: impl Fn(f64) -> f64) {
    let (ours, theirs) = (bits(ours, column), bits(theirs, column));
    assert_eq!(ours.len(), theirs.len());
    for (row, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
        let [Some(a), Some(b)] = [ours, theirs].map(|bits| bits.map(f64::from_bits)) else {
            assert_eq!(ours, theirs, "row {row}: null in one");
            continue;
        };
        let is_near = a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance(b);
        assert!(is_near, "row {row}: {a} and {b}");
    }
}

fn within(min: f64, max: f64) -> Expr {
    col("value").gt_eq(lit(min)).and(col("value").lt_eq(lit(max)))
}

#[test]
fn clause_13_threshold_between_two_bounds_keeps_what_polars_keeps() {
    let frame = faulty(3, 0.02);
    let (ours, report) = run(long(frame.clone()), |builder| builder.stage(Threshold::between(5.0, 90.0)));
    let theirs = collect(frame.clone().lazy().filter(within(5.0, 90.0)));
    assert!(ours.equals_missing(&theirs));
    assert!(theirs.height() > 1000 && theirs.height() < frame.height());
    assert_eq!(report.stages[0].ledger.filtered, (frame.height() - theirs.height()) as u64);
}

/// polars holds NaN for greater than every number; here every comparison with it is false.
#[test]
fn clause_13_threshold_with_a_lower_bound_drops_the_nan_that_polars_keeps() {
    let frame = faulty(3, 0.02);
    let above = Threshold { min: Some(20.0), ..Threshold::default() };
    let (ours, _) = run(long(frame.clone()), |builder| builder.stage(above));
    let theirs = collect(frame.clone().lazy().filter(col("value").gt_eq(lit(20.0))));
    assert_eq!(theirs.height() - ours.height(), nans(&frame));
    assert!(ours.equals_missing(&collect(theirs.lazy().filter(col("value").is_not_nan()))));
}

#[test]
fn clause_13_threshold_masks_and_flags_what_polars_does() {
    let frame = faulty(3, 0.02);
    let stage = |action| Threshold::between(5.0, 90.0).action(action);
    let (masked, _) = run(long(frame.clone()), |builder| builder.stage(stage(Action::Mask)));
    let value = when(within(5.0, 90.0)).then(col("value")).otherwise(lit(NULL));
    assert!(masked.equals_missing(&collect(frame.clone().lazy().with_column(value.alias("value")))));
    let (flagged, _) = run(long(frame.clone()), |builder| builder.stage(stage(Action::Flag)));
    let is_ok = within(5.0, 90.0).fill_null(lit(false));
    assert!(flagged.equals_missing(&collect(frame.lazy().with_column(is_ok.alias("value_ok")))));
}

/// polars multiplies by the reciprocal of a constant instead of dividing by it. That of a power of two is exact: the same
/// bits. Of any other, reciprocal, product and our quotient are each off by half a unit in the last place at most.
#[test]
fn clause_14_min_max_with_constants_is_polars_arithmetic() {
    let frame = faulty(3, 0.02);
    for (min, max, units) in [(-28.0, 100.0, 0.0), (-12.5, 103.7, 2.0)] {
        let (ours, _) = run(long(frame.clone()), |builder| builder.stage(Normalize::min_max(min, max)));
        let scaled = (col("value") - lit(min)) / lit(max - min);
        let theirs = collect(frame.clone().lazy().with_column(scaled.alias("value")));
        assert_near(&ours, &theirs, "value", |value| units * f64::EPSILON * value.abs());
    }
}

/// Least and greatest value of each sensor are exact in both, and both leave NaN out of them.
#[test]
fn clause_14_min_max_fitted_has_polars_minima_and_maxima() {
    let frame = faulty(3, 0.02);
    let (ours, _) = run(long(frame.clone()), |builder| builder.stage(Normalize::fitted(Method::MinMax)));
    let (value, sensor) = (col("value"), [col("sensor")]);
    let (min, max) = (value.clone().min().over(sensor.clone()), value.clone().max().over(sensor));
    let (min, max) = (min.expect("groups"), max.expect("groups"));
    let scaled = (value - min.clone()) / (max - min);
    let theirs = collect(frame.lazy().with_column(scaled.alias("value")));
    assert_same(&ours, &theirs, "value");
}

/// The mean of the last `rows` rows of each sensor; nulls are left out.
fn rolling(frame: DataFrame, rows: usize) -> DataFrame {
    let window = RollingOptionsFixedWindow { window_size: rows, min_periods: 1, ..Default::default() };
    let mean = col("value").rolling_mean(window).over([col("sensor")]).expect("groups");
    collect(frame.lazy().with_column(mean.alias("value_avg")))
}

/// Sums of small integers are exact however they are made, so the means are too.
#[test]
fn clause_15_moving_average_of_integers_is_polars_rolling_mean() {
    let frame = faulty(0, 0.0);
    for rows in [1, 2, 7, 60] {
        let (ours, _) = run(long(frame.clone()), |builder| builder.stage(MovingAverage::rows(rows)));
        let theirs = rolling(frame.clone(), rows as usize);
        assert_eq!(ours.schema(), theirs.schema());
        assert!(ours.equals_missing(&theirs), "{rows} rows");
    }
}

/// polars adds what enters and takes away what leaves, rounding each time, over some 800 rows a sensor of values below
/// 10,000: the error is below 2 × 800 roundings of a sum below 60,000 (each at most 4 × 10⁻¹²), divided by the count.
#[test]
fn clause_16_moving_average_of_decimals_is_polars_but_for_its_rounding() {
    let frame = faulty(3, 0.0);
    assert!(bits(&frame, "value").iter().flatten().all(|&value| f64::from_bits(value).abs() < 1e4));
    let (ours, _) = run(long(frame.clone()), |builder| builder.stage(MovingAverage::rows(6)));
    let theirs = rolling(frame, 6);
    assert_near(&ours, &theirs, "value_avg", |_| 6.4e-9);
}

/// polars lets a NaN into the mean of each window that has it; here it is left out like a null.
#[test]
fn clause_15_moving_average_skips_the_nan_that_polars_counts() {
    let frame = faulty(0, 0.02);
    let (ours, _) = run(long(frame.clone()), |builder| builder.stage(MovingAverage::rows(7)));
    assert!(bits(&ours, "value_avg").iter().flatten().all(|&mean| f64::from_bits(mean).is_finite()));
    assert!(bits(&rolling(frame.clone(), 7), "value_avg").contains(&Some(f64::NAN.to_bits())));
    let without = collect(frame.lazy().with_column(col("value").fill_nan(lit(NULL))));
    assert_same(&ours, &rolling(without, 7), "value_avg");
}

/// A number in one of the ways that people and programs write it.
fn written(random: &mut StdRng) -> String {
    let small = random.random_range(-1000.0..1000.0);
    let any = f64::from_bits(random.random());
    match random.random_range(0..9) {
        0 => format!("{small:.3}"),
        1 => format!("{small}"),
        2 => format!("{any:e}"),
        3 => format!("{any:.25e}"),
        4 => random.random::<i64>().to_string(),
        5 => format!("{:.400}", small * 1e-300),
        6 => ["inf", "-inf", "NaN", "1e400", "-1e-400", "-0.0", "0"][random.random_range(0..7)].to_owned(),
        7 => format!("{}", f64::from_bits(random.random_range(0..1 << 52))),
        _ => String::new(),
    }
}

fn read_csv(path: &std::path::Path) -> DataFrame {
    let types = Schema::from_iter([("value".into(), DataType::Float64), ("sensor".into(), DataType::String)]);
    let options = CsvReadOptions::default().with_has_header(true).with_schema_overwrite(Some(types.into()));
    let reader = options.try_into_reader_with_file_path(Some(path.to_owned())).expect("a reader");
    reader.finish().expect("a frame")
}

/// Both read the nearest f64, whatever the digits.
#[test]
fn clause_3_numbers_in_csv_are_those_that_polars_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("numbers.csv");
    let mut random = StdRng::seed_from_u64(7);
    let lines: String = (0..50_000).map(|row| format!("s-{},{}\n", row % 9, written(&mut random))).collect();
    std::fs::write(&path, format!("sensor,value\n{lines}")).expect("written");
    let theirs = read_csv(&path);
    let csv = Csv::new(path.to_str().expect("UTF-8")).sensor("sensor").measurements(["value"]);
    let (ours, report) = run(csv, |builder| builder);
    assert_eq!((ours.height(), report.sources[0].ledger.rejected), (50_000, 0));
    assert_same(&ours, &theirs, "value");
    assert_eq!(super::texts(&ours, "sensor"), super::texts(&theirs, "sensor"));
}

#[test]
fn clause_18_what_is_written_as_csv_is_read_back_by_polars() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.csv");
    let mut random = StdRng::seed_from_u64(8);
    let values: Vec<_> =
        (0..20_000).map(|row| (row % 7 > 0).then(|| f64::from_bits(random.random()))).collect();
    let frame = df!("value" => values).expect("a frame");
    let sink = CsvFile::new(path.to_str().expect("UTF-8"));
    run(source::Frame::new(frame.clone()).sensor_name("s"), |builder| builder.sink(sink));
    assert_same(&read_csv(&path), &frame, "value");
}
