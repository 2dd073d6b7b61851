//! `alerts`: a record when a measurement becomes too high or too low, and when that is over (clause 36).
//!
//! State of each measurement of each sensor: quiet → (beyond the threshold) pending → (for `hold`) raised → (past the clearing threshold)
//! quiet. Nulls and NaN neither raise nor clear.

mod incident;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Columns, ReadColumn, Record, Rules, SensorStage, WriteColumn};
use crate::batch::Field;
use crate::error::{Error, Result};
use crate::stage::Component;
use crate::time::parse_duration;

pub use incident::{Incident, IncidentChange, Side, Thresholds};

/// Makes a record when a measurement exceeds a threshold: one when the incident begins and one when it ends. Only these records pass, with the columns `state` ("raised" or "cleared"), `rule`, `column`,
/// `value`, `side` ("above" or "below"), `threshold` and `seconds` (how long it lasted), for sinks that tell people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// The measurement to watch. A glob watches every measurement that it matches, each separately.
    pub column: String,
    /// The name of the rule in the records; defaults to the name of the measurement.
    #[serde(default)]
    pub rule: Option<String>,
    /// An incident begins when a value is above this.
    #[serde(default)]
    pub above: Option<f64>,
    /// An incident begins when a value is below this.
    #[serde(default)]
    pub below: Option<f64>,
    /// An incident above ends when a value is at or below this; defaults to `above`.
    #[serde(default)]
    pub clear_above: Option<f64>,
    /// An incident below ends when a value is at or above this; defaults to `below`.
    #[serde(default)]
    pub clear_below: Option<f64>,
    /// Thresholds for particular sensors, by name or glob; the last match wins. A threshold that is not given here is taken from the stage.
    #[serde(default)]
    pub rules: IndexMap<String, Thresholds>,
    /// How long, in event time, values must stay beyond the threshold before the alert is raised, such as "30s".
    #[serde(default)]
    pub hold: Option<String>,
}

inventory::submit! { Component::sensor::<Alerts>("alerts", "a record when a measurement becomes too high or too low, and when that is over") }

impl Alerts {
    /// Watches `column`, a name or a glob, for values above `above`.
    pub fn above(column: impl Into<String>, above: f64) -> Self {
        Self { column: column.into(), above: Some(above), ..Self::default() }
    }

    fn thresholds(&self) -> Result<Rules<Thresholds>> {
        let base = Thresholds {
            above: self.above,
            below: self.below,
            clear_above: self.clear_above,
            clear_below: self.clear_below,
        };
        let rules = Rules::new(base, &self.rules, |base, exception| exception.over(base))?;
        let is_base_used = self.rules.is_empty() || self.above.or(self.below).is_some();
        rules.iter().skip(usize::from(!is_base_used)).try_for_each(Thresholds::check)?;
        Ok(rules)
    }
}

/// The options, bound to the input columns.
#[derive(Debug)]
pub struct BoundAlerts {
    thresholds: Rules<Thresholds>,
    /// Nanoseconds.
    hold: i64,
    has_time: bool,
    watched: Vec<(ReadColumn, Arc<str>)>,
    state: WriteColumn,
    rule: WriteColumn,
    column: WriteColumn,
    value: WriteColumn,
    side: WriteColumn,
    threshold: WriteColumn,
    seconds: WriteColumn,
}

/// The state of a sensor: of each watched measurement, in the order of the columns.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SensorIncidents {
    incidents: Vec<Incident>,
    /// Those that apply to the sensor: found by its first record.
    #[serde(skip)]
    thresholds: Option<Thresholds>,
}

impl SensorStage for Alerts {
    type State = SensorIncidents;
    type Bound = BoundAlerts;

    fn name(&self) -> &str {
        "alerts"
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<BoundAlerts> {
        let hold = self.hold.as_ref().map_or(Ok(0), |text| {
            parse_duration(text).map_err(|why| Error::config(format!("`hold`: {why}")))
        })?;
        if hold > 0 {
            columns.need_time("`hold`")?;
        }
        let watched = columns.read_all(Some(std::slice::from_ref(&self.column)))?;
        let watched = watched.into_iter().map(|column| (column, columns.name(column))).collect();
        columns.only_new()?;
        Ok(BoundAlerts {
            thresholds: self.thresholds()?,
            hold,
            has_time: columns.input().time().is_some(),
            watched,
            state: columns.write(Field::text("state"))?,
            rule: columns.write(Field::text("rule"))?,
            column: columns.write(Field::text("column"))?,
            value: columns.write(Field::measurement("value"))?,
            side: columns.write(Field::text("side"))?,
            threshold: columns.write(Field::measurement("threshold"))?,
            seconds: columns.write(Field::measurement("seconds"))?,
        })
    }

    fn state(&self, bound: &BoundAlerts, _sensor: &str) -> SensorIncidents {
        SensorIncidents { incidents: vec![Incident::default(); bound.watched.len()], thresholds: None }
    }

    fn record(
        &self,
        bound: &BoundAlerts,
        sensor: &mut SensorIncidents,
        record: &mut Record<'_>,
    ) -> Result<()> {
        let SensorIncidents { incidents, thresholds } = sensor;
        let thresholds = *thresholds.get_or_insert_with(|| *bound.thresholds.of(record.sensor()));
        let time = bound.has_time.then(|| record.time());
        for ((column, name), incident) in bound.watched.iter().zip(incidents) {
            let Some(value) = record.number(*column) else { continue };
            let Some(change) = incident.observe(&thresholds, bound.hold, time, value) else { continue };
            let (state, side, since) = match change {
                IncidentChange::Raised(side) => ("raised", side, None),
                IncidentChange::Cleared(side, since) => ("cleared", side, since),
            };
            let lasted = time.zip(since).and_then(|(time, since)| time.checked_since(since));
            let now = record.time();
            let alert = record.emit(now);
            alert
                .set(bound.state, state)
                .set(bound.rule, self.rule.as_deref().unwrap_or(name))
                .set(bound.column, &**name)
                .set(bound.value, value)
                .set(bound.side, side.as_str())
                .set(bound.threshold, thresholds.threshold(side))
                .set(bound.seconds, lasted.map(|nanos| nanos as f64 / 1e9));
        }
        record.filter();
        Ok(())
    }

    fn memory(&self) -> String {
        "the incident of each watched measurement of each sensor".into()
    }
}
