//! `moving_average`: the exact mean over the last records of a series, or over a duration (clauses 15 and 16).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Run, SeriesStage, parameters_of};
use crate::batch::{Field, FieldKind, Schema};
use crate::error::{Error, Result};
use crate::kernel::window::{DurationWindow, NonFinite, RowsWindow, Tally};
use crate::registry::Component;
use crate::time::{format_duration, parse_duration};

/// The mean of what is in the window: the correctly rounded sum, divided by the number of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MovingAverage {
    /// How far to look back: a number of records (20), or a duration ("5m"): then the half-open interval (t − 5 min, t].
    pub window: Window,
    /// The measurements to average; all if not given.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// The name of the new column; {column} stands for the measurement's.
    #[serde(default = "default_into")]
    pub into: String,
    /// With fewer samples than this in the window, the result is null.
    #[serde(default = "default_min_samples")]
    pub min_samples: u64,
    /// Whether to add the number of samples, as a column named like the new one with _count behind.
    #[serde(default)]
    pub count: bool,
    /// NaN and infinities: `skip` leaves them out, `propagate` lets them decide, `error` ends the run.
    #[serde(default)]
    pub non_finite: Unusual,
}

inventory::submit! { Component::stage::<MovingAverage>("moving_average", "the exact mean over the last records, or over a duration") }

fn default_into() -> String {
    "{column}_avg".into()
}

fn default_min_samples() -> u64 {
    1
}

/// How far a window reaches back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number of records such as 20, or a duration such as \"5m\"")]
pub enum Window {
    /// This many records, the newest included.
    Rows(u32),
    /// This long, in event time.
    Duration(String),
}

/// What becomes of NaN and infinities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unusual {
    /// They are skipped, not counted.
    #[default]
    Skip,
    /// They count, and the mean is what IEEE 754 makes of them.
    Propagate,
    /// They end the run.
    Error,
}

/// What one series remembers.
#[derive(Serialize, Deserialize)]
pub enum State {
    /// The last records, and how many there may be.
    Rows(RowsWindow, u32),
    /// The records of a duration, in nanoseconds.
    Duration(DurationWindow, i64),
}

impl MovingAverage {
    /// Over the last `rows` records.
    pub fn rows(rows: u32) -> Self {
        Self::over(Window::Rows(rows))
    }

    /// Over a duration such as "5m".
    pub fn duration(duration: impl Into<String>) -> Self {
        Self::over(Window::Duration(duration.into()))
    }

    fn over(window: Window) -> Self {
        Self {
            window,
            columns: None,
            into: default_into(),
            min_samples: default_min_samples(),
            count: false,
            non_finite: Unusual::Skip,
        }
    }

    fn non_finite(&self) -> NonFinite {
        if self.non_finite == Unusual::Propagate { NonFinite::Propagate } else { NonFinite::Skip }
    }

    fn push(&self, run: &mut Run<'_>, tally: &Tally) {
        let samples = tally.samples(self.non_finite());
        let mean = if samples < self.min_samples { None } else { tally.mean(self.non_finite()) };
        run.push(0, mean);
        if self.count {
            run.push_count(1, samples);
        }
    }

    fn check_value(&self, run: &Run<'_>, at: usize) -> Result<Option<f64>> {
        let value = run.value(at);
        match value.filter(|value| self.non_finite == Unusual::Error && !value.is_finite()) {
            None => Ok(value),
            Some(bad) => {
                let time = run.time(at).map_or_else(String::new, |time| format!(" at {time}"));
                let what = format!("sensor `{}` has {bad} in `{}`{time}", run.sensor(), run.column());
                Err(Error::data(what).with_help("put a `threshold` before, or set `non_finite = \"skip\"`"))
            }
        }
    }
}

impl SeriesStage for MovingAverage {
    type State = State;

    fn name(&self) -> &str {
        "moving_average"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn columns(&self) -> Option<&[String]> {
        self.columns.as_deref()
    }

    fn outputs(&self, column: &str) -> Vec<Field> {
        let name = self.into.replace("{column}", column);
        let count = self.count.then(|| Field::new(format!("{name}_count"), FieldKind::Count));
        std::iter::once(Field::measurement(name)).chain(count).collect()
    }

    fn check(&self, input: &Schema) -> Result<()> {
        match &self.window {
            Window::Rows(0) => return Err(Error::config("`window` must be at least 1 record")),
            Window::Rows(rows) if self.min_samples > u64::from(*rows) => {
                return Err(Error::config(format!(
                    "`min_samples` {} is more than `window` {rows} ever has",
                    self.min_samples
                )));
            }
            Window::Rows(_) => {}
            Window::Duration(text) => {
                parse_duration(text).map_err(|why| Error::config(format!("`window`: {why}")))?;
                if input.time().is_none() {
                    return Err(Error::config("a `window` of a duration needs a time column")
                        .with_help("name it in [source] `time`, or give a number of records"));
                }
            }
        }
        let selected = input.select(self.columns.as_deref())?;
        if selected.len() > 1 && !self.into.contains("{column}") {
            return Err(
                Error::config("`into` gives several columns one name").with_help("let it contain {column}")
            );
        }
        Ok(())
    }

    fn state(&self, _sensor: &str, _column: &str) -> State {
        match &self.window {
            Window::Rows(rows) => State::Rows(RowsWindow::default(), *rows),
            // `check` has seen that it is one.
            Window::Duration(text) => {
                State::Duration(DurationWindow::default(), parse_duration(text).unwrap_or(i64::MAX))
            }
        }
    }

    fn step(&self, state: &mut State, run: &mut Run<'_>) -> Result<()> {
        for at in 0..run.len() {
            let value = self.check_value(run, at)?;
            match state {
                State::Rows(window, rows) => {
                    window.push(value, *rows as usize);
                    self.push(run, window.tally());
                }
                State::Duration(window, duration) => {
                    let time = run.time(at).map_or(0, |time| time.as_nanos());
                    match window.newest().filter(|&newest| time < newest) {
                        Some(newest) => run.late(at, late_by(newest, time)),
                        None => window.push(time, value, *duration),
                    }
                    self.push(run, window.tally());
                }
            }
        }
        Ok(())
    }

    fn may_be_late(&self) -> bool {
        matches!(self.window, Window::Duration(_))
    }

    fn memory(&self) -> String {
        match &self.window {
            Window::Rows(rows) => format!("a ring of {rows} numbers and their exact sum a series"),
            Window::Duration(text) => format!("a ring of the records of {text} and their exact sum a series"),
        }
    }
}

/// How far behind its series' newest a record is.
pub(super) fn late_by(newest: i64, time: i64) -> String {
    let behind = newest.saturating_sub(time).max(1);
    format!("late: {} behind the newest record of its sensor", format_duration(behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Stage;
    use crate::stage::testing::{Table, run, run_with_restarts};
    use proptest::prelude::*;

    fn table(values: &[Option<f64>]) -> Table {
        values
            .iter()
            .enumerate()
            .fold(Table::new(&["v"]), |table, (at, &value)| table.row("a", at as i64 * 1000, &[value]))
    }

    #[test]
    fn clause_15_a_record_sees_itself_and_what_came_before() {
        let result = run(&MovingAverage::rows(2), &table(&[Some(1.0), Some(2.0), Some(6.0), None, None]), 2);
        assert_eq!(result.measurement("v_avg"), [Some(1.0), Some(1.5), Some(4.0), Some(6.0), None]);
        assert_eq!(result.measurement("v"), [Some(1.0), Some(2.0), Some(6.0), None, None]);
    }

    #[test]
    fn clause_15_min_samples_and_count() {
        let stage = MovingAverage { min_samples: 2, count: true, ..MovingAverage::rows(3) };
        let result = run(&stage, &table(&[Some(1.0), None, Some(3.0), Some(f64::NAN)]), 9);
        assert_eq!(result.measurement("v_avg"), [None, None, Some(2.0), None]);
        assert_eq!(result.counts("v_avg_count"), [1, 1, 2, 1]);
    }

    #[test]
    fn clause_15_a_bad_value_touches_only_windows_that_contain_it() {
        let stage = MovingAverage { non_finite: Unusual::Propagate, ..MovingAverage::rows(2) };
        let result = run(&stage, &table(&[Some(1.0), Some(f64::INFINITY), Some(3.0), Some(5.0)]), 1);
        assert_eq!(
            result.measurement("v_avg"),
            [Some(1.0), Some(f64::INFINITY), Some(f64::INFINITY), Some(4.0)]
        );
    }

    #[test]
    fn clause_15_a_duration_is_half_open_and_late_records_are_set_aside() {
        let table = Table::new(&["v"])
            .row("a", 0, &[Some(1.0)])
            .row("a", 5_000, &[Some(3.0)])
            .row("b", 0, &[Some(9.0)])
            .row("a", 4_999, &[Some(100.0)])
            .row("a", 5_000, &[Some(5.0)]);
        let result = run(&MovingAverage::duration("5us"), &table, 2);
        assert_eq!(result.measurement("v_avg"), [Some(1.0), Some(3.0), Some(9.0), Some(4.0)]);
        assert_eq!(result.flow.rejections.len(), 1);
        assert_eq!(result.flow.rejections[0].position.line, 4);
        assert!(
            result.flow.rejections[0].reason.contains("1ns behind"),
            "{}",
            result.flow.rejections[0].reason
        );
    }

    #[test]
    fn clause_15_a_duration_without_a_time_column_is_a_configuration_error() {
        let schema = Schema::new(vec![Field::new("sensor", FieldKind::Sensor), Field::measurement("v")])
            .expect("schema");
        let error = Stage::output(&MovingAverage::duration("5m"), &schema).expect_err("no time");
        assert!(error.to_string().contains("needs a time column"), "{error}");
        assert!(Stage::output(&MovingAverage::rows(0), &schema).is_err());
    }

    fn value() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            6 => (-9999..9999i32).prop_map(|v| Some(f64::from(v) / 100.0)),
            1 => prop_oneof![Just(None), Just(Some(f64::NAN)), Just(Some(1e17)), Just(Some(-1e300))],
        ]
    }

    proptest! {
        #[test]
        fn batches_and_restarts_change_nothing(
            rows in proptest::collection::vec((0..3u8, 0..3i64, value()), 1..80), size in 1..20usize, by_rows in any::<bool>(),
        ) {
            let mut time = 0;
            let table = rows.iter().fold(Table::new(&["v"]), |table, (sensor, step, value)| {
                time += step - 1;
                table.row(&format!("s{sensor}"), time, &[*value])
            });
            let stage = if by_rows { MovingAverage::rows(5) } else { MovingAverage::duration("4ns") };
            let bits = |values: Vec<Option<f64>>| values.into_iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>();
            let whole = run(&stage, &table, 1000);
            for other in [run(&stage, &table, size), run_with_restarts(&stage, &table, size)] {
                prop_assert_eq!(bits(other.measurement("v_avg")), bits(whole.measurement("v_avg")));
                prop_assert_eq!(other.keys(), whole.keys());
            }
        }
    }
}
