//! `rate`: how fast a measurement changes: its derivative in time, or the difference from one record to the next (clause 29).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moving::check_into;
use super::{Run, SeriesStage};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::stage::Component;
use crate::time::{Timestamp, format_duration, parse_duration};

/// How much each measurement has changed since the last record of its series that has a finite value, by time or by record. The first one has
/// no rate; a null, NaN or infinity has none and is passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// `derivative`: the difference, divided by the time between the two records; `difference`: new − old.
    pub method: Change,
    /// The unit of time of a derivative, such as "1h": a meter of kWh gives kW then.
    pub per: String,
    /// Whether it counts upwards: a value below the last one means that it has begun at 0 again, as a meter does that was exchanged or a
    /// device that was restarted.
    pub counter: bool,
    /// The measurements to look at, by name or glob; all if not given.
    pub columns: Option<Vec<String>>,
    /// The name of the new column; {column} stands for the measurement's.
    pub into: String,
}

inventory::submit! { Component::series::<Rate>("rate", "how fast a measurement changes: by time, or from record to record; of counters too") }

/// What a change is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The time between the two records.
    #[default]
    Derivative,
    /// Nothing.
    Difference,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            method: Change::default(),
            per: "1s".into(),
            counter: false,
            columns: None,
            into: "{column}_rate".into(),
        }
    }
}

impl Rate {
    /// The derivative by a unit of time such as "1s".
    pub fn per(unit: impl Into<String>) -> Self {
        Self { per: unit.into(), ..Self::default() }
    }

    /// The difference from one record to the next.
    pub fn difference() -> Self {
        Self { method: Change::Difference, ..Self::default() }
    }

    /// Whether it counts upwards and may begin at 0 again.
    pub fn counter(mut self, counter: bool) -> Self {
        self.counter = counter;
        self
    }

    fn unit(&self) -> Result<i64> {
        parse_duration(&self.per).map_err(|why| Error::config(format!("`per`: {why}")))
    }

    /// How much a value has changed: integers by all their digits.
    fn change(&self, last: Last, new: f64, integer: Option<i128>) -> f64 {
        match (last.integer, integer) {
            (None, None) if self.counter && new < last.value => new,
            (None, None) => new - last.value,
            (old, integer) => {
                let (old, new) = (old.unwrap_or(last.value as i128), integer.unwrap_or(new as i128));
                (if self.counter && new < old { new } else { new.saturating_sub(old) }) as f64
            }
        }
    }

    /// The rate behind the last record, which has one if any time has gone by.
    fn rate(&self, last: Last, next: Last, unit: f64) -> Option<f64> {
        let change = self.change(last, next.value, next.integer);
        if self.method == Change::Difference {
            return Some(change);
        }
        // Wider integers take longer.
        let elapsed = match next.time.checked_sub(last.time) {
            Some(nanos) => nanos as f64,
            None => (i128::from(next.time) - i128::from(last.time)) as f64,
        };
        (elapsed > 0.0).then(|| change / (elapsed / unit))
    }
}

/// The last record of a series that has a finite value.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Last {
    /// Nanoseconds since 1970; 0 where records have no times.
    time: i64,
    value: f64,
    /// The value, where it is an integer that may be no float.
    integer: Option<i128>,
}

impl SeriesStage for Rate {
    type State = Option<Last>;
    /// Nanoseconds of the unit of time.
    type Bound = f64;

    fn name(&self) -> &str {
        "rate"
    }

    fn columns(&self) -> Option<&[String]> {
        self.columns.as_deref()
    }

    fn outputs(&self, column: &str) -> Vec<Field> {
        vec![Field::measurement(self.into.replace("{column}", column))]
    }

    fn bind(&self, input: &Schema) -> Result<f64> {
        let unit = self.unit()?;
        if self.method == Change::Difference && self.per != Self::default().per {
            return Err(Error::config("`per` has no effect on a difference, which is not divided by time")
                .with_help("leave it out, or set `method = \"derivative\"`"));
        }
        if self.method == Change::Derivative && input.time().is_none() {
            return Err(Error::config("a derivative needs a time column")
                .with_help("name it in [source] `time`, or set `method = \"difference\"`"));
        }
        check_into(&self.into, input.select(self.columns.as_deref())?.len())?;
        Ok(unit as f64)
    }

    fn state(&self, _unit: &f64, _sensor: &str, _column: &str) -> Self::State {
        None
    }

    fn step(&self, unit: &f64, last: &mut Self::State, run: &mut Run<'_>) -> Result<()> {
        for at in 0..run.len() {
            let time = run.time(at).map_or(0, Timestamp::as_nanos);
            let is_late = last.is_some_and(|last| time < last.time) && self.method == Change::Derivative;
            let value = run.value(at).filter(|value| value.is_finite() && !is_late);
            let integer = run.integers().map(|integers| integers[at]);
            let next = value.map(|value| Last { time, value, integer });
            run.push(0, last.zip(next).and_then(|(last, next)| self.rate(last, next, *unit)));
            if let (Some(last), true) = (*last, is_late) {
                let before = format_duration(last.time.saturating_sub(time));
                run.late(at, format!("late: {before} before the last value of its series"));
            }
            *last = next.or(*last);
        }
        Ok(())
    }

    fn may_be_late(&self) -> bool {
        self.method == Change::Derivative
    }

    fn memory(&self) -> String {
        "the last value and its time a series".into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stage::testing::{Table, run};

    type Row = (u8, i64, Option<f64>);

    fn table(rows: &[Row]) -> Table {
        rows.iter().enumerate().fold(Table::new(&["v", "row"]), |table, (at, &(sensor, time, value))| {
            table.row(&format!("s{sensor}"), time, &[value, Some(at as f64)])
        })
    }

    fn of_v(rate: Rate) -> Rate {
        Rate { columns: Some(vec!["v".into()]), ..rate }
    }

    /// Clause 29 in the plainest words: for each row its rate, or that it is late.
    fn plain(rate: &Rate, unit: f64, rows: &[Row]) -> Vec<Option<Option<f64>>> {
        let is_by_time = rate.method == Change::Derivative;
        let mut used: Vec<usize> = Vec::new();
        let mut rates = Vec::new();
        for (row, &(sensor, time, value)) in rows.iter().enumerate() {
            let last = used.iter().rev().map(|&used| rows[used]).find(|&(other, ..)| other == sensor);
            if is_by_time && last.is_some_and(|(_, before, _)| time < before) {
                rates.push(None);
                continue;
            }
            let Some(new) = value.filter(|value| value.is_finite()) else {
                rates.push(Some(None));
                continue;
            };
            used.push(row);
            rates.push(Some(last.and_then(|(_, before, old)| {
                let old = old.expect("a value");
                let change = if rate.counter && new < old { new } else { new - old };
                match is_by_time {
                    true if time == before => None,
                    true => Some(change / ((time - before) as f64 / unit)),
                    false => Some(change),
                }
            })));
        }
        rates
    }

    #[test]
    fn clause_29_a_derivative_is_by_time_and_a_difference_by_record() {
        let second = 1_000_000_000;
        let rows = [
            (0, 0, Some(1.0)),
            (0, 2 * second, Some(5.0)),
            (0, 3 * second, None),
            (0, 4 * second, Some(4.0)),
            (0, 4 * second, Some(9.0)),
            (0, 5 * second, Some(f64::NAN)),
            (0, 14 * second, Some(29.0)),
        ];
        let rates = |stage: Rate| run(&of_v(stage), &table(&rows), 2).measurement("v_rate");
        let none = None;
        assert_eq!(rates(Rate::default()), [none, Some(2.0), none, Some(-0.5), none, none, Some(2.0)]);
        assert_eq!(rates(Rate::per("1m")), [none, Some(120.0), none, Some(-30.0), none, none, Some(120.0)]);
        let differences = [none, Some(4.0), none, Some(-1.0), Some(5.0), none, Some(20.0)];
        assert_eq!(rates(Rate::difference()), differences);
        // Begun at 0 again.
        let counted = [none, Some(4.0), none, Some(4.0), Some(5.0), none, Some(20.0)];
        assert_eq!(rates(Rate::difference().counter(true)), counted);
    }

    #[test]
    fn clause_29_a_derivative_needs_order_and_a_difference_does_not() {
        let rows = [(0, 5, Some(1.0)), (0, 4, Some(2.0)), (0, 6, Some(3.0))];
        let result = run(&of_v(Rate::per("1ns")), &table(&rows), 1);
        assert_eq!(result.measurement("v_rate"), [None, Some(2.0)]);
        assert_eq!(result.flow.rejections[0].reason, "late: 1ns before the last value of its series");
        let result = run(&of_v(Rate::difference()), &table(&rows), 1);
        assert_eq!(result.measurement("v_rate"), [None, Some(1.0), Some(1.0)]);
    }

    #[test]
    fn clause_29_options_that_mean_nothing_are_refused() {
        let refused = |rate: Rate| rate.bind(&table(&[]).schema()).expect_err("refused").to_string();
        assert!(refused(Rate::per("0s")).contains("`per`"));
        assert!(refused(Rate::per("fast")).contains("`per`"));
        assert!(refused(Rate { per: "1h".into(), ..Rate::difference() }).contains("`per` has no effect"));
        assert!(refused(Rate { into: "r".into(), ..Rate::default() }).contains("{column}"));
    }

    #[test]
    fn clause_29_integers_that_are_no_floats_differ_by_all_their_digits() {
        let last = |value: i128| Last { time: 0, value: value as f64, integer: Some(value) };
        let large = i128::from(u64::MAX) - 1;
        let change = |old, new: i128| Rate::difference().change(last(old), new as f64, Some(new));
        assert_eq!((change(large, large + 1), change(large + 1, large)), (1.0, -1.0));
        assert_eq!(
            Rate::difference().change(Last { integer: None, ..last(1 << 53) }, 0.0, Some((1 << 53) + 1)),
            1.0
        );
        let again = Rate::difference().counter(true);
        assert_eq!(again.change(last(large + 1), 0.0, Some(3)), 3.0);
    }

    proptest! {
        #[test]
        fn clause_29_as_in_the_plain_version(
            rows in proptest::collection::vec(
                (0..3u8, -1..6i64, prop_oneof![8 => (-99..99i8).prop_map(|v| Some(f64::from(v))), 1 => Just(None), 1 => Just(Some(f64::INFINITY))]),
                0..80,
            ),
            is_by_time in any::<bool>(), counter in any::<bool>(), size in 1..30usize,
        ) {
            let mut now = 0;
            let rows: Vec<Row> = rows.into_iter().map(|(sensor, step, value)| {
                now += step;
                (sensor, now, value)
            }).collect();
            let rate = if is_by_time { Rate::per("7ns") } else { Rate::difference() };
            let rate = of_v(rate).counter(counter);
            let expected = plain(&rate, 7.0, &rows);
            let result = run(&rate, &table(&rows), size);
            prop_assert_eq!(result.measurement("v_rate"), expected.iter().copied().flatten().collect::<Vec<_>>());
            let late: Vec<usize> = result.flow.rejections.iter().map(|it| it.position.line as usize - 1).collect();
            let expected: Vec<usize> = (0..rows.len()).filter(|&row| expected[row].is_none()).collect();
            prop_assert_eq!(late, expected);
        }
    }
}
