//! Clause 14.

use num_rational::BigRational;
use proptest::prelude::*;

use super::*;
use crate::sensor::Sensors;
use crate::stage::testing::{Table, run, run_any, run_with_restarts};

const NAN: f64 = f64::NAN;

fn table(values: &[Option<f64>]) -> Table {
    values.iter().enumerate().fold(Table::new(&["v"]), |table, (at, &value)| {
        table.row(if at % 3 == 2 { "b" } else { "a" }, at as i64, &[value])
    })
}

/// The stage after its first pass over the table in batches of `size`, with its remarks.
fn fit(stage: &Normalize, table: &Table, size: usize) -> (Box<dyn Stage>, Vec<String>) {
    let mut fit = stage.fit(&table.schema()).expect("fit").expect("a first pass");
    loop {
        let mut sensors = Sensors::default();
        for batch in table.batches(size, &mut sensors) {
            fit.observe(&batch, &sensors).expect("observed");
        }
        if let Some(fitted) = fit.finish(&sensors).expect("finished") {
            return (fitted.stage, fitted.remarks);
        }
    }
}

#[test]
fn clause_14_constants_scale_and_clip() {
    let values = table(&[Some(10.0), Some(15.0), Some(30.0), Some(NAN), None]);
    let scaled = run(&Normalize::min_max(10.0, 20.0), &values, 2).measurement("v");
    assert_eq!(scaled[..3], [Some(0.0), Some(0.5), Some(2.0)]);
    assert!(scaled[3].is_some_and(f64::is_nan) && scaled[4].is_none());
    let clipped = Normalize {
        clip: true,
        range: [-1.0, 1.0],
        into: Some("{column}_n".into()),
        ..Normalize::min_max(10.0, 20.0)
    };
    let result = run(&clipped, &values, 2);
    assert_eq!(result.measurement("v_n")[..3], [Some(-1.0), Some(0.0), Some(1.0)]);
    assert_eq!(result.measurement("v")[0], Some(10.0));
}

#[test]
fn clause_14_z_score_and_robust_with_constants() {
    let values = table(&[Some(10.0), Some(16.0)]);
    let z =
        Normalize { method: Method::ZScore, mean: Some(10.0), deviation: Some(4.0), ..Normalize::default() };
    assert_eq!(run(&z, &values, 2).measurement("v"), [Some(0.0), Some(1.5)]);
    let robust =
        Normalize { method: Method::Robust, median: Some(10.0), iqr: Some(0.0), ..Normalize::default() };
    assert_eq!(run(&robust, &values, 2).measurement("v"), [Some(0.0), Some(0.0)]);
}

#[test]
fn clause_12_constants_per_sensor() {
    let mut stage = Normalize::min_max(0.0, 10.0);
    stage.sensors.insert("b*".into(), Exception { max: Some(20.0), ..Exception::default() });
    assert_eq!(
        run(&stage, &table(&[Some(5.0), Some(5.0), Some(5.0)]), 9).measurement("v"),
        [Some(0.5), Some(0.5), Some(0.25)]
    );
}

/// Rules by column: minimum and maximum where given.
fn by_column(rules: &[(&str, Option<f64>, Option<f64>)]) -> Option<ByColumn<Exception>> {
    let rule = |&(pattern, min, max): &(&str, _, _)| {
        (pattern.to_owned(), Exception { min, max, ..Exception::default() })
    };
    Some(ByColumn::Rules(rules.iter().map(rule).collect()))
}

#[test]
fn clause_14_constants_by_column_and_those_of_sensors_over_them() {
    let values = Table::new(&["TI1", "PI1", "TI2"]).row("a", 0, &[Some(5.0), Some(5.0), Some(5.0)]).row(
        "b",
        1,
        &[Some(5.0), Some(5.0), Some(5.0)],
    );
    let mut stage = Normalize {
        columns: by_column(&[
            ("*I1", None, Some(10.0)),
            ("TI*", None, Some(20.0)),
            ("TI2", Some(4.0), Some(6.0)),
        ]),
        min: Some(0.0),
        ..Normalize::default()
    };
    stage.sensors.insert("b".into(), Exception { max: Some(8.0), ..Exception::default() });
    let scaled = run(&stage, &values, 9);
    assert_eq!(scaled.measurement("TI1"), [Some(0.25), Some(0.625)]);
    assert_eq!(scaled.measurement("PI1"), [Some(0.5), Some(0.625)]);
    assert_eq!(scaled.measurement("TI2"), [Some(0.5), Some(0.25)]);
    // Measurements without a rule are unchanged.
    let some = Normalize { columns: by_column(&[("PI1", Some(0.0), Some(10.0))]), ..Normalize::default() };
    let scaled = run(&some, &values, 1);
    assert_eq!((scaled.measurement("TI1")[0], scaled.measurement("PI1")[0]), (Some(5.0), Some(0.5)));
}

#[test]
fn clause_14_a_column_without_constants_of_its_own_may_have_sensors_that_are_unknown() {
    let values =
        Table::new(&["x", "y"]).row("a", 0, &[Some(5.0), Some(5.0)]).row("b", 1, &[Some(5.0), Some(5.0)]);
    let mut stage = Normalize {
        columns: by_column(&[("x", Some(0.0), Some(10.0)), ("y", None, None)]),
        unknown: Unknown::Null,
        ..Normalize::default()
    };
    stage.sensors.insert("a".into(), Exception { min: Some(4.0), max: Some(6.0), ..Exception::default() });
    let scaled = run(&stage, &values, 1);
    assert_eq!(scaled.measurement("x"), [Some(0.5), Some(0.5)]);
    assert_eq!(scaled.measurement("y"), [Some(0.5), None]);
    let error = |stage: Normalize| stage.output(&values.schema()).expect_err("senseless").to_string();
    let all = by_column(&[("*", Some(0.0), Some(1.0))]);
    assert!(error(Normalize { columns: all.clone(), ..stage.clone() }).contains("`unknown` has no effect"));
    assert!(
        error(Normalize { columns: all, fit: true, ..Normalize::default() }).contains("mutually exclusive")
    );
    assert!(
        error(Normalize { columns: by_column(&[("x", None, Some(1.0))]), ..Normalize::default() })
            .contains("missing")
    );
    assert!(
        error(Normalize { columns: by_column(&[("z*", Some(0.0), Some(1.0))]), ..Normalize::default() })
            .contains("`z*`")
    );
}

#[test]
fn clause_14_a_constant_series_gives_0_and_is_named() {
    let values = table(&[Some(5.0), Some(5.0), Some(NAN), Some(5.0)]);
    for method in [Method::MinMax, Method::ZScore, Method::Robust] {
        let (stage, remarks) = fit(&Normalize::fitted(method), &values, 2);
        let scaled = run_any(&*stage, &values, 2).measurement("v");
        assert_eq!((scaled[0], scaled[1], scaled[2], scaled[3]), (Some(0.0), Some(0.0), None, Some(0.0)));
        assert_eq!(remarks[0], "normalize: constant, becomes 0: `v` of `a`");
        assert_eq!(remarks[1], "normalize: no finite value, becomes null: `v` of `b`");
    }
}

#[test]
fn clause_14_what_was_fitted_can_be_saved_and_loaded() {
    let path = FilePath::from("fit.json");
    let values = table(&[Some(1.0), Some(0.1), Some(7.0), Some(-3.0), Some(0.3), Some(8.5)]);
    let (stage, _) =
        fit(&Normalize { save: Some(path.clone()), ..Normalize::fitted(Method::ZScore) }, &values, 3);
    let loaded = Normalize { method: Method::ZScore, load: Some(path.clone()), ..Normalize::default() };
    let text = stage.fitted().expect("text");
    let loaded = loaded.load(&text).expect("constants");
    assert_eq!(run_any(&*loaded, &values, 4).measurement("v"), run_any(&*stage, &values, 4).measurement("v"));
    let other = Normalize { method: Method::Robust, load: Some(path), ..Normalize::default() };
    assert!(other.load(&text).err().expect("another method").to_string().contains("z_score"));
}

#[test]
fn clause_14_constants_of_the_largest_numbers_can_be_loaded() {
    let table = table(&[Some(f64::MIN), Some(f64::MAX)]);
    let (fitted, _) = fit(&Normalize::fitted(Method::MinMax), &table, 1);
    let text = fitted.fitted().expect("constants");
    let file = FitFile::parse(&text, &FilePath::from("fit.json"), Method::MinMax).expect("read back");
    assert_eq!(
        file.get("a", "v").map(|constants| (constants.zero, constants.unit)),
        Some((f64::MIN, f64::INFINITY))
    );
}

#[test]
fn clause_14_running_uses_only_what_came_before() {
    let values = Table::new(&["v"])
        .row("a", 0, &[Some(1.0)])
        .row("a", 1, &[Some(3.0)])
        .row("a", 2, &[Some(2.0)])
        .row("a", 3, &[None])
        .row("a", 4, &[Some(5.0)]);
    let scaled = run(&Normalize::running(Method::MinMax), &values, 2).measurement("v");
    assert_eq!(scaled, [None, Some(0.0), Some(0.5), None, Some(2.0)]);
    let z = run(&Normalize::running(Method::ZScore), &values, 2).measurement("v");
    assert_eq!(z[..3], [None, Some(0.0), Some(0.0)]);
}

#[test]
fn senseless_options_are_refused() {
    let schema = table(&[None]).schema();
    let error = |stage: Normalize| stage.output(&schema).expect_err("senseless").to_string();
    assert!(error(Normalize::default()).contains("no constants"));
    assert!(error(Normalize { fit: true, ..Normalize::min_max(0.0, 1.0) }).contains("mutually exclusive"));
    assert!(error(Normalize::min_max(2.0, 1.0)).contains("wrong order"));
    assert!(error(Normalize { min: Some(1.0), ..Normalize::default() }).contains("missing"));
    assert!(
        error(Normalize { mean: Some(1.0), ..Normalize::min_max(0.0, 1.0) }).contains("another `method`")
    );
    assert!(error(Normalize::running(Method::Robust)).contains("whole history"));
    assert!(error(Normalize { save: Some("x".into()), ..Normalize::min_max(0.0, 1.0) }).contains("`save`"));
}

/// Mean and deviation of the finite values, in exact arithmetic.
fn exact(values: &[f64]) -> (f64, f64) {
    let rational = |v: f64| BigRational::from_float(v).expect("finite");
    let count = BigRational::from_integer(values.len().into());
    let sum: BigRational = values.iter().map(|&v| rational(v)).sum();
    let squares: BigRational = values.iter().map(|&v| rational(v) * rational(v)).sum();
    let variance = squares / &count - (&sum / &count) * (&sum / &count);
    use num_rational::Ratio;
    let float = |ratio: &Ratio<num_bigint::BigInt>| num_traits(ratio);
    (float(&sum) / values.len() as f64, float(&variance).sqrt())
}

/// The nearest `f64` of a ratio within the ordinary range.
fn num_traits(ratio: &BigRational) -> f64 {
    format!(
        "{}e-40",
        (ratio * BigRational::from_integer(num_bigint::BigInt::from(10).pow(40))).round().to_integer()
    )
    .parse()
    .expect("a number")
}

proptest! {
    #[test]
    fn clause_14_fitting_is_exact_and_does_not_depend_on_order(
        values in proptest::collection::vec((-99_999..99_999i32).prop_map(|v| f64::from(v) / 256.0), 1..60), size in 1..20usize,
    ) {
        let in_order = values.iter().fold(Table::new(&["v"]), |table, &v| table.row("a", 0, &[Some(v)]));
        let reversed = values.iter().rev().fold(Table::new(&["v"]), |table, &v| table.row("a", 0, &[Some(v)]));
        for method in [Method::MinMax, Method::ZScore, Method::Robust] {
            let stage = Normalize::fitted(method);
            let text = fit(&stage, &in_order, size).0.fitted();
            prop_assert_eq!(&text, &fit(&stage, &reversed, 1000).0.fitted());
            if method == Method::ZScore {
                let file: FitFile = serde_json::from_str(&text.expect("text")).expect("file");
                let constants = file.get("a", "v").expect("constants");
                prop_assert_eq!((constants.zero, constants.unit), exact(&values));
            }
        }
    }

    #[test]
    fn batches_and_restarts_change_nothing(values in proptest::collection::vec(proptest::option::of(-9.0..9.0f64), 1..60), size in 1..20usize) {
        let table = table(&values);
        for method in [Method::MinMax, Method::ZScore] {
            let stage = Normalize::running(method);
            let whole = run(&stage, &table, 1000).measurement("v");
            prop_assert_eq!(&run(&stage, &table, size).measurement("v"), &whole);
            prop_assert_eq!(&run_with_restarts(&stage, &table, size).measurement("v"), &whole);
        }
    }
}

/// The names of sensors in another order.
fn in_another_order(salt: usize) -> Sensors {
    let mut sensors = Sensors::default();
    ["b", "x", "a"].iter().cycle().skip(salt).take(salt % 4).for_each(|name| drop(sensors.id(name)));
    sensors
}

/// The text of what is learnt of the table by processes that see its records in turn, and what all of them have seen put together in another order.
fn fit_apart(stage: &Normalize, table: &Table, size: usize, processes: usize) -> Option<String> {
    let schema = table.schema();
    let new = || stage.fit(&schema).expect("fit").expect("a first pass");
    let (mut all, mut known) = (new(), in_another_order(processes));
    loop {
        let looks_for = all.save(&known).expect("saved");
        let mut seen: Vec<Vec<u8>> = (0..processes)
            .map(|process| {
                let (mut fit, mut sensors) = (new(), in_another_order(process));
                fit.merge_saved(&looks_for, &mut sensors).expect("taken over");
                for batch in table.batches(size, &mut sensors).iter().skip(process).step_by(processes) {
                    fit.observe(batch, &sensors).expect("observed");
                }
                fit.save(&sensors).expect("saved")
            })
            .collect();
        seen.rotate_left(processes / 2);
        for saved in &seen {
            all.merge_saved(saved, &mut known).expect("merged");
        }
        if let Some(fitted) = all.finish(&known).expect("finished") {
            return fitted.stage.fitted();
        }
        // What was seen in the pass before is refused.
        let error = all.merge_saved(&seen[0], &mut known).expect_err("another pass").to_string();
        assert!(error.contains("another pass"), "{error}");
    }
}

#[test]
fn clause_14_what_processes_have_seen_over_several_passes_is_put_together() {
    let value = |at: i32| f64::from(at * 7919 % 10_007) / 3.0;
    let values = (0..10_007).fold(Table::new(&["v", "w"]), |table, at| {
        table.row(if at % 5 == 0 { "b" } else { "a" }, i64::from(at), &[Some(value(at)), Some(1.0)])
    });
    let stage = Normalize::fitted(Method::Robust);
    assert_eq!(fit_apart(&stage, &values, 500, 3), fit(&stage, &values, 500).0.fitted());
}

#[test]
fn clause_14_what_another_first_pass_has_seen_is_refused() {
    let values = table(&[Some(1.0), Some(2.0)]);
    let saved = |stage: &Normalize, table: &Table| {
        let (mut fit, mut sensors) =
            (stage.fit(&table.schema()).expect("fit").expect("a pass"), Sensors::default());
        let batches = table.batches(9, &mut sensors);
        batches.iter().for_each(|batch| fit.observe(batch, &sensors).expect("observed"));
        fit.save(&sensors).expect("saved")
    };
    let stage = Normalize::fitted(Method::ZScore);
    let refused = |saved: &[u8]| {
        let mut fit = stage.fit(&values.schema()).expect("fit").expect("a pass");
        fit.merge_saved(saved, &mut Sensors::default()).expect_err("refused").to_string()
    };
    let other = refused(&saved(&Normalize::fitted(Method::Robust), &values));
    assert!(other.contains("`method` was \"robust\", is \"z_score\""), "{other}");
    let other = refused(&saved(&stage, &Table::new(&["w"]).row("a", 1, &[Some(1.0)])));
    assert!(other.contains("the columns were Measurement F64 w"), "{other}");
    let whole = saved(&stage, &values);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        refused(&damaged);
        refused(&whole[..at]);
    }
}

proptest! {
    #[test]
    fn clause_14_what_processes_have_seen_is_put_together_exactly(
        values in proptest::collection::vec(proptest::option::of(prop_oneof![-9.0..9.0f64, any::<f64>()]), 1..60), size in 1..9usize, processes in 1..5usize,
    ) {
        let table = table(&values);
        for method in [Method::MinMax, Method::ZScore, Method::Robust] {
            let stage = Normalize::fitted(method);
            prop_assert_eq!(fit_apart(&stage, &table, size, processes), fit(&stage, &table, size).0.fitted());
        }
    }

    #[test]
    fn clause_14_a_forged_first_pass_is_an_error_or_a_first_pass(
        values in proptest::collection::vec(proptest::option::of(any::<f64>()), 1..20), at in any::<proptest::sample::Index>(), byte in any::<u8>(),
    ) {
        let table = table(&values);
        for method in [Method::MinMax, Method::ZScore, Method::Robust] {
            let new = || Normalize::fitted(method).fit(&table.schema()).expect("fit").expect("a pass");
            let (mut first, mut sensors) = (new(), Sensors::default());
            let batches = table.batches(9, &mut sensors);
            batches.iter().for_each(|batch| first.observe(batch, &sensors).expect("observed"));
            let mut saved = first.save(&sensors).expect("saved");
            let end = saved.len() - 8;
            saved[at.index(end)] = byte;
            let hash = crate::kernel::stable_hash::stable_hash(&saved[..end]);
            saved.truncate(end);
            saved.extend(hash.to_le_bytes());
            let mut second = new();
            if second.merge_saved(&saved, &mut sensors).is_ok() && first.merge_saved(&saved, &mut sensors).is_ok() {
                let _ = second.finish(&sensors);
                let _ = first.finish(&sensors);
            }
        }
    }
}
