//! `alert`: tells when a measurement goes too high or too low, once per incident.
//!
//! For every measurement of every sensor: quiet → (beyond the threshold) pending → (for as long as `hold`) raised → (back over the clearing
//! threshold) quiet. Nulls and NaN neither raise nor clear.

mod incident;
mod program;
mod target;
mod watched;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::incident::{Change, Incident};
use self::target::{Message, Target};
use self::watched::{Incidents, Watched};
use super::{Job, Outset, Repeat, Saved, Sink, SinkSpec};
use crate::atomic::{self, AtomicFile};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Masks, Result};
use crate::files::{Base, FilePath};
use crate::options::parameters_of;
use crate::sensor::{Rules, SensorId, Sensors};
use crate::sink::Component;
use crate::time::parse_duration;

pub use self::incident::Thresholds;
pub use self::program::end_alert_commands;

/// Tells when a measurement goes above or below a threshold: once when the incident begins, once when it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// The measurement to watch; a glob watches all that fit it, each by itself.
    pub column: String,
    /// The rule's name in messages; that of the measurement if not given.
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
    pub path: Option<FilePath>,
    /// Starts this program, with its arguments, and writes alerts to its standard input, as JSON Lines. It runs in the folder from which the
    /// pipeline's relative paths start; a name without a slash is looked for where the system looks for programs.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Where the command runs.
    #[serde(skip)]
    base: Base,
}

inventory::submit! { Component::of::<Alert>("alert", "tells when a measurement goes too high or too low, once per incident") }

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
            base: Base::default(),
        }
    }

    /// The same, written to a file.
    pub fn to_file(mut self, path: impl Into<FilePath>) -> Self {
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

    /// The measurements to watch.
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
        if self.file().is_some() { Repeat::Harmless } else { Repeat::Duplicates }
    }

    fn file(&self) -> Option<PathBuf> {
        atomic::file(self.path.as_ref()?)
    }

    fn stream(&self) -> Option<PathBuf> {
        atomic::stream(self.path.as_ref()?)
    }

    fn is_stdout(&self) -> bool {
        self.path.as_ref().is_some_and(atomic::is_stdout)
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

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, schema: &Arc<Schema>, outset: &Outset) -> Result<Box<dyn Sink>> {
        let mut memory = match &outset.resume {
            None => Memory::default(),
            Some(state) => postcard::from_bytes(state)
                .map_err(|error| Error::data(format!("the saved state cannot be read: {error}")))?,
        };
        let target = match (&self.path, &self.command) {
            (Some(path), _) => {
                let outset = Outset { resume: memory.file.take(), ..outset.clone() };
                Target::File(AtomicFile::begin(path, &outset)?.0)
            }
            (None, Some(command)) => Target::start(command, &self.base, outset)?,
            (None, None) => Target::log(outset)?,
        };
        let watched = self.watched(schema)?.into_iter().map(|at| {
            let before = memory.incidents.remove(&*schema.fields()[at].name);
            Watched::new(schema, at, before.unwrap_or_default())
        });
        Ok(Box::new(Watch {
            watched: watched.collect(),
            thresholds: self.thresholds()?,
            hold: self.hold()?,
            target,
            options: self.clone(),
            masks: Arc::clone(&outset.masks),
            raised: memory.raised,
            remarks: Vec::new(),
            is_finished: false,
        }))
    }
}

/// What is kept of the sink at a checkpoint.
#[derive(Default, Serialize, Deserialize)]
struct Memory {
    /// By measurement.
    incidents: BTreeMap<String, Incidents>,
    raised: u64,
    /// That of the file, if there is one.
    file: Option<Vec<u8>>,
}

/// The sink in use.
struct Watch {
    options: Alert,
    masks: Arc<Masks>,
    watched: Vec<Watched>,
    thresholds: Rules<Thresholds>,
    hold: i64,
    target: Target,
    raised: u64,
    /// What is worth knowing of those who took alerts.
    remarks: Vec<String>,
    is_finished: bool,
}

impl Sink for Watch {
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
                    Change::Raised(side) => ("raised", side, None),
                    Change::Cleared(side, since) => ("cleared", side, since),
                };
                self.raised += u64::from(state == "raised");
                let lasted = time.zip(since).and_then(|(time, since)| time.checked_since(since));
                self.target.send(&Message {
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
            Target::File(file) => file.finish(),
            Target::Log(..) | Target::Command(..) => Ok(()),
        }
    }

    fn save(&mut self, _epoch: u64) -> Result<Option<Saved>> {
        let saved = match &mut self.target {
            Target::File(file) => file.save()?,
            Target::Log(..) | Target::Command(..) => None,
        };
        let (file, outputs, settle) = match saved {
            Some(saved) => (Some(saved.state), saved.outputs, saved.settle),
            None => (None, Vec::new(), Box::new(|| Ok(())) as Job),
        };
        let incidents =
            self.watched.iter().map(|watched| (watched.name.to_string(), watched.open().collect()));
        let incidents = incidents.collect();
        let memory = Memory { incidents, raised: self.raised, file };
        let state = postcard::to_stdvec(&memory)
            .map_err(|error| Error::internal(format!("the state cannot be saved: {error}")))?;
        Ok(Some(Saved { state, outputs, settle, deliver: None }))
    }

    fn flush(&mut self) -> Result<()> {
        self.is_finished = true;
        self.remarks.extend(self.target.finish(false)?);
        Ok(())
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        match &mut self.target {
            Target::File(_) => Ok(Vec::new()),
            Target::Log(..) | Target::Command(..) => {
                self.is_finished = true;
                self.target.finish(true)
            }
        }
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        if let Target::File(file) = &mut self.target {
            file.commit()?;
        }
        let open = self.watched.iter().flat_map(Watched::open);
        let open = open.filter(|(_, incident)| matches!(incident, Incident::Raised(..))).count();
        let Alert { name, column, .. } = &self.options;
        let rule = self.masks.hide_value(name.as_ref().unwrap_or(column)).into_owned();
        let told = format!("alert {rule}: {} raised, {open} still open", self.raised);
        Ok(std::iter::once(told).chain(std::mem::take(&mut self.remarks)).collect())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A run that ends early has alerts on their way; a file is as it was written.
        if !self.is_finished && !matches!(self.target, Target::File(_)) {
            let _ends_anyway = self.target.finish(true);
        }
    }
}
