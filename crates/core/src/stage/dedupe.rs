//! `dedupe`: filters records that repeat the values of their sensor's last kept record (clause 30).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Columns, ReadColumn, Record, SensorStage};
use crate::batch::Number;
use crate::error::{Error, Result};
use crate::stage::Component;
use crate::time::{Timestamp, parse_duration};

/// Filters a record whose measurements repeat those of its sensor's last kept record. The first record of a sensor is kept. Null equals
/// null, NaN equals NaN.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dedupe {
    /// The measurements to compare, by name or glob; all if not given. A record is filtered if all of them are unchanged.
    pub columns: Option<Vec<String>>,
    /// The maximum difference of an unchanged value from the last kept one.
    pub tolerance: f64,
    /// The maximum time, in event time, between kept records, such as "10m": after it, a record is kept even if it is unchanged, which
    /// distinguishes a constant sensor from a silent one.
    pub heartbeat: Option<String>,
}

inventory::submit! { Component::sensor::<Dedupe>("dedupe", "filters records that repeat the values of their sensor's last one") }

impl Dedupe {
    /// With a heartbeat such as "10m".
    pub fn heartbeat(every: impl Into<String>) -> Self {
        Self { heartbeat: Some(every.into()), ..Self::default() }
    }

    /// The maximum difference of an unchanged value from the last kept one.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    fn says_again(&self, kept: Option<Number>, new: Option<Number>) -> bool {
        match (kept, new) {
            (Some(kept), Some(new)) => {
                let are_nan = kept.as_f64().is_nan() && new.as_f64().is_nan();
                kept == new || are_nan || self.tolerance > 0.0 && distance(kept, new) <= self.tolerance
            }
            (kept, new) => kept.is_none() && new.is_none(),
        }
    }
}

/// The distance of two numbers, exact for integers.
fn distance(a: Number, b: Number) -> f64 {
    match a.as_integer().zip(b.as_integer()) {
        Some((a, b)) => a.abs_diff(b) as f64,
        None => (a.as_f64() - b.as_f64()).abs(),
    }
}

/// The options, bound to the input columns.
#[derive(Debug)]
pub struct Compared {
    columns: Vec<ReadColumn>,
    /// Nanoseconds.
    heartbeat: Option<i64>,
}

/// The last kept record of a sensor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastKept {
    time: Timestamp,
    values: Vec<Option<Number>>,
}

impl SensorStage for Dedupe {
    type State = Option<LastKept>;
    type Bound = Compared;

    fn name(&self) -> &str {
        "dedupe"
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<Compared> {
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return Err(Error::config(format!("`tolerance` is {}, which is not a distance", self.tolerance))
                .with_help("it is 0 or more"));
        }
        let heartbeat = self.heartbeat.as_deref().map(parse_duration).transpose();
        let heartbeat = heartbeat.map_err(|why| Error::config(format!("`heartbeat`: {why}")))?;
        if heartbeat.is_some() {
            columns.need_time("`heartbeat`")?;
        }
        Ok(Compared { columns: columns.read_all(self.columns.as_deref())?, heartbeat })
    }

    fn state(&self, _bound: &Compared, _sensor: &str) -> Self::State {
        None
    }

    fn record(&self, bound: &Compared, last: &mut Self::State, record: &mut Record<'_>) -> Result<()> {
        let time = record.time();
        let values = bound.columns.iter().map(|&column| record.exact(column));
        if let Some(kept) = last {
            let is_due = |bound| kept.time.checked_add(bound).is_some_and(|due| due <= time);
            let mut pairs = kept.values.iter().zip(values.clone());
            if !bound.heartbeat.is_some_and(is_due) && pairs.all(|(&kept, new)| self.says_again(kept, new)) {
                record.filter();
                return Ok(());
            }
            kept.time = time;
            kept.values.clear();
            kept.values.extend(values);
        } else {
            *last = Some(LastKept { time, values: values.collect() });
        }
        Ok(())
    }

    /// What was kept of a sensor has the values of its columns: these stay.
    fn reloads(&self, option: &str) -> bool {
        ["tolerance", "heartbeat"].contains(&option)
    }

    fn memory(&self) -> String {
        "the values of the last kept record per sensor".into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stage::testing::{Table, run};

    fn table(rows: &[(u8, i64, Option<f64>)]) -> Table {
        let row = |table: Table, (at, &(sensor, time, value)): (usize, &(u8, i64, Option<f64>))| {
            table.row(&format!("s{sensor}"), time, &[value, Some(at as f64)])
        };
        rows.iter().enumerate().fold(Table::new(&["v", "row"]), row)
    }

    /// Clause 30 as a plain loop.
    fn plain(rows: &[(u8, i64, Option<f64>)], tolerance: f64, heartbeat: Option<i64>) -> Vec<usize> {
        let mut kept: Vec<usize> = Vec::new();
        for (at, &(sensor, time, value)) in rows.iter().enumerate() {
            let last = kept.iter().rev().map(|&row| rows[row]).find(|&(other, ..)| other == sensor);
            let is_again = last.is_some_and(|(_, before, last)| {
                let is_same = match (last, value) {
                    (Some(a), Some(b)) => a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance,
                    (a, b) => a.is_none() && b.is_none(),
                };
                is_same && heartbeat.is_none_or(|heartbeat| time - before < heartbeat)
            });
            if !is_again {
                kept.push(at);
            }
        }
        kept
    }

    #[test]
    fn clause_30_what_is_said_again_is_left_out() {
        let nan = Some(f64::NAN);
        let rows =
            [Some(1.0), Some(1.0), None, None, Some(1.0), nan, nan, Some(-0.0), Some(0.0)].map(|v| (0, 0, v));
        let stage = Dedupe { columns: Some(vec!["v".into()]), ..Dedupe::default() };
        let result = run(&stage, &table(&rows), 4);
        assert_eq!(result.measurement("row"), [0.0, 2.0, 4.0, 5.0, 7.0].map(Some));
        assert_eq!(result.flow.filtered, 4);
    }

    #[test]
    fn clause_30_options_that_mean_nothing_are_refused() {
        let schema = table(&[]).schema();
        let refused = |stage: Dedupe| {
            let mut columns = Columns::new(&schema);
            stage.bind(&mut columns).expect_err("refused").to_string()
        };
        assert!(refused(Dedupe::default().tolerance(-1.0)).contains("not a distance"));
        assert!(refused(Dedupe::default().tolerance(f64::NAN)).contains("not a distance"));
        assert!(refused(Dedupe::heartbeat("soon")).contains("`heartbeat`"));
    }

    proptest! {
        #[test]
        fn clause_30_as_in_the_plain_version(
            rows in proptest::collection::vec((0..3u8, 0..9i64, proptest::option::of((0..4i8).prop_map(f64::from))), 0..80),
            tolerance in 0..2u8, heartbeat in proptest::option::of(1..20i64), size in 1..20usize,
        ) {
            let mut now = 0;
            let rows: Vec<_> = rows.into_iter().map(|(sensor, step, value)| {
                now += step;
                (sensor, now, value)
            }).collect();
            let stage = Dedupe {
                columns: Some(vec!["v".into()]),
                tolerance: tolerance.into(),
                heartbeat: heartbeat.map(|nanos| format!("{nanos}ns")),
            };
            let left = run(&stage, &table(&rows), size).measurement("row");
            let left: Vec<usize> = left.into_iter().flatten().map(|row| row as usize).collect();
            prop_assert_eq!(left, plain(&rows, tolerance.into(), heartbeat));
        }
    }
}
