//! `rate`: the derivative of a measurement in time, or the difference between records (clause 29).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moving::check_into;
use super::{Run, SeriesStage};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::stage::Component;
use crate::time::{Timestamp, format_duration, parse_duration};

/// The change of each measurement since the last record of its series with a finite value, per time or per record. The first one has no
/// rate; a null, NaN or infinity has none and is skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// `derivative`: the difference, divided by the time between the two records; `difference`: new − old.
    pub method: RateMethod,
    /// The time unit of a derivative, such as "1h": with it, a meter in kWh gives kW.
    pub per: String,
    /// Whether the measurement is a counter: a value below the last one means that it restarted at 0, as after the exchange of a meter or
    /// the restart of a device.
    pub counter: bool,
    /// The measurements to process, by name or glob; all if not given.
    pub columns: Option<Vec<String>>,
    /// The name of the new column; {column} is replaced by the measurement's name.
    pub into: String,
}

inventory::submit! { Component::series::<Rate>("rate", "how fast a measurement changes, in time or between records; also for counters") }

/// The kind of rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RateMethod {
    /// Divided by the time between the two records.
    #[default]
    Derivative,
    /// Not divided.
    Difference,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            method: RateMethod::default(),
            per: "1s".into(),
            counter: false,
            columns: None,
            into: "{column}_rate".into(),
        }
    }
}

impl Rate {
    /// The derivative per time unit, such as "1s".
    pub fn per(unit: impl Into<String>) -> Self {
        Self { per: unit.into(), ..Self::default() }
    }

    /// The difference between consecutive records.
    pub fn difference() -> Self {
        Self { method: RateMethod::Difference, ..Self::default() }
    }

    /// Whether the measurement is a counter, which may restart at 0.
    pub fn counter(mut self, counter: bool) -> Self {
        self.counter = counter;
        self
    }

    fn unit(&self) -> Result<i64> {
        parse_duration(&self.per).map_err(|why| Error::config(format!("`per`: {why}")))
    }

    /// The symbol of `per` if it is one unit of time.
    fn symbol(&self) -> Option<&'static str> {
        Some(match self.unit().ok()? {
            1 => "ns",
            1_000 => "us",
            1_000_000 => "ms",
            1_000_000_000 => "s",
            60_000_000_000 => "min",
            3_600_000_000_000 => "h",
            86_400_000_000_000 => "d",
            _ => return None,
        })
    }

    /// The change of a value, exact for integers.
    fn change(&self, last: LastValue, new: f64, integer: Option<i128>) -> f64 {
        match (last.integer, integer) {
            (None, None) if self.counter && new < last.value => new,
            (None, None) => new - last.value,
            (old, integer) => {
                let (old, new) = (old.unwrap_or(last.value as i128), integer.unwrap_or(new as i128));
                (if self.counter && new < old { new } else { new.saturating_sub(old) }) as f64
            }
        }
    }

    /// The rate since the last record; `None` if no time has passed.
    fn rate(&self, last: LastValue, next: LastValue, unit: f64) -> Option<f64> {
        let change = self.change(last, next.value, next.integer);
        if self.method == RateMethod::Difference {
            return Some(change);
        }
        // Wider integers are slower.
        let elapsed = match next.time.checked_sub(last.time) {
            Some(nanos) => nanos as f64,
            None => (i128::from(next.time) - i128::from(last.time)) as f64,
        };
        (elapsed > 0.0).then(|| change / (elapsed / unit))
    }
}

/// The last record of a series with a finite value.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LastValue {
    /// Nanoseconds since 1970; 0 without a time column.
    time: i64,
    value: f64,
    /// The value if it is an integer that f64 may not represent.
    integer: Option<i128>,
}

impl SeriesStage for Rate {
    type State = Option<LastValue>;
    /// The time unit in nanoseconds.
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

    fn output_unit(&self, unit: &str) -> Option<String> {
        match self.method {
            RateMethod::Difference => Some(unit.to_owned()),
            RateMethod::Derivative => self.symbol().map(|per| format!("{unit}/{per}")),
        }
    }

    fn bind(&self, input: &Schema) -> Result<f64> {
        let unit = self.unit()?;
        if self.method == RateMethod::Difference && self.per != Self::default().per {
            return Err(Error::config("`per` has no effect on a difference, which is not divided by time")
                .with_help("leave it out, or set `method = \"derivative\"`"));
        }
        if self.method == RateMethod::Derivative && input.time().is_none() {
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
            let is_late = last.is_some_and(|last| time < last.time) && self.method == RateMethod::Derivative;
            let value = run.value(at).filter(|value| value.is_finite() && !is_late);
            let integer = run.integers().map(|integers| integers[at]);
            let next = value.map(|value| LastValue { time, value, integer });
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
        self.method == RateMethod::Derivative
    }

    fn memory(&self) -> String {
        "the last value and its time per series".into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stage::testing::{Table, run};

    type RateRow = (u8, i64, Option<f64>);

    fn table(rows: &[RateRow]) -> Table {
        rows.iter().enumerate().fold(Table::new(&["v", "row"]), |table, (at, &(sensor, time, value))| {
            table.row(&format!("s{sensor}"), time, &[value, Some(at as f64)])
        })
    }

    fn of_v(rate: Rate) -> Rate {
        Rate { columns: Some(vec!["v".into()]), ..rate }
    }

    /// Clause 29 as a plain loop: for each row its rate, or that it is late.
    fn plain(rate: &Rate, unit: f64, rows: &[RateRow]) -> Vec<Option<Option<f64>>> {
        let is_by_time = rate.method == RateMethod::Derivative;
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
        // Restarted at 0.
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
        let last = |value: i128| LastValue { time: 0, value: value as f64, integer: Some(value) };
        let large = i128::from(u64::MAX) - 1;
        let change = |old, new: i128| Rate::difference().change(last(old), new as f64, Some(new));
        assert_eq!((change(large, large + 1), change(large + 1, large)), (1.0, -1.0));
        assert_eq!(
            Rate::difference().change(LastValue { integer: None, ..last(1 << 53) }, 0.0, Some((1 << 53) + 1)),
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
            let rows: Vec<RateRow> = rows.into_iter().map(|(sensor, step, value)| {
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
