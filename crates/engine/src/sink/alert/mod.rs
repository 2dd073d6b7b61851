//! `alert`: notifies when a measurement is too high or too low, once per incident.
//!
//! State of each measurement of each sensor: quiet → (beyond the threshold) pending → (for `hold`) raised → (past the clearing threshold)
//! quiet. Nulls and NaN neither raise nor clear.

mod program;
mod target;
mod watched;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::target::{AlertMessage, AlertTarget};
use self::watched::{Incidents, Watched};
use super::{FileTarget, Repeat, Sink, SinkCheckpoint, SinkContext, SinkSpec};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Masks, Result};
use crate::files::{Base, FilePath};
use crate::options::parameters_of;
use crate::secret::Secret;
use crate::sensor::{Rules, SensorId, Sensors};
use crate::sink::Component;
use crate::stage::{Incident, IncidentChange};
use crate::time::parse_duration;

pub use self::program::end_alert_commands;
pub use crate::stage::Thresholds;

/// Notifies when a measurement exceeds a threshold: once when the incident begins and once when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// The measurement to watch. A glob watches every measurement that it matches, each separately.
    pub column: String,
    /// The name of the rule in messages; defaults to the name of the measurement.
    #[serde(default)]
    pub name: Option<String>,
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
    /// Thresholds for particular sensors, by name or glob; the last match wins. A threshold that is not given here is taken from the sink.
    #[serde(default)]
    pub rules: IndexMap<String, Thresholds>,
    /// How long, in event time, values must stay beyond the threshold before the alert is raised, such as "30s".
    #[serde(default)]
    pub hold: Option<String>,
    /// Writes alerts to this file as JSON Lines; "-" is standard output. Without this and `command`, alerts go to the log (standard error).
    #[serde(default)]
    pub path: Option<FilePath>,
    /// Starts this program with its arguments and writes alerts to its standard input as JSON Lines. It runs in the folder against which
    /// the pipeline's relative paths are resolved; a name without a slash is searched for in `PATH`.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Variables of the environment that `command` is given besides those of this process, such as `{ TOKEN = { file = "token" } }`. They are secrets.
    #[serde(default)]
    pub environment: IndexMap<String, Secret>,
    /// The working folder of the command.
    #[serde(skip)]
    base: Base,
}

inventory::submit! { Component::of::<Alert>("alert", "notifies when a measurement is too high or too low, once per incident") }

impl Alert {
    /// Watches `column`, a name or a glob, for values above `above`.
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
            environment: IndexMap::new(),
            base: Base::default(),
        }
    }

    /// Writes the alerts to a file.
    pub fn to_file(mut self, path: impl Into<FilePath>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Where alerts are written, unless they go to the log or to a command.
    fn written(&self) -> Option<FileTarget> {
        Some(FileTarget::new(self.path.clone()?, None))
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

    /// What the system takes for a variable.
    fn check_environment(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::config(format!("`environment`: {what}")));
        for (name, value) in &self.environment {
            if name.is_empty() || name.contains(['=', '\0']) {
                return wrong(format!("`{name}` is not the name of an environment variable"));
            }
            if value.reveal().contains('\0') {
                return wrong(format!("the value of `{name}` contains a NUL byte"));
            }
        }
        Ok(())
    }

    /// The indices of the measurements to watch.
    fn watched(&self, schema: &Schema) -> Result<Vec<usize>> {
        schema.select(Some(std::slice::from_ref(&self.column)))
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
        self.written().map_or(Repeat::Duplicates, |target| target.repeat())
    }

    fn target(&self) -> Option<FileTarget> {
        self.written()
    }

    fn sensor_patterns(&self) -> Vec<String> {
        self.rules.keys().cloned().collect()
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        let path = self.path.as_ref().map(|path| path.with_base(base));
        Some(Arc::new(Self { path, base: base.clone(), ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        self.watched(schema)?;
        self.thresholds()?;
        self.check_environment()?;
        if self.hold()? > 0 && schema.time().is_none() {
            return Err(Error::config("`hold` needs a time column").with_help("name it in [source] `time`"));
        }
        match (&self.path, &self.command) {
            (Some(_), Some(_)) => Err(Error::config("`path` and `command` cannot be used together")),
            (_, Some(command)) if command.is_empty() => Err(Error::config("`command` is empty")),
            (_, None) if !self.environment.is_empty() => {
                Err(Error::config("`environment` has no effect without a `command`"))
            }
            _ => self.written().map_or(Ok(()), |target| target.check(None)),
        }
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn reloads(&self, option: &str) -> bool {
        ["above", "below", "clear_above", "clear_below", "rules", "hold"].contains(&option)
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let mut memory = match &context.resume {
            None => AlertState::default(),
            Some(state) => postcard::from_bytes(state)
                .map_err(|error| Error::data(format!("the saved state cannot be read: {error}")))?,
        };
        let target = match (self.written(), &self.command) {
            (Some(target), _) => {
                let context = SinkContext { resume: memory.file.take(), ..context.clone() };
                AlertTarget::File(target.open_text(Vec::new(), &context)?)
            }
            (None, Some(command)) => AlertTarget::start(command, &self.environment, &self.base, context)?,
            (None, None) => AlertTarget::log(context)?,
        };
        let watched = self.watched(schema)?.into_iter().map(|at| {
            let before = memory.incidents.remove(&*schema.fields()[at].name);
            Watched::new(schema, at, before.unwrap_or_default())
        });
        Ok(Box::new(OpenAlert {
            watched: watched.collect(),
            thresholds: self.thresholds()?,
            hold: self.hold()?,
            target,
            options: self.clone(),
            masks: Arc::clone(&context.masks),
            raised: memory.raised,
            remarks: Vec::new(),
            is_finished: false,
        }))
    }
}

/// The state of the sink in a checkpoint.
#[derive(Default, Serialize, Deserialize)]
struct AlertState {
    /// By measurement.
    incidents: BTreeMap<String, Incidents>,
    raised: u64,
    /// The state of the file, if there is one.
    file: Option<Vec<u8>>,
}

/// The running sink.
struct OpenAlert {
    options: Alert,
    masks: Arc<Masks>,
    watched: Vec<Watched>,
    thresholds: Rules<Thresholds>,
    hold: i64,
    target: AlertTarget,
    raised: u64,
    /// Remarks about the recipients of alerts.
    remarks: Vec<String>,
    is_finished: bool,
}

impl Sink for OpenAlert {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        for (row, &id) in batch.sensors().iter().enumerate() {
            let time = batch.times().map(|times| times[row]);
            for watched in &mut self.watched {
                let Some(value) = batch.columns()[watched.at].number(row) else { continue };
                let name = Arc::clone(&watched.name);
                let change =
                    watched.observe((id, sensors), &self.thresholds, self.hold, time, value.as_f64());
                let Some((thresholds, change)) = change else { continue };
                let (state, side, since) = match change {
                    IncidentChange::Raised(side) => ("raised", side, None),
                    IncidentChange::Cleared(side, since) => ("cleared", side, since),
                };
                self.raised += u64::from(state == "raised");
                let lasted = time.zip(since).and_then(|(time, since)| time.checked_since(since));
                self.target.send(&AlertMessage {
                    state,
                    rule: self.options.name.as_deref().unwrap_or(&name),
                    sensor: sensors.name(id),
                    column: &name,
                    time: time.map(|time| time.to_string()),
                    value,
                    side,
                    threshold: thresholds.threshold(side),
                    seconds: lasted.map(|nanos| nanos as f64 / 1e9),
                })?;
            }
        }
        Ok(())
    }

    fn give_up(&mut self, gone: &[SensorId]) -> Result<()> {
        self.watched.iter_mut().for_each(|watched| watched.give_up(gone));
        Ok(())
    }

    fn push(&mut self) -> Result<()> {
        match &mut self.target {
            AlertTarget::File(text) => text.push(),
            AlertTarget::Log(..) | AlertTarget::Command(..) => Ok(()),
        }
    }

    fn reload(&mut self, spec: &Arc<dyn SinkSpec>) -> Result<()> {
        let spec: &dyn Any = &**spec;
        let Some(options) = spec.downcast_ref::<Alert>() else {
            return Err(Error::internal("an alert was given the options of another type of sink"));
        };
        (self.thresholds, self.hold) = (options.thresholds()?, options.hold()?);
        self.watched.iter_mut().for_each(Watched::reload);
        self.options = options.clone();
        Ok(())
    }

    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        let saved = match &mut self.target {
            AlertTarget::File(text) => text.save(epoch)?,
            AlertTarget::Log(..) | AlertTarget::Command(..) => None,
        };
        let (file, saved) = match saved {
            Some(mut saved) => (Some(std::mem::take(&mut saved.state)), saved),
            None => (None, SinkCheckpoint::of_state(Vec::new())),
        };
        let incidents =
            self.watched.iter().map(|watched| (watched.name.to_string(), watched.open().collect()));
        let incidents = incidents.collect();
        let memory = AlertState { incidents, raised: self.raised, file };
        let state = postcard::to_stdvec(&memory)
            .map_err(|error| Error::internal(format!("the state cannot be saved: {error}")))?;
        Ok(Some(SinkCheckpoint { state, ..saved }))
    }

    fn flush(&mut self) -> Result<()> {
        self.is_finished = true;
        self.remarks.extend(self.target.finish(false)?);
        Ok(())
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        match &mut self.target {
            AlertTarget::File(text) => Ok(text.pause()),
            AlertTarget::Log(..) | AlertTarget::Command(..) => {
                self.is_finished = true;
                self.target.finish(true)
            }
        }
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        if let AlertTarget::File(text) = &mut self.target {
            self.remarks.extend(text.commit()?);
        }
        let open = self.watched.iter().flat_map(Watched::open);
        let open = open.filter(|(_, incident)| matches!(incident, Incident::Raised(..))).count();
        let Alert { name, column, .. } = &self.options;
        let rule = self.masks.hide_value(name.as_ref().unwrap_or(column)).into_owned();
        let told = format!("alert {rule}: {} raised, {open} still open", self.raised);
        Ok(std::iter::once(told).chain(std::mem::take(&mut self.remarks)).collect())
    }
}

impl Drop for OpenAlert {
    fn drop(&mut self) {
        // If the run ends early, alerts may still be queued; a file needs nothing.
        if !self.is_finished && !matches!(self.target, AlertTarget::File(_)) {
            let _ends_anyway = self.target.finish(true);
        }
    }
}
