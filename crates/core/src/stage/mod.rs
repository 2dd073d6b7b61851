//! The stages, one per file.
//!
//! A [`Stage`] is an immutable description; each worker gets private state from it, a [`Process`]. A stage author implements what happens
//! to one sensor ([`SensorStage`]), one measurement of a sensor ([`SeriesStage`]) or one record ([`RowStage`]); statistics over windows or
//! intervals implement [`WindowStatistic`] or [`IntervalStatistic`]. Threads, order, checkpoints and scheduling are up to the engine.

mod aggregate;
mod alerts;
mod by_column;
mod dedupe;
mod each;
mod fate;
mod foresight;
mod identity;
mod interval;
mod into;
#[cfg(test)]
mod listed;
mod max_jump;
mod moving;
mod moving_average;
mod moving_max;
mod moving_median;
mod moving_min;
mod moving_std;
mod newest_first;
mod normalize;
mod period;
mod pieces;
mod pivot;
mod rate;
mod reorder;
#[cfg(test)]
pub(crate) mod restarts;
mod second_showing;
mod sensor_states;
mod series;
mod shards;
mod silence;
pub(crate) mod state;
#[cfg(test)]
pub(crate) mod testing;
mod threshold;
mod time_of_day;
mod waiting;

use std::any::Any;
use std::sync::Arc;

use serde::Serialize;

use crate::batch::{Batch, Extent, Schema};
use crate::error::{Error, Result};
use crate::options::{Configure, Named, Options};
use crate::paths::{Base, FilePath};
use crate::sensor::{SensorId, Sensors};
use crate::time::{Agreement, Timestamp, Watermark};

pub use crate::options::parameters_of;
pub use crate::sensor::{OfSensors, PerSensor, Rules, matcher};
pub use aggregate::{Aggregate, Statistic};
pub use alerts::{Alerts, Incident, IncidentChange, Side, Thresholds};
pub use by_column::ByColumn;
pub use dedupe::Dedupe;
pub use each::{
    Columns, EachRow, EachSensor, Emitted, Last, ReadColumn, Record, Row, RowStage, SensorStage, Timer,
    Value, WriteColumn,
};
pub use fate::Flow;
pub use foresight::Foresight;
pub(crate) use identity::Identity;
pub use interval::{Interval, IntervalStatistic, Intervals};
pub use into::IntoStage;
pub use max_jump::MaxJump;
pub use moving::{Look, Moving, Unusual, Window, WindowStatistic};
pub use moving_average::{Average, MovingAverage};
pub use moving_max::{Max, MovingMax};
pub use moving_median::{Middle, MovingMedian};
pub use moving_min::{Min, MovingMin};
pub use moving_std::{MovingStd, Std};
pub use newest_first::NewestFirst;
pub use normalize::{Exception, Method, Normalize, Unknown};
pub use period::InPeriod;
pub use pieces::{Cut, CutKind, Pieces, in_one_piece};
pub use pivot::Pivot;
pub use rate::{Rate, RateMethod};
pub use reorder::Reorder;
pub use second_showing::SecondShowing;
pub use sensor_states::SensorStates;
pub use series::{EachSeries, Output, Run, SeriesStage};
pub use shards::{Groups, Made, Shards, Share};
pub use silence::{Keep, Silence, TimeBasis};
pub use threshold::{Action, Bounds, Nulls, Threshold};
pub use time_of_day::TimeOfDay;

/// What a stage must have seen to process a record (clause 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
// Exhaustive: every runtime must know how to schedule each.
pub enum Reach {
    /// Only the record: batches may be processed in any order, by any worker.
    Row,
    /// All earlier records of its sensor, in order: one worker at a time processes a sensor.
    Series,
    /// The whole input: a first pass is made before ([`Stage::fit`]).
    Global,
}

/// The registration of a stage under a name, for use in pipeline files: `inventory::submit! { Component::sensor::<Mine>("mine", "…") }`.
/// The function depends on the trait that the stage implements.
pub struct Component(pub Named<dyn Stage>);

inventory::collect!(Component);

impl Component {
    /// A [`Stage`] `T` under `name`; `help` describes it in one line.
    pub const fn of<T: Configure + Stage>(name: &'static str, help: &'static str) -> Self {
        let make: Make = |options| Some(Box::new(T::configure(options)?));
        Self(Named { name, help, make, schemas: T::schemas })
    }

    /// A [`SensorStage`] `T`.
    pub const fn sensor<T: Configure + SensorStage>(name: &'static str, help: &'static str) -> Self {
        let make: Make = |options| Some(Box::new(EachSensor::new(T::configure(options)?)));
        Self(Named { name, help, make, schemas: T::schemas })
    }

    /// A [`SeriesStage`] `T`.
    pub const fn series<T: Configure + SeriesStage>(name: &'static str, help: &'static str) -> Self {
        let make: Make = |options| Some(Box::new(EachSeries(T::configure(options)?)));
        Self(Named { name, help, make, schemas: T::schemas })
    }

    /// A [`RowStage`] `T`.
    pub const fn row<T: Configure + RowStage>(name: &'static str, help: &'static str) -> Self {
        let make: Make = |options| Some(Box::new(EachRow(T::configure(options)?)));
        Self(Named { name, help, make, schemas: T::schemas })
    }
}

/// Builds a stage from its options.
type Make = fn(&mut Options<'_>) -> Option<Box<dyn Stage>>;

/// A stage as configured in a pipeline: immutable, shared by all workers.
pub trait Stage: Send + Sync {
    /// The name under which it is registered.
    fn name(&self) -> &str;

    /// Its options with their defaults, for `explain` and the report.
    fn parameters(&self) -> serde_json::Value;

    /// What it must have seen to process a record.
    fn reach(&self) -> Reach;

    /// Whether it has state that belongs in a checkpoint ([`Process::save`]); constants, given or learnt, do not. With checkpoints, a stage
    /// of reach [`Reach::Row`] with state is run by one worker at a time.
    fn keeps_state(&self) -> bool;

    /// Checks that it can go on after a restart. Called before a run with checkpoints.
    ///
    /// # Errors
    /// A configuration error if it cannot.
    fn check_resumable(&self) -> Result<()> {
        Ok(())
    }

    /// The output columns for the columns `input`. Called before the run; reports all problems of the options.
    ///
    /// # Errors
    /// A configuration error: a missing column, options that are mutually exclusive.
    fn output(&self, input: &Schema) -> Result<Schema>;

    /// The version of its state: raise it with every change of what [`Process::save`] or [`Process::save_sensors`] writes. A state of another version is refused by name.
    fn state_version(&self) -> u32 {
        1
    }

    /// Private state for one worker. A `Row` stage gets any batches, a `Series` stage all batches of its share of the sensors, in order.
    ///
    /// # Errors
    /// As [`Stage::output`].
    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>>;

    /// The same, split into `count` shards of sensors that several workers can process concurrently; `None` if the stage cannot be split:
    /// then one worker at a time passes it whole batches, in order.
    ///
    /// # Errors
    /// As [`Stage::output`].
    fn shards(&self, _input: &Arc<Schema>, _count: usize) -> Result<Option<Box<dyn Shards>>> {
        Ok(None)
    }

    /// Predicts what happens to records of which only `records` is known; their columns are those of `input`.
    fn foresee(&self, _input: &Schema, _records: &Extent) -> Foresight {
        Foresight::Unknown
    }

    /// The first pass of a `Global` stage; `None` for all others.
    ///
    /// # Errors
    /// As [`Stage::output`].
    fn fit(&self, _input: &Arc<Schema>) -> Result<Option<Box<dyn Fit>>> {
        Ok(None)
    }

    /// The constants learnt in its first pass, as the text of a file that `load` accepts; `None` for stages that learn nothing.
    fn fitted(&self) -> Option<String> {
        None
    }

    /// The patterns of sensor names in its options: one without a match in a run is reported at its end.
    fn sensor_patterns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The file that it loads before the run.
    fn loads(&self) -> Option<&FilePath> {
        None
    }

    /// The stage with `text`, the content of the file that it [loads](Stage::loads). Called before [`Stage::output`].
    ///
    /// # Errors
    /// A configuration error if the content is invalid.
    fn load(&self, _text: &str) -> Result<Arc<dyn Stage>> {
        Err(Error::internal(format!("`{}` loads nothing", self.name())))
    }

    /// The file to which the constants learnt in its first pass ([`Stage::fitted`]) are saved.
    fn saves(&self) -> Option<&FilePath> {
        None
    }

    /// The stage with its relative paths resolved against `base`; `None` if it has no paths.
    fn with_base(&self, _base: &Base) -> Option<Arc<dyn Stage>> {
        None
    }

    /// Whether it may reject records, so that batches must carry origins.
    fn needs_origins(&self) -> bool {
        false
    }

    /// The stage with the number of sensors that must have reached a time for the watermark to advance (clause 22). `None` for a stage that
    /// does not use the watermark.
    fn with_agreement(&self, _agreement: Agreement) -> Option<Arc<dyn Stage>> {
        None
    }

    /// Whether sensors can be given up (clause 27): their state can be removed, see [`Process::give_up`], and nothing else is stored by id.
    fn gives_up(&self) -> bool {
        self.reach() == Reach::Row
    }

    /// Whether `option` may change during a run ([`Running::reload`](https://docs.rs/tidemill/latest/tidemill/runtime/struct.Running.html)). The output columns
    /// must not depend on it, and a stage with the new value must be able to continue from the state of the old one ([`Process::save`]).
    fn reloads(&self, _option: &str) -> bool {
        false
    }

    /// For a stage that uses the receiver's clock: after how many nanoseconds without input it needs a tick, which is a batch without records that was
    /// [received](Batch::received) then. `None` for all others.
    fn ticks(&self) -> Option<i64> {
        None
    }

    /// Its state and its size, for `explain`.
    fn memory(&self) -> String {
        "nothing".into()
    }
}

/// A running stage: the state of one worker. Calls come from one thread at a time, which may change between calls: first `restore`, if
/// at all, then `process` repeatedly, with `save` and `give_up` between batches, finally `merge`, `finish` and `remarks`.
pub trait Process: Any + Send {
    /// Processes the records of `batch`, in order, and returns those that are emitted. Others are reported to `flow`. A stage that buffers
    /// or makes records sets which input record triggered each of them ([`Origins::set_triggers`](crate::batch::Origins::set_triggers)):
    /// rejections of later stages are ordered by that.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch>;

    /// The input has ended: returns the buffered records.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn finish(&mut self, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        Ok(None)
    }

    /// Removes the state of these sensors: the next record of any of them is the first of its series. Returns their buffered records, as at
    /// the end of the input. Only called if [`Stage::gives_up`].
    ///
    /// # Errors
    /// Only errors that end the run.
    fn give_up(&mut self, _gone: &[SensorId], _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        Ok(None)
    }

    /// Merges the state of another worker's process; only for `Row` stages, which several workers run. Called before [`Process::finish`].
    ///
    /// # Errors
    /// An internal error if `other` belongs to another stage.
    fn merge(&mut self, _other: Box<dyn Process>) -> Result<()> {
        Ok(())
    }

    /// The number of buffered records.
    fn held(&self) -> u64 {
        0
    }

    /// Remarks for the end of a run. Not called for stages that are split or run by several workers.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// The complete state as bytes. Sensors are identified by id.
    ///
    /// # Errors
    /// An internal error if the state cannot be serialised.
    fn save(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Restores the state saved by [`Process::save`], under the same ids. Called before anything else; replaces the current state. If it
    /// fails, nothing has changed.
    ///
    /// # Errors
    /// A data error if the bytes are not such a state.
    fn restore(&mut self, state: &[u8], _sensors: &Sensors) -> Result<()> {
        match state {
            [] => Ok(()),
            _ => Err(Error::data("the saved state belongs to another stage: this one has no state")),
        }
    }

    /// Its state, sensor by sensor, so that each sensor can continue in another process, under another id. `None` if the state can only be saved as a
    /// whole ([`Process::save`]).
    ///
    /// # Errors
    /// An internal error where the state cannot be written.
    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        Ok(None)
    }

    /// Resumes from what [`Process::save_sensors`] returned in one process, or in several that had different sensors; every sensor of `states` is in
    /// `sensors`. Called before anything else. After an error the process must not be used.
    ///
    /// # Errors
    /// A data error if these are not such states, or cannot be merged.
    fn restore_sensors(&mut self, states: &SensorStates, _sensors: &Sensors) -> Result<()> {
        match states.is_empty() {
            true => Ok(()),
            false => {
                Err(Error::data("the saved state is of another stage: this one keeps nothing by sensor"))
            }
        }
    }

    /// What its results for a sensor depend on besides the records of that sensor, such as "the watermark": then a process that has only some of the sensors gives other
    /// results. `None` if sensors are independent.
    fn goes_by(&self) -> Option<&'static str> {
        None
    }

    /// The watermark at which [`Process::advance`] may return records, if no more come before: it returns none at an earlier one. `None` if it returns none at all.
    fn due(&self) -> Option<Timestamp> {
        None
    }

    /// Advances to `watermark`, which comes from outside ([`Agreement::Given`]), and returns the records that are due. An earlier watermark than before has no effect.
    ///
    /// # Errors
    /// What ends the run.
    fn advance(
        &mut self,
        _watermark: Watermark,
        _sensors: &Sensors,
        _flow: &mut Flow,
    ) -> Result<Option<Batch>> {
        Ok(None)
    }
}

/// Most `Row` stages have no state: a closure is enough.
impl<F: FnMut(Batch, &Sensors, &mut Flow) -> Result<Batch> + Send + 'static> Process for F {
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        self(batch, sensors, flow)
    }
}

/// The first pass of a `Global` stage: gets all records that reach the stage, in any order, possibly on several workers: each gets a fork,
/// and the forks are merged. The result must not depend on the distribution of records.
pub trait Fit: Any + Send {
    /// An empty copy in this pass, for another worker.
    fn fork(&self) -> Box<dyn Fit>;

    /// Merges a fork of this one.
    ///
    /// # Errors
    /// An internal error if `fork` belongs to another stage.
    fn merge(&mut self, fork: Box<dyn Fit>) -> Result<()>;

    /// Processes the records of `batch`.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn observe(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()>;

    /// The input has ended. `None` requests another pass; otherwise returns the stage with the learnt constants, ready to start, and
    /// remarks for the report.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn finish(&mut self, sensors: &Sensors) -> Result<Option<Fitted>>;

    /// What it has observed in this pass, and what the pass looks for, as bytes for [`Fit::merge_saved`] in another process. Sensors are written by name.
    ///
    /// # Errors
    /// A configuration error if it cannot be saved.
    fn save(&self, _sensors: &Sensors) -> Result<Vec<u8>> {
        Err(Error::config("this first pass cannot be divided among processes")
            .with_help("let one process read the whole input"))
    }

    /// Merges what another process has observed in the same pass of the same stage ([`Fit::save`]); the result does not depend on the order of merges. A fit that has observed nothing
    /// also takes over what a later pass looks for. New sensor names are added to `sensors`.
    ///
    /// # Errors
    /// A data error if the bytes are damaged, or are of another stage, other options, columns or another pass.
    fn merge_saved(&mut self, _saved: &[u8], _sensors: &mut Sensors) -> Result<()> {
        Err(Error::config("this first pass cannot be merged with that of another process"))
    }
}

/// The result of a first pass.
pub struct Fitted {
    /// The stage with its constants.
    pub stage: Box<dyn Stage>,
    /// Remarks for the report, such as a constant series.
    pub remarks: Vec<String>,
}
