//! `alert`: tells when a measurement goes too high or too low, once per incident.
//!
//! For every sensor: quiet → (beyond the threshold) pending → (for as long as `hold`) raised → (back over the clearing
//! threshold) quiet. Nulls and NaN neither raise nor clear.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Repeat, Sink, SinkSpec};
use crate::atomic::{self, AtomicFile};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::registry::{Component, parameters_of};
use crate::sensor::{PerSensor, Rules, Sensors};
use crate::time::{Timestamp, format_duration, parse_duration};

/// Tells when a measurement goes above or below a threshold: once when the incident begins, once when it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// The measurement to watch.
    pub column: String,
    /// The rule's name in messages; the column's if not given.
    #[serde(default)]
    pub name: Option<String>,
    /// An incident begins when a value is above this.
    #[serde(default)]
    pub above: Option<f64>,
    /// An incident begins when a value is below this.
    #[serde(default)]
    pub below: Option<f64>,
    /// An incident above is over when a value is at or below this; `above` if not given.
    #[serde(default)]
    pub clear_above: Option<f64>,
    /// An incident below is over when a value is at or above this; `below` if not given.
    #[serde(default)]
    pub clear_below: Option<f64>,
    /// Other thresholds for some sensors, by name or glob; the last match wins. One not given here is that of the sink.
    #[serde(default)]
    pub rules: IndexMap<String, Thresholds>,
    /// How long, in event time, values must stay beyond the threshold before the alert is raised, such as "30s".
    #[serde(default)]
    pub hold: Option<String>,
    /// Writes alerts to this file, as JSON Lines; "-" is standard output. They go to the log (standard error) if neither this nor
    /// `command` is given.
    #[serde(default)]
    pub path: Option<String>,
    /// Starts this program, with its arguments, and writes alerts to its standard input, as JSON Lines.
    #[serde(default)]
    pub command: Option<Vec<String>>,
}

inventory::submit! { Component::sink::<Alert>("alert", "tells when a measurement goes too high or too low, once per incident") }

/// Where incidents begin and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// An incident begins when a value is above this.
    pub above: Option<f64>,
    /// An incident begins when a value is below this.
    pub below: Option<f64>,
    /// An incident above is over when a value is at or below this.
    pub clear_above: Option<f64>,
    /// An incident below is over when a value is at or above this.
    pub clear_below: Option<f64>,
}

impl Thresholds {
    fn over(&self, base: &Self) -> Self {
        Self {
            above: self.above.or(base.above),
            below: self.below.or(base.below),
            clear_above: self.clear_above.or(base.clear_above),
            clear_below: self.clear_below.or(base.clear_below),
        }
    }

    fn check(&self) -> Result<()> {
        let is_wrong = |clear: Option<f64>, from: Option<f64>, sign: f64| match (clear, from) {
            (Some(clear), Some(from)) => clear * sign > from * sign,
            (Some(_), None) => true,
            _ => false,
        };
        if self.above.or(self.below).is_none() {
            return Err(Error::config("neither `above` nor `below` is given"));
        }
        let all = [self.above, self.below, self.clear_above, self.clear_below];
        if all.into_iter().flatten().any(f64::is_nan) {
            return Err(Error::config("a threshold is not a number"));
        }
        if is_wrong(self.clear_above, self.above, 1.0) || is_wrong(self.clear_below, self.below, -1.0) {
            return Err(Error::config("an incident would be over before it begins")
                .with_help("`clear_above` is at most `above`, `clear_below` at least `below`"));
        }
        Ok(())
    }

    /// The threshold that `value` is beyond, if any.
    fn beyond(&self, value: f64) -> Option<Side> {
        if self.above.is_some_and(|above| value > above) {
            Some(Side::Above)
        } else if self.below.is_some_and(|below| value < below) {
            Some(Side::Below)
        } else {
            None
        }
    }

    /// Whether `value` ends an incident on this side.
    fn clears(&self, side: Side, value: f64) -> bool {
        match side {
            Side::Above => self.clear_above.or(self.above).is_some_and(|clear| value <= clear),
            Side::Below => self.clear_below.or(self.below).is_some_and(|clear| value >= clear),
        }
    }

    fn threshold(&self, side: Side) -> Option<f64> {
        if side == Side::Above { self.above } else { self.below }
    }
}

/// Which threshold a value is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Above,
    Below,
}

/// How things stand with one sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Incident {
    #[default]
    Quiet,
    /// Beyond since this time, not yet for long enough.
    Pending(Side, Option<Timestamp>),
    /// Raised; the condition began at this time.
    Raised(Side, Option<Timestamp>),
}

/// What a value does to an incident.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Raised(Side),
    Cleared(Side, Option<Timestamp>),
}

impl Incident {
    /// Takes note of a value at `time`; at most one change a value.
    fn observe(
        &mut self,
        thresholds: &Thresholds,
        hold: i64,
        time: Option<Timestamp>,
        value: f64,
    ) -> Option<Change> {
        if value.is_nan() {
            return None;
        }
        if let Self::Raised(side, since) = *self {
            if !thresholds.clears(side, value) {
                return None;
            }
            // A value that ends one incident may begin the other kind, which its next value will raise.
            *self = thresholds.beyond(value).map_or(Self::Quiet, |other| Self::Pending(other, time));
            return Some(Change::Cleared(side, since));
        }
        let Some(side) = thresholds.beyond(value) else {
            *self = Self::Quiet;
            return None;
        };
        let since = match *self {
            Self::Pending(same, since) if same == side => since,
            _ => time,
        };
        let lasted = time.zip(since).and_then(|(time, since)| time.checked_since(since)).unwrap_or(0);
        if lasted < hold {
            *self = Self::Pending(side, since);
            return None;
        }
        *self = Self::Raised(side, since);
        Some(Change::Raised(side))
    }
}

impl Alert {
    /// Watches `column` for values above `above`.
    pub fn above(column: impl Into<String>, above: f64) -> Self {
        Self {
            column: column.into(),
            name: None,
            above: Some(above),
            below: None,
            clear_above: None,
            clear_below: None,
            rules: IndexMap::new(),
            hold: None,
            path: None,
            command: None,
        }
    }

    /// The same, written to a file.
    pub fn to_file(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
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

    fn hold(&self) -> Result<i64> {
        let parse =
            |text: &String| parse_duration(text).map_err(|why| Error::config(format!("`hold`: {why}")));
        self.hold.as_ref().map_or(Ok(0), parse)
    }

    fn rule_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.column)
    }
}

impl SinkSpec for Alert {
    fn name(&self) -> &str {
        "alert"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn repeat(&self) -> Repeat {
        if self.file().is_some() { Repeat::Harmless } else { Repeat::Duplicates }
    }

    fn file(&self) -> Option<PathBuf> {
        atomic::file(self.path.as_ref()?)
    }

    fn is_stdout(&self) -> bool {
        self.path.as_deref().is_some_and(atomic::is_stdout)
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        schema.select(Some(std::slice::from_ref(&self.column)))?;
        self.thresholds()?;
        if self.hold()? > 0 && schema.time().is_none() {
            return Err(Error::config("`hold` needs a time column").with_help("name it in [source] `time`"));
        }
        match (&self.path, &self.command) {
            (Some(_), Some(_)) => Err(Error::config("`path` and `command` exclude one another")),
            (_, Some(command)) if command.is_empty() => Err(Error::config("`command` is empty")),
            (Some(path), None) => atomic::check(path),
            _ => Ok(()),
        }
    }

    fn open(&self, schema: &Arc<Schema>) -> Result<Box<dyn Sink>> {
        let target = match (&self.path, &self.command) {
            (Some(path), _) => Target::File(AtomicFile::create(path)?),
            (None, Some(command)) => Target::start(command)?,
            (None, None) => Target::Log,
        };
        Ok(Box::new(Watch {
            column: schema.select(Some(std::slice::from_ref(&self.column)))?[0],
            thresholds: self.thresholds()?,
            hold: self.hold()?,
            incidents: PerSensor::default(),
            target,
            options: self.clone(),
            raised: 0,
        }))
    }
}

/// Where alerts go.
enum Target {
    Log,
    File(AtomicFile),
    Command(Child, String),
}

/// One alert, as JSON.
#[derive(Serialize)]
struct Message<'a> {
    state: &'static str,
    rule: &'a str,
    sensor: &'a str,
    column: &'a str,
    time: Option<String>,
    value: f64,
    side: Side,
    threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

impl Target {
    fn start(command: &[String]) -> Result<Self> {
        let name = command.join(" ");
        let child = Command::new(&command[0]).args(&command[1..]).stdin(Stdio::piped()).spawn();
        let child = child.map_err(|error| {
            let why = crate::error::plain(&error);
            Error::unavailable(format!("the alert command `{name}` cannot be started: {why}"))
                .with_help("check `command`")
        })?;
        Ok(Self::Command(child, name))
    }

    fn send(&mut self, message: &Message<'_>) -> Result<()> {
        let mut line = serde_json::to_vec(message).map_err(|error| Error::internal(error.to_string()))?;
        line.push(b'\n');
        match self {
            Self::Log => {
                eprintln!("{}", sentence(message));
                Ok(())
            }
            Self::File(file) => file.write_all(&line).map_err(|error| file.failed(&error)),
            Self::Command(child, name) => match child.stdin.as_mut().map(|stdin| stdin.write_all(&line)) {
                Some(Ok(())) => Ok(()),
                _ => Err(gone(name)),
            },
        }
    }

    /// Hands everything over; a command is told that there is no more, and waited for.
    fn finish(&mut self) -> Result<()> {
        match self {
            Self::Log => Ok(()),
            Self::File(file) => file.finish(),
            Self::Command(child, name) => {
                drop(child.stdin.take());
                let status = child.wait().map_err(|error| Error::io("wait for", &*name, &error))?;
                if status.success() {
                    Ok(())
                } else {
                    Err(Error::unavailable(format!("the alert command `{name}` failed: {status}"))
                        .with_help("see what it says, and run again"))
                }
            }
        }
    }
}

fn gone(name: &str) -> Error {
    Error::unavailable(format!("the alert command `{name}` no longer takes alerts"))
        .with_help("see what it says, and run again")
}

fn sentence(message: &Message<'_>) -> String {
    let Message { rule, sensor, column, value, .. } = message;
    let side = if message.side == Side::Above { "above" } else { "below" };
    let at = message.time.as_ref().map_or_else(String::new, |time| format!(" at {time}"));
    let threshold = message.threshold.unwrap_or(f64::NAN);
    match message.seconds {
        _ if message.state == "raised" => {
            format!("alert {rule}: {column} of {sensor} is {value}{at}, {side} {threshold}")
        }
        Some(seconds) => {
            let lasted = format_duration(((seconds * 1e9) as i64).max(1));
            format!(
                "alert {rule}: {column} of {sensor} is {value}{at}, no longer {side} {threshold}, after {lasted}"
            )
        }
        None => format!("alert {rule}: {column} of {sensor} is {value}{at}, no longer {side} {threshold}"),
    }
}

/// The sink in use.
struct Watch {
    options: Alert,
    column: usize,
    thresholds: Rules<Thresholds>,
    hold: i64,
    incidents: PerSensor<(Thresholds, Incident)>,
    target: Target,
    raised: u64,
}

impl Sink for Watch {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let measurement = batch.measurement(self.column);
        for (row, &id) in batch.sensors().iter().enumerate() {
            let Some(value) = measurement.get(row) else { continue };
            let time = batch.times().map(|times| times[row]);
            let rules = &self.thresholds;
            let (thresholds, incident) =
                self.incidents.get_or_insert_with(id, || (*rules.of(sensors.name(id)), Incident::Quiet));
            let Some(change) = incident.observe(thresholds, self.hold, time, value) else { continue };
            let (state, side, since) = match change {
                Change::Raised(side) => ("raised", side, None),
                Change::Cleared(side, since) => ("cleared", side, since),
            };
            self.raised += u64::from(state == "raised");
            let lasted = time.zip(since).and_then(|(time, since)| time.checked_since(since));
            self.target.send(&Message {
                state,
                rule: self.options.rule_name(),
                sensor: sensors.name(id),
                column: &self.options.column,
                time: time.map(|time| time.to_string()),
                value,
                side,
                threshold: thresholds.threshold(side),
                seconds: lasted.map(|nanos| nanos as f64 / 1e9),
            })?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.target.finish()
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        if let Target::File(file) = &mut self.target {
            file.commit()?;
        }
        let open = self
            .incidents
            .iter()
            .filter(|(_, (_, incident))| matches!(incident, Incident::Raised(..)))
            .count();
        Ok(vec![format!("alert {}: {} raised, {open} still open", self.options.rule_name(), self.raised)])
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A run that ends early lets its command go: a closed input tells it to stop.
        if let Target::Command(child, _) = &mut self.target {
            drop(child.stdin.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn changes(thresholds: Thresholds, hold: i64, values: &[(i64, f64)]) -> Vec<(usize, bool)> {
        let mut incident = Incident::default();
        let observe = |(at, &(time, value)): (usize, &(i64, f64))| {
            let change = incident.observe(&thresholds, hold, Some(Timestamp::from_nanos(time)), value)?;
            Some((at, matches!(change, Change::Raised(_))))
        };
        values.iter().enumerate().filter_map(observe).collect()
    }

    fn timed(values: &[f64]) -> Vec<(i64, f64)> {
        values.iter().enumerate().map(|(at, &value)| (at as i64 * 10, value)).collect()
    }

    #[test]
    fn an_incident_is_told_once_and_ends_at_its_clearing_threshold() {
        let thresholds = Thresholds { above: Some(5.0), clear_above: Some(3.0), ..Thresholds::default() };
        let values = timed(&[6.0, 7.0, 4.0, 6.0, f64::NAN, 3.0, 4.0, 6.0]);
        assert_eq!(changes(thresholds, 0, &values), [(0, true), (5, false), (7, true)]);
    }

    #[test]
    fn a_condition_must_last_as_long_as_the_hold_time() {
        let thresholds = Thresholds { below: Some(0.0), ..Thresholds::default() };
        let values = timed(&[-1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0, 0.0]);
        assert_eq!(changes(thresholds, 25, &values), [(6, true), (7, false)]);
    }

    #[test]
    fn senseless_thresholds_are_refused() {
        let with =
            |above, below, clear_above| Thresholds { above, below, clear_above, clear_below: None }.check();
        assert!(with(None, None, None).is_err());
        assert!(with(Some(1.0), None, Some(2.0)).is_err());
        assert!(with(None, Some(1.0), Some(2.0)).is_err());
        assert!(with(Some(f64::NAN), Some(0.0), None).is_err());
        assert!(with(Some(1.0), Some(0.0), Some(0.5)).is_ok());
    }

    proptest! {
        #[test]
        fn raising_and_clearing_take_turns(values in proptest::collection::vec(-9.0..9.0f64, 0..80), hold in 0..40i64, gap in 0.0..4.0f64) {
            let thresholds = Thresholds { above: Some(4.0), clear_above: Some(4.0 - gap), below: Some(-4.0), clear_below: Some(gap - 4.0) };
            let values = timed(&values);
            let changes = changes(thresholds, hold, &values);
            for (order, &(at, is_raised)) in changes.iter().enumerate() {
                prop_assert_eq!(is_raised, order % 2 == 0);
                let beyond = |at: usize| thresholds.beyond(values[at].1);
                if is_raised {
                    // All values of the last `hold` are beyond the same threshold.
                    let held = (0..=at).rev().take_while(|&before| values[at].0 - values[before].0 < hold || before == at);
                    for before in held {
                        prop_assert_eq!(beyond(before), beyond(at));
                    }
                    prop_assert!(beyond(at).is_some());
                } else {
                    prop_assert!(values[at].1 <= 4.0 - gap || values[at].1 >= gap - 4.0);
                }
            }
        }
    }
}
