//! From what the user wrote to what will run: [`spec`] (as written) → [`resolve`] (checked) →
//! [`plan`] (what will happen to the columns, and why).

pub mod agreement;
mod builder;
pub mod delivery;
pub mod environment;
mod findings;
pub mod graph;
pub(crate) mod idle;
pub(crate) mod label;
pub(crate) mod leading;
mod named;
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
use crate::source::{SourceSpec, Traits};
use crate::stage::{IntoStage, Reach, Stage, matcher};
use crate::time::parse_duration;

pub use builder::Builder;
pub use delivery::Delivery;
pub use findings::Wrong;
pub use graph::Graph;
pub use parameters::Parameters;
pub use plan::Plan;
pub use resolve::{OutputOptions, Resolved, StageOptions};
pub use secrets::Secrets;
pub use spec::Spec;
pub use touched::Touched;
pub use written::SpecError;

/// A pipeline: one or more sources, any stages, one or more sinks. Immutable; can be run again and again.
#[derive(Clone)]
pub struct Pipeline {
    /// Where records come from.
    pub sources: Vec<SourceEntry>,
    /// What happens to them (clause 11).
    pub stages: Vec<StageEntry>,
    /// Where they go.
    pub sinks: Vec<SinkEntry>,
    /// What came from the environment.
    pub secrets: Secrets,
}

/// A source, with the options that hold for any.
#[derive(Clone)]
pub struct SourceEntry {
    /// The source.
    pub spec: Arc<dyn SourceSpec>,
    /// The options that hold for any source.
    pub input: InputOptions,
}

impl SourceEntry {
    /// A source with the defaults of the options that hold for any.
    pub fn new(spec: impl SourceSpec + 'static) -> Self {
        Self { spec: Arc::new(spec), input: InputOptions::default() }
    }
}

/// A stage and what feeds it.
#[derive(Clone)]
pub struct StageEntry {
    /// The stage.
    pub stage: Arc<dyn Stage>,
    /// What `from` of later parts calls it.
    pub name: Option<String>,
    /// The parts that it takes records from, by name; `None` means the part before it.
    pub from: Option<Names>,
}

impl StageEntry {
    /// A stage that takes from the part before it.
    pub fn new<P: ?Sized>(stage: impl IntoStage<P>) -> Self {
        Self { stage: stage.into_stage(), name: None, from: None }
    }
}

/// A sink and what feeds it.
#[derive(Clone)]
pub struct SinkEntry {
    /// The sink.
    pub spec: Arc<dyn SinkSpec>,
    /// Patterns of sensor names; `None` means all.
    pub sensors: Option<Vec<String>>,
    /// The parts that it takes records from, by name; `None` means the last stage.
    pub from: Option<Names>,
    /// What a failure that may pass does to the run. `None`: input that ends is stopped by it, and live input waits while a disk is full.
    pub on_failure: Option<OnFailure>,
}

/// What becomes of a run where a sink fails with something that may pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run ends with that error.
    Stop,
    /// It is tried again until it succeeds.
    Wait,
}

impl SinkEntry {
    /// A sink that is given all records that leave the last stage.
    pub fn new(spec: impl SinkSpec + 'static) -> Self {
        Self { spec: Arc::new(spec), sensors: None, from: None, on_failure: None }
    }

    /// Checks the patterns.
    ///
    /// # Errors
    /// A configuration error that names the pattern that is none.
    pub fn matchers(&self) -> Result<Option<Vec<globset::GlobMatcher>>> {
        self.sensors.as_ref().map(|patterns| patterns.iter().map(|p| matcher(p)).collect()).transpose()
    }
}

/// How far ahead of the clock a live record is believed to be unless `max_ahead` says otherwise.
const MAX_AHEAD: &str = "5m";

/// Options of a source that hold for any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InputOptions {
    /// What `from` of stages and sinks calls it; "source" if not given and there is no other source.
    pub name: Option<String>,
    /// `input` keeps the order of the input; `time` sorts each series by time within `disorder`; `newest_first` sorts an input that ends, and whose newest
    /// records come first: all of it is kept in memory.
    pub order: Order,
    /// Not given, a source that ends is read behind those written before it. With "time", those that have it are read together: of the records that come next in each, the earliest goes first.
    pub merge: Option<Merge>,
    /// How far back in time a record may come and still be sorted in, such as "5m". Needed with `order = "time"`.
    pub disorder: Option<String>,
    /// Only records from this time on: RFC 3339, or a date, which begins at midnight in `timezone`.
    pub from: Option<String>,
    /// Only records before this time, written like `from`.
    pub until: Option<String>,
    /// How far ahead of its sensor's newest record a record's time may be, such as "1h". One further ahead waits for the sensor's next record: if that goes
    /// on from before, the clock had jumped, and the record is set aside.
    pub max_jump: Option<String>,
    /// How many records a run sets aside, for whatever reason, before it fails: a count (100), or a share of the records (0.02), which
    /// is looked at from the 1,000th record on and at the end. If not given, a run that ends fails above 10 records and 1 %, or above
    /// half; any number where anybody may send.
    pub max_rejects: Option<MaxRejects>,
    /// How far ahead of the machine's clock a record's time may be, where the input is live; "5m" if not given. One further ahead is set
    /// aside: its sensor's clock is wrong.
    pub max_ahead: Option<String>,
    /// What happens to input that comes faster than it can be handled: `wait` lets whoever sends it wait, `drop` drops and counts it.
    pub when_full: WhenFull,
    /// How many sensors must have reached a time before others that lag behind it can be taken for quiet. If not given, a tenth of the
    /// sensors seen so far, and at least 2. For `order = "time"`, and for `aggregate` by intervals.
    pub agree: Option<usize>,
    /// How long a sensor may be idle, in event time, such as "7d": one that has been quiet for longer is given up, so that it makes room for others. What
    /// is open of it is written then, and if it comes again it begins anew. Takes one thread. If not given, no sensor is given up.
    pub idle_sensors: Option<String>,
    /// How many distinct sensors a run takes. One more ends the run; where anybody may send, or with `idle_sensors`, its records are set aside.
    pub max_sensors: usize,
    /// How many bytes the names of all sensors may have together; beyond that, as with `max_sensors`. A name may have 1,024.
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

/// What happens to live input that comes faster than it can be handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Whoever sends has to wait.
    #[default]
    Wait,
    /// It is dropped, and counted.
    Drop,
}

impl InputOptions {
    /// How far ahead of the clock a live record may be, in nanoseconds.
    ///
    /// # Errors
    /// A configuration error where it is no duration.
    pub(crate) fn max_ahead(&self) -> Result<i64> {
        let max_ahead = self.max_ahead.as_deref().unwrap_or(MAX_AHEAD);
        parse_duration(max_ahead).map_err(|why| Error::config(format!("`max_ahead`: {why}")))
    }
}

/// The order in which records are processed (clauses 8 and 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As they come.
    #[default]
    Input,
    /// Each series by time.
    Time,
    /// The whole input by time, where its newest records come first.
    NewestFirst,
}

/// How several sources that end are read together (clause 33).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// By the times of their records.
    Time,
}

/// How many rejects a run takes (clause 7).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a count such as 100, or a share such as 0.01")]
pub enum MaxRejects {
    /// A number of records.
    Count(u64),
    /// A share of the records, 0 to 1, looked at from the 1,000th record on and at the end.
    Share(f64),
}

impl Pipeline {
    /// Starts a pipeline in code.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// How many stages run before those written, because options of sources ask for them.
    pub fn stages_before(&self) -> usize {
        self.sources.iter().map(|source| leading::leading(source).map_or(0, |stages| stages.len())).sum()
    }

    /// What its sources promise together: each of them does.
    pub fn traits(&self) -> Traits {
        let all = |holds: fn(Traits) -> bool| self.sources.iter().all(|source| holds(source.spec.traits()));
        Traits {
            is_bounded: all(|traits| traits.is_bounded),
            is_replayable: all(|traits| traits.is_replayable),
            is_open: !all(|traits| !traits.is_open),
            is_kept: all(|traits| traits.is_kept),
        }
    }

    /// Whether every source can go on where a checkpoint found it.
    pub fn can_resume(&self) -> bool {
        self.sources.iter().all(|source| source.spec.can_resume())
    }

    /// How many sensors a run takes: its sources have them in common, and their limits add up.
    pub(crate) fn sensor_limits(&self) -> SensorLimits {
        // Whether there is room is known in the order of the input where sensors are given up.
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

    /// How long a sensor may be idle, where sensors are given up; then there is one source.
    pub(crate) fn idle_sensors(&self) -> Option<&str> {
        self.sources.iter().find_map(|source| source.input.idle_sensors.as_deref())
    }

    /// The same pipeline, whose relative paths start from `folder`: those of sources, stages and sinks, and the commands of alerts.
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

    /// Whether a stage has to see all of the input first.
    pub(crate) fn has_first_pass(&self) -> bool {
        self.stages.iter().any(|entry| entry.stage.reach() == Reach::Global)
    }
}
