//! The Cargo feature `polars`: frames in and out. What polars makes of the same work is in `polars/oracle.rs`.

#[path = "polars/oracle.rs"]
mod oracle;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use polars::prelude::*;
use tidemill::batch::Batch;
use tidemill::pipeline::{InputOptions, MaxRejects};
use tidemill::sensor::Sensors;
use tidemill::stage::{Action, Method, MovingAverage, Normalize, Threshold};
use tidemill::{Error, ErrorKind, Pipeline, Report};
use tidemill_engine::executor::{self, RunOptions};
use tidemill_engine::sink::{self, DeadLetter, Repeat, Sink, SinkSpec};
use tidemill_engine::source::{self, Input, OpenOptions, SourceSpec};

/// Runs `source` through `stages`, whatever is rejected.
fn run(
    source: impl SourceSpec + 'static,
    stages: impl FnOnce(tidemill::pipeline::Builder) -> tidemill::pipeline::Builder,
) -> (DataFrame, Report) {
    let sink = sink::Frame::new();
    let result = sink.handle();
    let input = InputOptions { max_rejects: Some(MaxRejects::Count(u64::MAX)), ..InputOptions::default() };
    let builder = stages(Pipeline::builder().source(source).input(input));
    let report = builder.sink(sink).run().expect("a run");
    (result.take().expect("a frame"), report)
}

/// The same without stages.
fn pass(source: source::Frame) -> (DataFrame, Report) {
    run(source, |builder| builder)
}

fn refused(source: source::Frame) -> Error {
    source.open(&OpenOptions::default()).err().expect("an error")
}

/// The values of a column of numbers, to the bit; all NaN are one.
fn bits(frame: &DataFrame, column: &str) -> Vec<Option<u64>> {
    let values = frame.column(column).expect(column).f64().expect("numbers").iter();
    values.map(|value| value.map(|value| if value.is_nan() { f64::NAN } else { value }.to_bits())).collect()
}

/// Two columns of numbers are the same to the bit; says where not.
fn assert_same(ours: &DataFrame, theirs: &DataFrame, column: &str) {
    let (ours, theirs) = (bits(ours, column), bits(theirs, column));
    assert_eq!(ours.len(), theirs.len(), "values of `{column}`");
    for (row, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
        let [ours_read, theirs_read] = [ours, theirs].map(|bits| bits.map(f64::from_bits));
        assert_eq!(ours, theirs, "`{column}` in row {row}: {ours_read:?} and {theirs_read:?}");
    }
}

fn texts(frame: &DataFrame, column: &str) -> Vec<Option<String>> {
    let texts = frame.column(column).expect(column).cast(&DataType::String).expect("text");
    texts.str().expect("text").iter().map(|text| text.map(str::to_owned)).collect()
}

/// The times that a frame has in nanoseconds.
fn nanos(frame: &DataFrame, column: &str) -> Vec<i64> {
    let column = frame.column(column).expect(column);
    assert_eq!(column.dtype(), &DataType::Datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC)));
    column.datetime().expect("times").physical().iter().map(|time| time.expect("a time")).collect()
}

fn reasons(report: &Report) -> Vec<String> {
    let shown = |r: &executor::Shown| {
        format!("{} {} {}: {}", r.file, r.line, r.column.as_deref().unwrap_or("-"), r.reason)
    };
    report.rejects.first.iter().map(shown).collect()
}

fn times(name: &str, unit: TimeUnit, zone: Option<&str>, counts: &[Option<i64>]) -> Column {
    let zone = TimeZone::opt_try_new(zone).expect("a zone");
    Int64Chunked::new(name.into(), counts).into_datetime(unit, zone).into_column()
}

/// A long frame that has the types that come out of the sink.
fn readings(rows: usize) -> DataFrame {
    let counts: Vec<_> = (0..rows as i64).map(|row| Some(row * 1_000_000_000 + row % 7)).collect();
    let names: Vec<_> = (0..rows).map(|row| format!("press-{}", row % 5)).collect();
    let values = (0..rows).map(|row| match row % 11 {
        3 => None,
        5 => Some(f64::NAN),
        _ => Some(row as f64 / 3.0),
    });
    let notes = (0..rows).map(|row| (row % 4 > 0).then(|| format!("note {}", row % 3)));
    let sensor = Column::new("sensor".into(), names);
    DataFrame::new(
        rows,
        vec![
            times("timestamp", TimeUnit::Nanoseconds, Some("UTC"), &counts),
            sensor.cast(&DataType::from_categories(Categories::global())).expect("categories"),
            Column::new("value".into(), values.collect::<Vec<_>>()),
            Column::new("note".into(), notes.collect::<Vec<_>>()),
        ],
    )
    .expect("a frame")
}

fn long(frame: DataFrame) -> source::Frame {
    source::Frame::new(frame).time("timestamp").sensor("sensor")
}

#[test]
fn a_frame_goes_through_unchanged() {
    let frame = readings(1000);
    let (out, report) = pass(long(frame.clone()));
    assert_eq!(out.schema(), frame.schema());
    assert!(out.equals_missing(&frame));
    assert_eq!((report.sources[0].name.as_str(), report.sources[0].ledger.output), ("frame", 1000));
    assert_eq!(report.sensors, 5);
}

#[test]
fn numbers_of_every_type_keep_it() {
    let frame = df!(
        "i8" => [Some(i8::MIN), None, Some(i8::MAX)],
        "i16" => [Some(i16::MIN), None, Some(i16::MAX)],
        "i32" => [Some(i32::MIN), None, Some(i32::MAX)],
        "i64" => [Some(i64::MIN), None, Some(9_007_199_254_740_993)],
        "u8" => [Some(0_u8), None, Some(u8::MAX)],
        "u16" => [Some(0_u16), None, Some(u16::MAX)],
        "u32" => [Some(0_u32), None, Some(u32::MAX)],
        "u64" => [Some(9_007_199_254_740_995_u64), None, Some(u64::MAX)],
        "f32" => [Some(0.1_f32), None, Some(f32::NAN)],
        "f64" => [Some(-0.0), None, Some(f64::from_bits(1))],
    );
    let frame = frame.expect("a frame");
    let (out, _) = pass(source::Frame::new(frame.clone()).sensor_name("s"));
    let ends = |name: &str| match bits(&out, name)[..] {
        [Some(first), None, Some(last)] => [f64::from_bits(first), f64::from_bits(last)],
        _ => panic!("`{name}` has a null in the middle"),
    };
    // Narrower ones widen.
    for (names, dtype) in
        [(["i8", "i16", "i32", "i64"], DataType::Int64), (["u8", "u16", "u32", "u64"], DataType::UInt64)]
    {
        for name in names {
            let expected = frame.column(name).expect("a column").cast(&dtype).expect("wider");
            assert!(out.column(name).expect("a column").equals_missing(&expected), "{name}");
        }
    }
    assert_eq!(ends("f32")[0], f64::from(0.1_f32));
    assert!(ends("f32")[1].is_nan());
    assert_same(&out, &frame, "f64");
}

#[test]
fn a_sensor_can_be_text_a_category_or_anything_with_a_text() {
    let names = Column::new("s".into(), [Some("b"), Some("a"), None, Some(""), Some("b")]);
    let frozen = FrozenCategories::new(["a", "b", ""]).expect("categories");
    let kinds = [
        DataType::String,
        DataType::from_categories(Categories::global()),
        DataType::from_frozen_categories(frozen),
    ];
    for kind in kinds {
        let frame = DataFrame::new(5, vec![names.cast(&kind).expect("cast")]).expect("a frame");
        let (out, report) = pass(source::Frame::new(frame).sensor("s"));
        assert_eq!(texts(&out, "s"), ["b", "a", "b"].map(|name| Some(name.to_owned())), "{kind}");
        assert_eq!(reasons(&report), ["frame 3 s: no sensor", "frame 4 s: no sensor"], "{kind}");
    }
    let (out, _) = pass(source::Frame::new(df!("s" => [7, 8]).expect("a frame")).sensor("s"));
    assert_eq!(texts(&out, "s"), [Some("7".into()), Some("8".into())]);
}

#[test]
fn what_is_no_number_is_carried_along() {
    let days = Int32Chunked::new("day".into(), &[Some(0), None, Some(2_932_896)]).into_date().into_column();
    let zoned =
        times("zoned", TimeUnit::Milliseconds, Some("Europe/Berlin"), &[Some(1), None, Some(i64::MAX)]);
    let naive = times("naive", TimeUnit::Microseconds, None, &[Some(1_500_000), None, Some(0)]);
    let others = df!(
        "ok" => [Some(true), None, Some(false)],
        "note" => [Some("x"), None, Some("")],
        "none" => [None::<f64>; 3],
    );
    let mut columns = others.expect("a frame").into_columns();
    columns.extend([days, naive, zoned]);
    let frame = DataFrame::new(3, columns).expect("a frame");
    let (out, report) = pass(source::Frame::new(frame));
    let shown =
        |name: &str| texts(&out, name).into_iter().map(|text| text.unwrap_or("-".into())).collect::<Vec<_>>();
    assert_eq!(shown("sensor"), ["frame", "frame"]);
    assert_eq!(shown("ok"), ["true", "-"]);
    assert_eq!(shown("note"), ["x", "-"]);
    assert_eq!(shown("day"), ["1970-01-01", "-"]);
    assert_eq!(shown("naive"), ["1970-01-01T00:00:01.500", "-"]);
    assert_eq!(shown("zoned"), ["1970-01-01T00:00:00.001Z", "-"]);
    assert_eq!(bits(&out, "none"), [None, None]);
    assert_eq!(reasons(&report), ["frame 3 zoned: before the year -9999 or after 9999"]);
}

#[test]
fn booleans_keep_their_type_and_text_is_numbers_where_they_are_named_so() {
    let frame = df!(
        "ok" => [Some(true), None, Some(false), Some(true)],
        "v" => [Some(" 1.5 "), Some("NA"), Some("nan"), Some("1,5")],
    );
    let mut source = source::Frame::new(frame.expect("a frame")).measurements(["ok", "v"]);
    source.columns.null_values = vec!["NA".into()];
    let (out, report) = pass(source);
    let ok = out.column("ok").expect("a column").bool().expect("booleans").iter();
    assert_eq!(ok.collect::<Vec<_>>(), [Some(true), None, Some(false)]);
    assert_eq!(bits(&out, "v"), [Some(1.5_f64.to_bits()), None, Some(f64::NAN.to_bits())]);
    assert_eq!(reasons(&report), ["frame 4 v: \"1,5\" is not a number"]);
}

#[test]
fn times_of_every_unit_and_zone_are_the_same_instants() {
    let noon = 1_719_835_200;
    for (unit, step) in [
        (TimeUnit::Milliseconds, 1000),
        (TimeUnit::Microseconds, 1_000_000),
        (TimeUnit::Nanoseconds, 1_000_000_000),
    ] {
        for zone in [None, Some("UTC"), Some("Asia/Tokyo")] {
            let at = times("at", unit, zone, &[Some(noon * step), None, Some(-step)]);
            let (out, report) =
                pass(source::Frame::new(DataFrame::new(3, vec![at]).expect("a frame")).time("at"));
            assert_eq!(nanos(&out, "at"), [noon * 1_000_000_000, -1_000_000_000], "{unit:?} {zone:?}");
            assert_eq!(reasons(&report), ["frame 2 at: no timestamp"]);
        }
    }
}

#[test]
fn times_without_a_zone_are_those_of_the_option() {
    let at = times("at", TimeUnit::Milliseconds, None, &[Some(1_719_835_200_000)]);
    let day = Int32Chunked::new("day".into(), &[Some(19_905)]).into_date().into_column();
    let frame = DataFrame::new(1, vec![at, day]).expect("a frame");
    for (column, hours) in [("at", 10), ("day", -2)] {
        let mut source = source::Frame::new(frame.clone()).time(column);
        source.columns.timezone = Some("Europe/Berlin".into());
        let midnight = 19_905 * 86_400;
        assert_eq!(nanos(&pass(source).0, column), [(midnight + hours * 3600) * 1_000_000_000]);
    }
}

#[test]
fn times_can_be_text_and_numbers_and_must_lie_within_the_range() {
    let written = df!("at" => [Some("1970-01-01T01:00:00+01:00"), Some("soon"), None]).expect("a frame");
    let (out, report) = pass(source::Frame::new(written).time("at"));
    assert_eq!(nanos(&out, "at"), [0]);
    assert_eq!(report.rejects.malformed, 2);
    let mut counted = source::Frame::new(df!("at" => [1500_i64]).expect("a frame")).time("at");
    counted.columns.time_format = "ms".into();
    assert_eq!(nanos(&pass(counted).0, "at"), [1_500_000_000]);
    let far = [Some(0), Some(32_503_680_000_000), Some(i64::MAX)];
    let far = times("at", TimeUnit::Milliseconds, None, &far);
    let frame = DataFrame::new(3, vec![far]).expect("a frame");
    let (out, report) = pass(source::Frame::new(frame).time("at"));
    assert_eq!(nanos(&out, "at"), [0]);
    assert_eq!(reasons(&report), ["frame 2 at: outside 1677 to 2262", "frame 3 at: outside 1677 to 2262"]);
}

#[test]
fn chunks_slices_and_batches_of_any_size_change_nothing() {
    let whole = readings(40_000);
    let mut pieces = whole.slice(0, 0);
    for (from, rows) in [(0, 1), (1, 0), (1, 16_384), (16_385, 20_000), (36_385, 3615)] {
        pieces.vstack_mut(&whole.slice(from, rows)).expect("one schema");
    }
    let mut wider = whole.slice(39_000, 1000);
    wider.vstack_mut(&whole).expect("one schema");
    for frame in [&whole, &pieces, &wider.slice(1000, 40_000)] {
        let (out, report) = pass(long(frame.clone()));
        assert!(out.equals_missing(&whole));
        assert_eq!(report.sources[0].ledger.input, 40_000);
    }
    let (sink, mut options) = (sink::Frame::new(), RunOptions::default());
    let result = sink.handle();
    options.open.chunk_size = 1000;
    let pipeline = Pipeline::builder().source(long(pieces)).sink(sink).build().expect("a pipeline");
    executor::run(&pipeline, &options, &mut ()).expect("a run");
    assert!(result.take().expect("a frame").equals_missing(&whole));
}

#[test]
fn a_wide_frame_has_several_measurements_and_new_columns_come_behind() {
    let frame = df!("pressure" => [1.0, 2.0, 9.0], "flow" => [Some(5), None, Some(7)]).expect("a frame");
    let source = source::Frame::new(frame).sensor_name("pump");
    let (out, _) = run(source, |builder| {
        let flag =
            Threshold { columns: Some(vec!["pressure".into()].into()), ..Threshold::between(0.0, 5.0) };
        builder.stage(flag.action(Action::Flag)).stage(MovingAverage::rows(2).count(true))
    });
    let types: Vec<_> =
        out.columns().iter().map(|column| format!("{} {}", column.name(), column.dtype())).collect();
    let expected = [
        "sensor cat",
        "pressure f64",
        "flow i64",
        "pressure_ok bool",
        "pressure_avg f64",
        "pressure_avg_count u64",
        "flow_avg f64",
        "flow_avg_count u64",
    ];
    assert_eq!(types, expected);
    let rest = out.select(["pressure_ok", "pressure_avg", "flow_avg_count"]).expect("columns");
    let expected = df!("pressure_ok" => [true, true, false], "pressure_avg" => [1.0, 1.5, 5.5], "flow_avg_count" => [1_u64, 1, 1]);
    assert!(rest.equals_missing(&expected.expect("a frame")), "{rest:?}");
}

#[test]
fn rejected_rows_are_in_the_dead_letter() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dead.jsonl");
    let frame = df!("s" => [Some("a"), None, Some("b")], "at" => [Some("1970-01-01T00:00:00Z"), None, None]);
    let source = source::Frame::new(frame.expect("a frame")).time("at").sensor("s");
    let (out, report) = run(source, |builder| builder.sink(DeadLetter::new(path.to_str().expect("UTF-8"))));
    assert_eq!((out.height(), report.sources[0].ledger.rejected, report.sensors), (1, 2, 1));
    let dead = std::fs::read_to_string(path).expect("a dead letter");
    let letters = dead.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let shown: Vec<_> = letters.map(|l| format!("{} {} {}", l["file"], l["line"], l["column"])).collect();
    assert_eq!(shown, ["\"frame\" 2 \"s\"", "\"frame\" 3 \"at\""]);
}

#[test]
fn a_lazy_frame_is_collected_once_and_its_errors_are_told() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let counting = move |frame: DataFrame| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(frame)
    };
    let lazy = readings(100).lazy().map(counting, AllowedOptimizations::default(), None, None);
    let lazy = lazy.filter(col("value").is_not_null());
    assert_eq!(count.load(Ordering::Relaxed), 0);
    let source = source::Frame::lazy(lazy).time("timestamp").sensor("sensor");
    let (out, report) = run(source, |builder| builder.stage(Normalize::fitted(Method::MinMax)));
    assert_eq!((out.height(), report.passes, count.load(Ordering::Relaxed)), (91, 2, 1));

    let error = refused(source::Frame::lazy(readings(1).lazy().select([col("valu")])));
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(
        error.to_string().contains("the LazyFrame cannot be collected") && error.to_string().contains("valu")
    );
}

#[test]
fn clause_19_nothing_is_there_before_a_run_has_ended_well() {
    let sink = sink::Frame::new();
    let result = sink.handle();
    let run = |frame: DataFrame| {
        let input = InputOptions { max_rejects: Some(MaxRejects::Count(0)), ..InputOptions::default() };
        Pipeline::builder().source(long(frame)).input(input).sink(sink.clone()).run()
    };
    let mut bad = readings(20_000);
    let last = times("timestamp", TimeUnit::Nanoseconds, Some("UTC"), &[None]);
    let mut row = readings(1);
    row.replace("timestamp", last).expect("replaced");
    bad.vstack_mut(&row).expect("one schema");
    assert_eq!(run(bad.clone()).expect_err("a reject too many").kind(), ErrorKind::Data);
    assert!(result.take().is_none());
    run(readings(10)).expect("a run");
    run(bad).expect_err("a reject too many");
    assert_eq!(result.take().expect("the older one").height(), 10);
    assert!(result.take().is_none(), "taken");
    run(readings(0)).expect("a run");
    let empty = result.take().expect("a frame");
    assert_eq!((empty.height(), empty.schema()), (0, readings(1).schema()));
}

/// A sink whose disk is full when everything is to be handed over.
struct Full;

impl SinkSpec for Full {
    fn name(&self) -> &str {
        "full"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn open(
        &self,
        _schema: &Arc<tidemill::batch::Schema>,
        _context: &tidemill::sink::SinkContext,
    ) -> Result<Box<dyn Sink>, Error> {
        Ok(Box::new(Self))
    }
}

impl Sink for Full {
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<(), Error> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Io, "the disk is full"))
    }
}

#[test]
fn clause_19_a_frame_waits_for_the_other_sinks() {
    let sink = sink::Frame::new();
    let result = sink.handle();
    let builder = Pipeline::builder().source(long(readings(10)));
    builder.sink(sink).sink(Full).run().expect_err("a full disk");
    assert!(result.take().is_none());
}

#[test]
fn several_frames_each_get_their_sensors() {
    let (all, some) = (sink::Frame::new(), sink::Frame::new());
    let (all_result, some_result) = (all.handle(), some.handle());
    let builder = Pipeline::builder().source(long(readings(100)));
    builder.sink(all).sink_for(["*-[12]"], some).run().expect("a run");
    assert_eq!(all_result.take().expect("a frame").height(), 100);
    let some = some_result.take().expect("a frame");
    assert_eq!(some.height(), 40);
    assert!(texts(&some, "sensor").iter().flatten().all(|name| name == "press-1" || name == "press-2"));
}

#[test]
fn a_source_goes_on_from_an_offset() {
    let (mut source, mut sensors) =
        (long(readings(100)).open(&OpenOptions::default()).expect("open"), Sensors::default());
    let mut offset = source.offset();
    offset.at = 90;
    source.seek(offset).expect("sought");
    let Some(Input::Records(decoded)) = source.next(&mut sensors).expect("read") else { panic!("records") };
    assert_eq!((decoded.batch.len(), decoded.batch.measurement(2).get(0)), (10, Some(30.0)));
    assert!(source.next(&mut sensors).expect("read").is_none());
    assert_eq!((source.offset().at, source.progress().total), (100, Some(100)));
}

#[test]
fn frames_that_do_not_fit_are_refused_with_what_to_do() {
    let frame = df!("at" => [1.5], "sensor" => ["a"]).expect("a frame");
    let error = refused(source::Frame::new(frame.clone()).time("att").sensor("sensor")).to_string();
    assert_eq!(error, "`frame` has no column `att` (option `time`); did you mean `at`?");
    let error = refused(source::Frame::new(frame)).to_string();
    assert!(error.contains("set sensor = \"sensor\""), "{error}");
    let list = Column::new("l".into(), [Series::new("".into(), [1, 2])]);
    let day = Int32Chunked::new("day".into(), &[Some(0)]).into_date().into_column();
    let frame = DataFrame::new(1, vec![list, day]).expect("a frame");
    let error = refused(source::Frame::new(frame.clone())).to_string();
    assert!(error.starts_with("column `l` of type list[i32] cannot be a text; cast it in polars"), "{error}");
    let error =
        refused(source::Frame::new(frame.drop("l").expect("dropped")).measurements(["day"])).to_string();
    assert!(error.starts_with("column `day` of type date cannot be a measurement"), "{error}");
}
