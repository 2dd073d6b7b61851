//! From the pipeline as written to what will run: [`spec`] (as written) → [`resolve`] (checked) → [`plan`] (the columns of every part).

pub mod agreement;
mod builder;
pub mod delivery;
mod findings;
pub mod graph;
pub(crate) mod idle;
pub(crate) mod label;
pub(crate) mod leading;
mod named;
pub mod outage;
mod overrides;
pub mod parameters;
mod parts;
mod placeholders;
mod places;
pub mod plan;
pub mod resolve;
pub mod schema;
pub mod secrets;
pub mod sources;
pub mod spec;
#[cfg(test)]
mod tests;
pub mod touched;
mod variables;
mod written;

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::Base;
use crate::format::columns::Names;
use crate::sensor::{DEFAULT_MAX_SENSOR_BYTES, DEFAULT_MAX_SENSORS, SensorLimits, Surplus};
use crate::sink::SinkSpec;
use crate::source::{Recovery, SourceSpec, Traits};
use crate::stage::{IntoStage, Reach, Stage, matcher};
use crate::time::parse_duration;

pub use builder::Builder;
pub use delivery::{Delivery, Guarantee, Required};
pub use findings::Wrong;
pub use graph::Graph;
pub use outage::{BreakerTable, Outage, RetryTable};
pub use parameters::Parameters;
pub use plan::Plan;
pub use resolve::{OutputOptions, Resolved, StageOptions};
pub use secrets::Secrets;
pub use spec::Spec;
pub use touched::Touched;
pub use written::SpecError;

/// A pipeline: one or more sources, any number of stages, one or more sinks. Immutable; can be run any number of times.
#[derive(Clone)]
pub struct Pipeline {
    /// Its name in events: of one that was read from a file, the name of the file without its ending.
    pub name: Option<Arc<str>>,
    /// Where records come from, in order.
    pub sources: Vec<SourceEntry>,
    /// How they are processed, in order (clause 11).
    pub stages: Vec<StageEntry>,
    /// Where they go, in order.
    pub sinks: Vec<SinkEntry>,
    /// The values that came from the environment.
    pub secrets: Secrets,
}

/// A source with its common options.
#[derive(Clone)]
pub struct SourceEntry {
    /// The source.
    pub spec: Arc<dyn SourceSpec>,
    /// The options common to all sources.
    pub input: InputOptions,
}

impl SourceEntry {
    /// A source with default common options.
    pub fn new(spec: impl SourceSpec + 'static) -> Self {
        Self { spec: Arc::new(spec), input: InputOptions::default() }
    }
}

/// A stage and what feeds it.
#[derive(Clone)]
pub struct StageEntry {
    /// The stage.
    pub stage: Arc<dyn Stage>,
    /// Its name in `from` of later parts.
    pub name: Option<String>,
    /// The names of the parts that feed it; `None`: the previous part.
    pub from: Option<Names>,
}

impl StageEntry {
    /// A stage that is fed by the previous part.
    pub fn new<P: ?Sized>(stage: impl IntoStage<P>) -> Self {
        Self { stage: stage.into_stage(), name: None, from: None }
    }
}

/// A sink and what feeds it.
#[derive(Clone)]
pub struct SinkEntry {
    /// The sink.
    pub spec: Arc<dyn SinkSpec>,
    /// Patterns (globs) for sensor names; `None`: all sensors.
    pub sensors: Option<Vec<String>>,
    /// The names of the parts that feed it; `None`: the last stage.
    pub from: Option<Names>,
    /// What the run does after a failure of this sink. `None`: bounded input stops, and live input waits while a disk is full.
    pub on_failure: Option<OnFailure>,
    /// The guarantee without which the pipeline is refused.
    pub delivery: Option<Required>,
    /// What it does while its target fails, if it delivers by epochs.
    pub outage: Outage,
}

/// What a run does after a failure of a sink: any that is transient, and of one that delivers by epochs also what its target refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnFailure {
    /// End with the error.
    Stop,
    /// Retry until it succeeds.
    Wait,
    /// Drop what cannot be delivered, and count it: only for a sink that delivers by epochs.
    Drop,
}

impl SinkEntry {
    /// A sink for all records that leave the last stage.
    pub fn new(spec: impl SinkSpec + 'static) -> Self {
        Self::of(Arc::new(spec))
    }

    /// The same, of a sink that is shared.
    pub(crate) fn of(spec: Arc<dyn SinkSpec>) -> Self {
        Self { spec, sensors: None, from: None, on_failure: None, delivery: None, outage: Outage::default() }
    }

    /// Compiles the patterns.
    ///
    /// # Errors
    /// A configuration error that names an invalid pattern.
    pub fn matchers(&self) -> Result<Option<Vec<globset::GlobMatcher>>> {
        self.sensors.as_ref().map(|patterns| patterns.iter().map(|p| matcher(p)).collect()).transpose()
    }
}

/// The default of `max_ahead`.
const MAX_AHEAD: &str = "5m";

/// Options common to all sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InputOptions {
    /// Its name in `from` of stages and sinks; "source" by default if it is the only source.
    pub name: Option<String>,
    /// `input` keeps the order of the input; `time` sorts each series by time within `disorder`; `newest_first` sorts a bounded input
    /// whose newest records come first: all of it is kept in memory.
    pub order: Order,
    /// By default, a bounded source is read after those before it in the file. With "time", the sources that have this option are merged:
    /// of their next records, the earliest goes first.
    pub merge: Option<Merge>,
    /// By how much a record may be out of order and still be sorted in, such as "5m". Required with `order = "time"`.
    pub disorder: Option<String>,
    /// Only records from this time on: RFC 3339, or a date, which begins at midnight in `timezone`.
    pub from: Option<String>,
    /// Only records before this time, written like `from`.
    pub until: Option<String>,
    /// How far a record's time may be ahead of its sensor's previous newest record, such as "1h". A record further ahead is held until the
    /// sensor's next record: if that continues from before, the clock had jumped, and the held record is rejected.
    pub max_jump: Option<String>,
    /// How many records may be rejected, for any reason, before the run fails: a count (100), or a fraction of the records (0.02), which is
    /// checked from the 1,000th record on and at the end. By default, a bounded run fails above 10 records and 1 %, or above half; there is
    /// no limit where anyone may send.
    pub max_rejects: Option<MaxRejects>,
    /// How far a live record's time may be ahead of the machine's clock; "5m" by default. A record further ahead is rejected, since its
    /// sensor's clock is wrong.
    pub max_ahead: Option<String>,
    /// What happens when input arrives faster than it is processed: `wait` makes the sender wait, `drop` drops and counts it.
    pub when_full: WhenFull,
    /// How many sensors must have reached a time before the watermark does. By default, a tenth of the sensors seen so far, and at least 2.
    /// Used by `order = "time"` and by `aggregate` with intervals.
    pub agree: Option<usize>,
    /// How long a sensor may be idle, in event time, such as "7d": a sensor that has been quiet for longer is given up, so that it makes
    /// room for others. Its open results are written then, and if it reports again, it starts anew. Uses one thread. By default, no sensor
    /// is given up.
    pub idle_sensors: Option<String>,
    /// How many distinct sensors a run accepts. One more ends the run; where anyone may send, or with `idle_sensors`, its records are
    /// rejected.
    pub max_sensors: usize,
    /// How many bytes the names of all sensors may have in total; more are handled as with `max_sensors`. A single name may have 1,024.
    pub max_sensor_bytes: usize,
}

impl Default for InputOptions {
    fn default() -> Self {
        Self {
            name: None,
            order: Order::Input,
            merge: None,
            disorder: None,
            from: None,
            until: None,
            max_jump: None,
            max_rejects: None,
            max_ahead: None,
            when_full: WhenFull::Wait,
            agree: None,
            idle_sensors: None,
            max_sensors: DEFAULT_MAX_SENSORS,
            max_sensor_bytes: DEFAULT_MAX_SENSOR_BYTES,
        }
    }
}

/// What happens when live input arrives faster than it is processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenFull {
    /// The sender waits.
    #[default]
    Wait,
    /// Input is dropped and counted.
    Drop,
}

impl InputOptions {
    /// How far a live record may be ahead of the clock, in nanoseconds.
    ///
    /// # Errors
    /// A configuration error if it is not a duration.
    pub(crate) fn max_ahead(&self) -> Result<i64> {
        let max_ahead = self.max_ahead.as_deref().unwrap_or(MAX_AHEAD);
        parse_duration(max_ahead).map_err(|why| Error::config(format!("`max_ahead`: {why}")))
    }
}

/// The order in which records are processed (clauses 8 and 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Order {
    /// The order of the input.
    #[default]
    Input,
    /// Each series by time.
    Time,
    /// The whole input by time; its newest records come first.
    NewestFirst,
}

/// How several bounded sources are read together (clause 33).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Merge {
    /// By the times of their records.
    Time,
}

/// The limit of rejected records (clause 7).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a count such as 100, or a fraction such as 0.01")]
#[non_exhaustive]
pub enum MaxRejects {
    /// A number of records.
    Count(u64),
    /// A fraction of the records, 0 to 1, checked from the 1,000th record on and at the end.
    Share(f64),
}

impl Pipeline {
    /// Starts building a pipeline in code.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The number of stages that options of sources insert before those in the file.
    pub fn stages_before(&self) -> usize {
        self.sources.iter().map(|source| leading::leading(source).map_or(0, |stages| stages.len())).sum()
    }

    /// The guarantees that all of its sources give.
    pub fn traits(&self) -> Traits {
        let all = |holds: fn(Traits) -> bool| self.sources.iter().all(|source| holds(source.spec.traits()));
        Traits {
            is_bounded: all(|traits| traits.is_bounded),
            is_replayable: all(|traits| traits.is_replayable),
            is_open: !all(|traits| !traits.is_open),
            recovery: self
                .sources
                .iter()
                .map(|source| source.spec.traits().recovery)
                .min()
                .unwrap_or(Recovery::Lost),
        }
    }

    /// Whether every source can resume from a checkpoint.
    pub fn can_resume(&self) -> bool {
        self.sources.iter().all(|source| source.spec.can_resume())
    }

    /// The limits of sensors: shared by all sources, whose limits add up.
    pub(crate) fn sensor_limits(&self) -> SensorLimits {
        // With `idle_sensors`, whether there is room is decided in the order of the input.
        let is_aside = self.traits().is_open || self.idle_sensors().is_some();
        let surplus = if is_aside { Surplus::Aside } else { Surplus::Error };
        let sum = |limit: fn(&InputOptions) -> usize| {
            self.sources.iter().fold(0_usize, |sum, source| sum.saturating_add(limit(&source.input)))
        };
        SensorLimits {
            sensors: sum(|input| input.max_sensors),
            bytes: sum(|input| input.max_sensor_bytes),
            surplus,
        }
    }

    /// How long a sensor may be idle, if sensors are given up; then there is one source.
    pub(crate) fn idle_sensors(&self) -> Option<&str> {
        self.sources.iter().find_map(|source| source.input.idle_sensors.as_deref())
    }

    /// The same pipeline with relative paths resolved against `folder`: those of sources, stages and sinks, and the commands of alerts.
    #[must_use]
    pub fn with_base(mut self, folder: impl AsRef<Path>) -> Self {
        let base = Base::new(folder);
        for SourceEntry { spec, .. } in &mut self.sources {
            *spec = spec.with_base(&base).unwrap_or_else(|| Arc::clone(spec));
        }
        for StageEntry { stage, .. } in &mut self.stages {
            *stage = stage.with_base(&base).unwrap_or_else(|| Arc::clone(stage));
        }
        for SinkEntry { spec, .. } in &mut self.sinks {
            *spec = spec.with_base(&base).unwrap_or_else(|| Arc::clone(spec));
        }
        self
    }

    /// Whether a stage must see all of the input first.
    pub(crate) fn has_first_pass(&self) -> bool {
        self.stages.iter().any(|entry| entry.stage.reach() == Reach::Global)
    }
}
