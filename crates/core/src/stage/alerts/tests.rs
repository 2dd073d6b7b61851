use proptest::prelude::*;

use super::*;
use crate::stage::IntoStage;
use crate::stage::testing::{Outcome, Table, run};
use crate::time::Timestamp;

/// A record of an alert: sensor, time, value, threshold, how long it lasted.
type Told = (String, i64, f64, f64, Option<f64>);

fn told(result: &Outcome) -> Vec<Told> {
    let (values, thresholds) = (result.measurement("value"), result.measurement("threshold"));
    let rest = values.into_iter().zip(thresholds).zip(result.measurement("seconds"));
    let one = |((name, time), ((value, threshold), seconds)): (
        (String, i64),
        ((Option<f64>, Option<f64>), Option<f64>),
    )| { (name, time, value.expect("a value"), threshold.expect("a threshold"), seconds) };
    result.keys().into_iter().zip(rest).map(one).collect()
}

fn table(rows: &[(u8, i64, Option<f64>)]) -> Table {
    rows.iter().fold(Table::new(&["v"]), |table, (sensor, time, value)| {
        table.row(&format!("s{sensor}"), *time, &[*value])
    })
}

#[test]
fn clause_36_an_incident_is_two_records_and_nothing_else_passes() {
    let second = 1_000_000_000;
    let rows = [
        (0, 0, Some(1.0)),
        (0, second, Some(9.0)),
        (1, second, Some(9.0)),
        (0, 2 * second, Some(6.0)),
        (0, 3 * second, None),
        (0, 4 * second, Some(4.0)),
        (0, 5 * second, Some(9.0)),
    ];
    let stage = Alerts { clear_above: Some(5.0), ..Alerts::above("v", 8.0) };
    let result = run(&stage, &table(&rows), 3);
    let alert = |sensor: &str, at: i64, value: f64, lasted: Option<f64>| {
        (sensor.to_owned(), at * second, value, 8.0, lasted)
    };
    let expected = [
        alert("s0", 1, 9.0, None),
        alert("s1", 1, 9.0, None),
        alert("s0", 4, 4.0, Some(3.0)),
        alert("s0", 5, 9.0, None),
    ];
    assert_eq!(told(&result), expected);
    assert_eq!((result.flow.made, result.flow.filtered), (4, 7));
}

#[test]
fn clause_36_options_that_mean_nothing_are_refused() {
    let refused = |stage: Alerts| {
        let schema = table(&[]).schema();
        stage.into_stage().output(&schema).expect_err("no alert").to_string()
    };
    assert!(
        refused(Alerts { above: None, ..Alerts::above("v", 1.0) }).contains("neither `above` nor `below`")
    );
    assert!(refused(Alerts { hold: Some("soon".into()), ..Alerts::above("v", 1.0) }).contains("`hold`"));
    assert!(refused(Alerts::above("w", 1.0)).contains('w'));
    let rules =
        IndexMap::from([("s0".to_owned(), Thresholds { clear_above: Some(3.0), ..Thresholds::default() })]);
    assert!(refused(Alerts { rules, ..Alerts::above("v", 1.0) }).contains("beyond its alarm threshold"));
}

proptest! {
    #[test]
    fn clause_36_as_in_the_plain_version(
        rows in proptest::collection::vec((0..3_u8, 0..3_i64, proptest::option::of(-9.0..9.0f64)), 0..80), hold in 0..6_i64, size in 1..20_usize,
    ) {
        let mut now = 0;
        let rows: Vec<_> = rows.into_iter().map(|(sensor, step, value)| {
            now += step;
            (sensor, now, value)
        }).collect();
        let own = Thresholds { above: Some(2.0), below: Some(-7.0), ..Thresholds::default() };
        let rules = IndexMap::from([("s2".to_owned(), own)]);
        let stage = Alerts { below: Some(-4.0), clear_below: Some(-1.0), rules, hold: Some(format!("{hold}ns")).filter(|_| hold > 0), ..Alerts::above("v", 4.0) };
        let mut incidents = [Incident::default(); 3];
        let base = Thresholds { above: Some(4.0), below: Some(-4.0), clear_above: None, clear_below: Some(-1.0) };
        let expected: Vec<Told> = rows.iter().filter_map(|&(sensor, time, value)| {
            let thresholds = if sensor == 2 { own.over(&base) } else { base };
            let at = Timestamp::from_nanos(time);
            let (side, since) = match incidents[usize::from(sensor)].observe(&thresholds, hold, Some(at), value?)? {
                IncidentChange::Raised(side) => (side, None),
                IncidentChange::Cleared(side, since) => (side, since),
            };
            let lasted = since.and_then(|since| at.checked_since(since)).map(|nanos| nanos as f64 / 1e9);
            Some((format!("s{sensor}"), time, value?, thresholds.threshold(side)?, lasted))
        }).collect();
        prop_assert_eq!(told(&run(&stage, &table(&rows), size)), expected);
    }
}
