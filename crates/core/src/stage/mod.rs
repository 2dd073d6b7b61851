//! What happens to records on their way, one stage a file.
//!
//! A [`Stage`] is an immutable description; each worker asks it for private state, a [`Process`]. Whoever writes a stage says what one sensor
//! does ([`SensorStage`]), one measurement of one ([`SeriesStage`]) or one record ([`RowStage`]); what is computed over windows or intervals is a
//! [`WindowStatistic`] or an [`IntervalStatistic`]. Threads, order, checkpoints and scheduling are the engine's.

mod aggregate;
mod by_column;
mod dedupe;
mod each;
mod fate;
mod foresight;
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
mod restarts;
mod second_showing;
mod series;
mod shards;
mod silence;
mod state;
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
use crate::time::Agreement;

pub use crate::options::parameters_of;
pub use crate::sensor::{OfSensors, PerSensor, Rules, matcher};
pub use aggregate::{Aggregate, Statistic};
pub use by_column::ByColumn;
pub use dedupe::Dedupe;
pub use each::{
    Columns, EachRow, EachSensor, Emitted, Last, ReadColumn, Record, Row, RowStage, SensorStage, Timer,
    Value, WriteColumn,
};
pub use fate::Flow;
pub use foresight::Foresight;
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
pub use pieces::{Pieces, in_one_piece};
pub use pivot::Pivot;
pub use rate::{Change, Rate};
pub use reorder::Reorder;
pub use second_showing::SecondShowing;
pub use series::{EachSeries, Output, Run, SeriesStage};
pub use shards::{Groups, Made, Shards, Share};
pub use silence::{Keep, Silence};
pub use threshold::{Action, Bounds, Nulls, Threshold};
pub use time_of_day::TimeOfDay;

/// What a stage must have seen to handle a record (clause 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Nothing but the record: batches may be processed in any order, by any worker.
    Row,
    /// All earlier records of its sensor, in order: a sensor stays with one worker.
    Series,
    /// The whole input: a first pass comes before ([`Stage::fit`]).
    Global,
}

/// A stage that can stand in a pipeline file, under a name: `inventory::submit! { Component::sensor::<Mine>("mine", "…") }`. Which function it is says by
/// which trait it is written.
pub struct Component(pub Named<dyn Stage>);

inventory::collect!(Component);

impl Component {
    /// A [`Stage`] `T` under `name`; `help` says in one line what it does.
    pub const fn of<T: Configure + Stage>(name: &'static str, help: &'static str) -> Self {
        let make: Make = |options| Some(Box::new(T::configure(options)?));
        Self(Named { name, help, make, schemas: T::schemas })
    }

    /// The same of a [`SensorStage`].
    pub const fn sensor<T: Configure + SensorStage>(name: &'static str, help: &'static str) -> Self {
        let make: Make = |options| Some(Box::new(EachSensor::new(T::configure(options)?)));
        Self(Named { name, help, make, schemas: T::schemas })
    }

    /// The same of a [`SeriesStage`].
    pub const fn series<T: Configure + SeriesStage>(name: &'static str, help: &'static str) -> Self {
        let make: Make = |options| Some(Box::new(EachSeries(T::configure(options)?)));
        Self(Named { name, help, make, schemas: T::schemas })
    }

    /// The same of a [`RowStage`].
    pub const fn row<T: Configure + RowStage>(name: &'static str, help: &'static str) -> Self {
        let make: Make = |options| Some(Box::new(EachRow(T::configure(options)?)));
        Self(Named { name, help, make, schemas: T::schemas })
    }
}

/// How a stage is made of its options.
type Make = fn(&mut Options<'_>) -> Option<Box<dyn Stage>>;

/// A stage as written in a pipeline: immutable, shared by all workers.
pub trait Stage: Send + Sync {
    /// The name it is registered under.
    fn name(&self) -> &str;

    /// Its options with their defaults, for `explain` and the report.
    fn parameters(&self) -> serde_json::Value;

    /// What it must have seen.
    fn reach(&self) -> Reach;

    /// Whether it keeps anything between records that a checkpoint must have ([`Process::save`]); constants that it was given or has learnt are
    /// nothing of that kind. A stage of reach [`Reach::Row`] that does is run by one worker at a time where there are checkpoints.
    fn keeps_state(&self) -> bool;

    /// The columns that leave it when `input` comes in. Called before the run; says all that is
    /// wrong with the options.
    ///
    /// # Errors
    /// A configuration error: a column that is not there, options that exclude one another.
    fn output(&self, input: &Schema) -> Result<Schema>;

    /// Private state for one worker. A `Row` stage is given any batches, a `Series` stage all
    /// batches of its share of the sensors, in order.
    ///
    /// # Errors
    /// As [`Stage::output`].
    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>>;

    /// The same, split into `count` shards of sensors that several workers can be at; `None` where the stage cannot be split:
    /// then one worker at a time gives it whole batches, in order.
    ///
    /// # Errors
    /// As [`Stage::output`].
    fn shards(&self, _input: &Arc<Schema>, _count: usize) -> Result<Option<Box<dyn Shards>>> {
        Ok(None)
    }

    /// What becomes of records of which no more is known than `records`; their columns are those of `input`.
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

    /// What its first pass has learnt, as the text of a file that `load` takes; `None` for stages that learn nothing.
    fn fitted(&self) -> Option<String> {
        None
    }

    /// The patterns of sensor names that its options have: one that fits no sensor of a run is said at its end.
    fn sensor_patterns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The file that it loads.
    fn loads(&self) -> Option<&FilePath> {
        None
    }

    /// The same stage with `text`, which is what the file has that it [loads](Stage::loads). Called before [`Stage::output`].
    ///
    /// # Errors
    /// A configuration error where that is nothing for this stage.
    fn load(&self, _text: &str) -> Result<Arc<dyn Stage>> {
        Err(Error::internal(format!("`{}` loads nothing", self.name())))
    }

    /// The file for what its first pass learns ([`Stage::fitted`]).
    fn saves(&self) -> Option<&FilePath> {
        None
    }

    /// The same stage, whose relative paths start from `base`; `None` for one that has no paths.
    fn with_base(&self, _base: &Base) -> Option<Arc<dyn Stage>> {
        None
    }

    /// Whether it may set records aside, so that batches must say where their records came from.
    fn needs_origins(&self) -> bool {
        false
    }

    /// The same stage, for which `agreement` says how many sensors must have reached a time for it to count (clause 22). `None` for a
    /// stage that does not go by how far the source has come.
    fn with_agreement(&self, _agreement: Agreement) -> Option<Arc<dyn Stage>> {
        None
    }

    /// Whether sensors can be given up (clause 27): what is kept of them can be forgotten, see [`Process::give_up`], and nothing is kept under
    /// an id besides.
    fn gives_up(&self) -> bool {
        self.reach() == Reach::Row
    }

    /// What it keeps between records and how much, for `explain`.
    fn memory(&self) -> String {
        "nothing".into()
    }
}

/// A stage in use: what one worker keeps.
pub trait Process: Any + Send {
    /// Handles the records of `batch`, in order, and gives back those that go on. What does not go
    /// on is told to `flow`. A stage that holds records, or makes some, says whose arrival let them go
    /// ([`Origins::let_go_by`](crate::batch::Origins::let_go_by)): what later stages set aside is ordered by that.
    ///
    /// # Errors
    /// What ends the run.
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch>;

    /// The input has ended: gives back what was held.
    ///
    /// # Errors
    /// What ends the run.
    fn finish(&mut self, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        Ok(None)
    }

    /// Forgets these sensors: the next record of any of them is the first of its series. Gives back what was held of them, as at the end of the
    /// input. Called where [`Stage::gives_up`] says that it can.
    ///
    /// # Errors
    /// What ends the run.
    fn give_up(&mut self, _gone: &[SensorId], _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        Ok(None)
    }

    /// Takes over what the process of another worker has kept; only of `Row` stages, which several workers
    /// run. Called before [`Process::finish`].
    ///
    /// # Errors
    /// An internal error where `other` is not of the same stage.
    fn merge(&mut self, _other: Box<dyn Process>) -> Result<()> {
        Ok(())
    }

    /// How many records are held inside.
    fn held(&self) -> u64 {
        0
    }

    /// What is worth knowing at the end of a run. Not asked of stages that are split or run by several workers.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Everything that it keeps, as bytes. Sensors are written by id.
    ///
    /// # Errors
    /// An internal error where the state cannot be written.
    fn save(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Goes on from what [`Process::save`] gave, under the same ids. To be called before anything else; what was kept until then is
    /// gone. Where it fails, nothing has changed.
    ///
    /// # Errors
    /// A data error where the bytes are not such a state.
    fn restore(&mut self, state: &[u8], _sensors: &Sensors) -> Result<()> {
        match state {
            [] => Ok(()),
            _ => Err(Error::data("the saved state is of another stage: this one keeps nothing")),
        }
    }
}

/// Most `Row` stages keep nothing: a closure will do.
impl<F: FnMut(Batch, &Sensors, &mut Flow) -> Result<Batch> + Send + 'static> Process for F {
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        self(batch, sensors, flow)
    }
}

/// The first pass of a `Global` stage: sees all records that will reach it, in any order, and perhaps by several workers:
/// each is given a fork, and what the forks have seen is merged. The result must not depend on who saw what.
pub trait Fit: Any + Send {
    /// One that has seen nothing in this pass yet, for another worker.
    fn fork(&self) -> Box<dyn Fit>;

    /// Takes over what a fork of this one has seen.
    ///
    /// # Errors
    /// An internal error where `fork` is none.
    fn merge(&mut self, fork: Box<dyn Fit>) -> Result<()>;

    /// Takes note of the records of `batch`.
    ///
    /// # Errors
    /// What ends the run.
    fn observe(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()>;

    /// The input has ended. `None` asks for one more pass over it; otherwise the stage with what it has learnt,
    /// ready to be started, and remarks for the report.
    ///
    /// # Errors
    /// What ends the run.
    fn finish(&mut self, sensors: &Sensors) -> Result<Option<Fitted>>;
}

/// What a first pass gives.
pub struct Fitted {
    /// The stage with its constants.
    pub stage: Box<dyn Stage>,
    /// Remarks for the report: a series that never changes, for one.
    pub remarks: Vec<String>,
}
