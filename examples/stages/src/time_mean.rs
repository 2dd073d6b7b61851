//! `time_mean`: the time-weighted mean of each interval, where a value holds until the next one: a statistic that `aggregate` lacks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::batch::Field;
use tidemill::stage::{Component, Interval, IntervalStatistic, Value};
use tidemill::time::Timestamp;

/// Adds `{column}_time_mean`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeMean {
    /// Whether a value holds into the next interval, until that has a value.
    #[serde(default)]
    pub carry: bool,
}

tidemill::submit! { Component::sensor::<Interval<TimeMean>>("time_mean", "the mean of each interval by time") }

/// The current value and its time; the integral of the previous values, and their total duration in nanoseconds.
type Steps = (Option<(Timestamp, f64)>, f64, i64);

/// The same after the current value has held until `time`.
fn until(&(standing, area, nanos): &Steps, time: Timestamp) -> (f64, i64) {
    let stood = standing.and_then(|(since, value)| Some((time.checked_since(since)?.max(0), value)));
    stood.map_or((area, nanos), |(more, value)| (area + value * more as f64, nanos + more))
}

impl IntervalStatistic for TimeMean {
    const NAME: &'static str = "time_mean";
    const KEEPS: &'static str = "a value and an area";
    type Summary = Steps;

    fn outputs(&self, column: &str) -> Vec<Field> {
        vec![Field::measurement(format!("{column}_time_mean"))]
    }

    fn begin(&self, _start: Timestamp) -> Steps {
        (None, 0.0, 0)
    }

    fn add(&self, steps: &mut Steps, time: Timestamp, value: f64) {
        let (area, nanos) = until(steps, time);
        *steps = (Some((time, value)), area, nanos);
    }

    fn end(&self, steps: &Steps, end: Timestamp) -> Vec<Value<'static>> {
        let (area, nanos) = until(steps, end);
        vec![(nanos > 0).then(|| area / nanos as f64).into()]
    }

    fn next(&self, (standing, ..): Steps, start: Timestamp) -> Steps {
        (standing.filter(|_| self.carry).map(|(_, value)| (start, value)), 0.0, 0)
    }
}
