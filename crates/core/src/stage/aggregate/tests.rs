use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::batch::{Batch, FieldType};
use crate::kernel::exact_sum::ExactSum;
use crate::kernel::quantile::quantile_sorted;
use crate::sensor::Sensors;
use crate::stage::Flow;
use crate::stage::testing::{Outcome, Table, run, run_with_restarts};

fn table(rows: &[(u8, i64, Option<f64>)]) -> Table {
    rows.iter().fold(Table::new(&["v"]), |table, &(sensor, time, value)| {
        table.row(&format!("s{sensor}"), time, &[value])
    })
}

/// The complete outcome, floats as bits.
fn bits(outcome: &Outcome, stage: &Aggregate) -> Vec<(String, Vec<Option<u64>>)> {
    let column = Field::measurement("v");
    let names = stage.fields_of(&column).map(|field| (field.name.to_string(), field.ty));
    let columns = names.map(|(name, ty)| {
        let values = match ty {
            FieldType::U64 => outcome.counts(&name).into_iter().map(Some).collect(),
            _ => outcome.measurement(&name).into_iter().map(|value| value.map(f64::to_bits)).collect(),
        };
        (name, values)
    });
    columns.collect()
}

fn sensors(outcome: &Outcome) -> Vec<String> {
    let ids = outcome.batches.iter().flat_map(Batch::sensors);
    ids.map(|&id| outcome.sensors.name(id).to_owned()).collect()
}

fn all() -> Aggregate {
    let statistics = vec![
        Statistic::Count,
        Statistic::Sum,
        Statistic::Mean,
        Statistic::Min,
        Statistic::Max,
        Statistic::Std,
    ];
    Aggregate { statistics, quantiles: vec![0.0, 0.5, 1.0], ..Aggregate::default() }
}

#[test]
fn clause_21_one_record_a_sensor_by_name() {
    let values =
        [(2, 0, Some(4.0)), (1, 0, Some(1.0)), (2, 0, Some(8.0)), (0, 0, None), (1, 0, Some(f64::NAN))];
    let outcome = run(&all(), &table(&values), 2);
    assert_eq!(sensors(&outcome), ["s0", "s1", "s2"]);
    assert_eq!(outcome.counts("v_count"), [0, 1, 2]);
    assert_eq!(outcome.measurement("v_sum"), [None, Some(1.0), Some(12.0)]);
    assert_eq!(outcome.measurement("v_mean"), [None, Some(1.0), Some(6.0)]);
    assert_eq!(outcome.measurement("v_min"), [None, Some(1.0), Some(4.0)]);
    assert_eq!(outcome.measurement("v_max"), [None, Some(1.0), Some(8.0)]);
    assert_eq!(outcome.measurement("v_std"), [None, Some(0.0), Some(2.0)]);
    assert_eq!(outcome.measurement("v_p0"), [None, Some(1.0), Some(4.0)]);
    assert_eq!(outcome.measurement("v_p100"), [None, Some(1.0), Some(8.0)]);
    assert_eq!((outcome.flow.folded, outcome.flow.made), (5, 3));
}

#[test]
fn clause_21_extremes_and_quantiles_of_zeros_and_subnormal_numbers() {
    let least = f64::from_bits(1);
    let series =
        [[0.0, -0.0, 0.0], [-0.0, 0.0, -0.0], [least, -least, 0.0], [3.0 * least, 2.0 * least, least]];
    let rows = series
        .iter()
        .enumerate()
        .flat_map(|(sensor, values)| values.map(|value| (sensor as u8, 0, Some(value))));
    let stage = Aggregate { quantiles: vec![0.0, 0.5, 1.0], ..all() };
    let outcome = run(&stage, &table(&rows.collect::<Vec<_>>()), 2);
    let bits =
        |name: &str| outcome.measurement(name).into_iter().flatten().map(f64::to_bits).collect::<Vec<_>>();
    let expect = |values: [f64; 4]| values.map(f64::to_bits);
    for name in ["v_min", "v_p0"] {
        assert_eq!(bits(name), expect([-0.0, -0.0, -least, least]), "{name}");
    }
    for name in ["v_max", "v_p100"] {
        assert_eq!(bits(name), expect([0.0, 0.0, least, 3.0 * least]), "{name}");
    }
    assert_eq!(bits("v_p50"), expect([0.0, -0.0, 0.0, 2.0 * least]));
}

#[test]
fn clause_21_an_interval_leaves_when_its_sensor_is_past_it() {
    let values = [
        (0, 0, Some(1.0)),
        (1, 9, Some(7.0)),
        (0, 9, Some(3.0)),
        (0, 25, Some(5.0)),
        (0, 8, Some(0.0)),
        (0, 20, None),
    ];
    let outcome = run(&Aggregate::every("10ns"), &table(&values), 1);
    assert_eq!(outcome.keys(), [("s0".into(), 0), ("s1".into(), 0), ("s0".into(), 20)]);
    assert_eq!(outcome.counts("v_count"), [2, 1, 1]);
    assert_eq!(outcome.measurement("v_mean"), [Some(2.0), Some(7.0), Some(5.0)]);
    assert_eq!(outcome.batches[3].len(), 1, "with the record that is past it");
    assert_eq!((outcome.flow.folded, outcome.flow.made), (5, 3));
    let late = &outcome.flow.rejections[0];
    assert_eq!((late.kind, late.position.line), (crate::error::RejectionKind::Late, 5));
    assert!(
        late.reason.contains("already in the interval of 10ns from 1970-01-01T00:00:00.00000002"),
        "{}",
        late.reason
    );
}

#[test]
fn clause_21_an_interval_leaves_when_its_sensor_is_quiet() {
    // The seventh record is a whole interval past the end of the first interval of 0 and 1; 2 reports again after that.
    let rows =
        [(2, 3), (3, 9), (0, 5), (1, 18), (0, 19), (1, 20), (0, 21), (2, 9), (2, 11), (1, 40), (0, 39)];
    let outcome = run(&Aggregate::every("10ns"), &table(&rows.map(|(s, t)| (s, t, Some(1.0)))), 3);
    let keys = [
        ("s0", 0),
        ("s1", 10),
        ("s0", 10),
        ("s2", 0),
        ("s3", 0),
        ("s1", 20),
        ("s0", 20),
        ("s2", 10),
        ("s0", 30),
        ("s1", 40),
    ];
    assert_eq!(outcome.keys(), keys.map(|(sensor, time)| (sensor.to_owned(), time)));
    let late = &outcome.flow.rejections[0];
    assert_eq!((late.kind, late.position.line), (crate::error::RejectionKind::Late, 8));
    let reason =
        "late: its sensor was quiet, so the interval of 10ns from 1970-01-01T00:00:00Z has been emitted";
    assert_eq!(late.reason, reason);
    assert_eq!((outcome.flow.folded, outcome.flow.made), (10, 10));
}

#[test]
fn clause_21_intervals_before_1970_and_at_the_ends_of_time() {
    let times = [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX, i64::MAX];
    let values = times.map(|time| (0, time, Some(1.0)));
    let outcome = run(&Aggregate::every("10ns"), &table(&values), 9);
    assert_eq!(outcome.counts("v_count"), [2, 1, 1, 3]);
    let starts: Vec<i64> = outcome.keys().into_iter().map(|(_, time)| time).collect();
    assert_eq!(starts, [i64::MIN, -10, 0, i64::MAX - 7]);
}

#[test]
fn wrong_options_are_configuration_errors() {
    let schema = table(&[]).schema();
    let error = |stage: Aggregate| stage.output(&schema).expect_err("wrong").to_string();
    assert!(error(Aggregate { quantiles: vec![99.0], ..Aggregate::default() }).contains("0.99"));
    assert!(error(Aggregate { statistics: vec![], ..Aggregate::default() }).contains("no statistics"));
    assert!(error(Aggregate { into: "{column}".into(), ..Aggregate::default() }).contains("{statistic}"));
    assert!(error(Aggregate::every("1 week")).contains("`every`"));
    let without = Schema::new(vec![Field::sensor("s"), Field::measurement("v")]).expect("schema");
    let error = Aggregate::every("1h").output(&without).expect_err("no time").to_string();
    assert!(error.contains("needs a time column"), "{error}");
}

#[test]
fn quantiles_are_named_as_percentiles() {
    assert_eq!([0.5, 0.999, 0.07, 1.0, 0.29].map(percentile), ["p50", "p99.9", "p7", "p100", "p29"]);
}

fn value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        6 => (-9999..9999i32).prop_map(|v| Some(f64::from(v) / 100.0)),
        1 => prop_oneof![Just(None), Just(Some(f64::NAN)), Just(Some(1e300)), Just(Some(-1e-300)), Just(Some(-0.0))],
    ]
}

/// Clause 21 as a plain loop: which intervals are emitted, in which order, and which records are late. With 128 bits, times do not
/// overflow. Intervals are identified by ordinal and sensor.
fn plain(rows: &[(u8, i64, Option<f64>)], every: i128) -> (Vec<(i128, u8)>, Vec<u64>) {
    let time = |at: usize| i128::from(rows[at].1);
    let of = |sensor: u8, at: usize| (0..=at).filter(move |&row| rows[row].0 == sensor);
    let watermark = |at: usize| {
        let mut newest: Vec<_> = (0..6).filter_map(|sensor| of(sensor, at).map(time).max()).collect();
        newest.sort_unstable();
        newest.len().checked_sub(2).map(|second| newest[second])
    };
    let (mut left, mut late) = (Vec::new(), Vec::new());
    let mut open: BTreeMap<u8, i128> = BTreeMap::new();
    for (at, &(sensor, ..)) in rows.iter().enumerate() {
        let interval = time(at).div_euclid(every);
        let last = left.iter().filter(|of: &&(i128, u8)| of.1 == sensor).map(|of| of.0).max();
        if open.get(&sensor).is_some_and(|&open| interval < open) || last.is_some_and(|last| interval <= last)
        {
            late.push(at as u64 + 1);
        } else if let Some(before) = open.insert(sensor, interval).filter(|&before| before < interval) {
            left.push((before, sensor));
        }
        let is_quiet = |sensor: u8, interval: i128| {
            let seen = of(sensor, at).next_back().and_then(watermark);
            watermark(at) >= seen.max(Some((interval + 1) * every)).map(|from| from + every)
        };
        let mut quiet: Vec<_> = open.iter().map(|(&sensor, &interval)| (interval, sensor)).collect();
        quiet.retain(|&(interval, sensor)| is_quiet(sensor, interval));
        quiet.sort_unstable();
        quiet.iter().for_each(|(_, sensor)| open.retain(|of, _| of != sensor));
        left.extend(quiet);
    }
    let mut open: Vec<_> = open.into_iter().map(|(sensor, interval)| (interval, sensor)).collect();
    open.sort_unstable();
    left.extend(open);
    (left, late)
}

/// Records with advancing times, some sensors rare, one far behind; and some at the limits of the time range.
fn rows() -> impl Strategy<Value = Vec<(u8, i64, Option<f64>)>> {
    let sensor = prop_oneof![6 => 0..3u8, 1 => 3..6u8];
    let going_on = proptest::collection::vec((sensor, 0..5i64, -9..5i64, value()), 1..120).prop_map(|rows| {
        let mut now = 0;
        let mut row = |(sensor, step, apart, value): (u8, i64, i64, _)| {
            now += step;
            (sensor, now + apart - 20 * i64::from(sensor == 5), value)
        };
        rows.into_iter().map(&mut row).collect()
    });
    let time =
        prop_oneof![0..40i64, (0..30i64).prop_map(|t| i64::MAX - t), (0..30i64).prop_map(|t| i64::MIN + t)];
    prop_oneof![3 => going_on, 1 => proptest::collection::vec((0..4u8, time, value()), 1..60)]
}

proptest! {
    #[test]
    fn clause_21_the_intervals_that_leave_are_those_of_the_plain_version(
        rows in rows(), every in 1..20i64, size in 1..30usize,
    ) {
        let outcome = run(&Aggregate::every(format!("{every}ns")), &table(&rows), size);
        let (left, late) = plain(&rows, every.into());
        let start = |interval: i128| i64::try_from((interval * i128::from(every)).max(i64::MIN.into())).expect("within time");
        let expected: Vec<_> = left.into_iter().map(|(interval, sensor)| (format!("s{sensor}"), start(interval))).collect();
        prop_assert_eq!(outcome.keys(), expected);
        let got: Vec<_> = outcome.flow.rejections.iter().map(|rejection| rejection.position.line).collect();
        prop_assert_eq!(&got, &late);
        prop_assert_eq!(outcome.flow.folded + late.len() as u64, rows.len() as u64);
    }

    #[test]
    fn summaries_are_those_of_all_values_of_a_series(
        rows in proptest::collection::vec((0..3u8, Just(0), value()), 1..80), size in 1..20usize,
    ) {
        let mut series: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
        for &(sensor, _, value) in &rows {
            series.entry(sensor).or_default().extend(value.filter(|value| value.is_finite()));
        }
        let outcome = run(&all(), &table(&rows), size);
        for (at, values) in series.values_mut().enumerate() {
            values.sort_by(f64::total_cmp);
            let mut sum = ExactSum::new();
            values.iter().for_each(|&value| sum.add(value));
            let some = |value: f64| (!values.is_empty()).then_some(value);
            prop_assert_eq!(outcome.counts("v_count")[at], values.len() as u64);
            prop_assert_eq!(outcome.measurement("v_sum")[at], some(sum.round()));
            prop_assert_eq!(outcome.measurement("v_mean")[at], some(sum.mean(values.len().max(1) as u64)));
            prop_assert_eq!(outcome.measurement("v_min")[at], quantile_sorted(values, 0.0));
            prop_assert_eq!(outcome.measurement("v_max")[at], quantile_sorted(values, 1.0));
        }
    }

    #[test]
    fn neither_batches_nor_restarts_nor_workers_change_anything(
        rows in proptest::collection::vec((0..3u8, 0..30i64, value()), 1..60), size in 1..20usize, parts in 1..4usize,
    ) {
        let whole = run(&all(), &table(&rows), 1000);
        let by_interval = Aggregate { every: Some("10ns".into()), ..all() };
        let intervals = run(&by_interval, &table(&rows), 1000);
        prop_assert_eq!(bits(&run_with_restarts(&all(), &table(&rows), size), &all()), bits(&whole, &all()));
        let restarted = run_with_restarts(&by_interval, &table(&rows), size);
        prop_assert_eq!(bits(&restarted, &all()), bits(&intervals, &all()));
        prop_assert_eq!(restarted.keys(), intervals.keys());
        prop_assert_eq!(restarted.flow.rejections.len(), intervals.flow.rejections.len());

        // Several workers take turns; their summaries are merged.
        let (mut sensors, mut flow) = (Sensors::default(), Flow::default());
        let mut workers: Vec<_> =
            (0..parts).map(|_| all().start(&table(&rows).schema()).expect("started")).collect();
        for (at, batch) in table(&rows).batches(size, &mut sensors).into_iter().enumerate() {
            workers[at % parts].process(batch, &sensors, &mut flow).expect("processed");
        }
        let mut first = workers.remove(0);
        workers.into_iter().for_each(|worker| first.merge(worker).expect("merged"));
        let batches = first.finish(&sensors, &mut flow).expect("finished").into_iter().collect();
        prop_assert_eq!(bits(&Outcome { batches, flow, sensors }, &all()), bits(&whole, &all()));
    }
}
