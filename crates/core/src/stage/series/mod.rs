//! Stages with state per series: their author says what one series does, this module does the rest.

mod driver;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::driver::{PerSeries, bind};
use super::shards::InOne;
use super::{IntoStage, Process, Reach, Shards, Stage, parameters_of};
use crate::batch::{Column, Field, FieldRole, FieldType, Schema};
use crate::error::Result;
use crate::sensor::{SensorId, Sensors};
use crate::time::Timestamp;

/// A stage whose state belongs to one series: one measurement of one sensor. [`EachSeries`] makes a [`Stage`] of reach [`Reach::Series`] of
/// it; it is registered by [`Component::series`](super::Component::series).
///
/// ```text
/// bind, outputs (once a measurement)           before the run, several times, any thread
/// for every series, as its records come:
///   state                                      before its first record
///   step, step, step …                         its records in order, as many at a time as a batch has
/// ```
/// One series is with one thread at a time; different ones are with different threads at once, which share the stage. A state moves between threads,
/// is written into checkpoints (postcard) and read by the next run: what is not in it is lost there. As the stage is serialised, it is shown by `explain` and the report,
/// and compared with that of a checkpoint: its options with their defaults.
pub trait SeriesStage: Clone + Serialize + Send + Sync + 'static {
    /// What one series remembers.
    type State: Serialize + DeserializeOwned + Send;

    /// What the options mean for the columns that come in: durations in nanoseconds, for one.
    type Bound: Send + Sync + 'static;

    /// The name it is registered under.
    fn name(&self) -> &str;

    /// The measurements it works on; `None` means all.
    fn columns(&self) -> Option<&[String]> {
        None
    }

    /// The columns that it makes of measurement `column`. One that has the name of a column of the
    /// same kind takes its place.
    fn outputs(&self, column: &str) -> Vec<Field>;

    /// Whether the measurements that it makes have the type of that which they are made of: what is pushed are values of the series.
    fn keeps_type(&self) -> bool {
        false
    }

    /// Checks the options against the columns that come in.
    ///
    /// # Errors
    /// A configuration error: what is wrong with the options.
    fn bind(&self, input: &Schema) -> Result<Self::Bound>;

    /// The state of a series before its first record.
    fn state(&self, bound: &Self::Bound, sensor: &str, column: &str) -> Self::State;

    /// Handles the next records of one series, in order: pushes one value a record to every output.
    ///
    /// # Errors
    /// What ends the run.
    fn step(&self, bound: &Self::Bound, state: &mut Self::State, run: &mut Run<'_>) -> Result<()>;

    /// Asks the memory for what the next `records` records of a series will need
    /// ([`prefetch`](crate::kernel::prefetch::prefetch)). Called some series ahead of [`SeriesStage::step`]: among many series,
    /// or long windows, next to nothing is in a cache.
    fn prefetch(&self, _state: &Self::State, _records: usize) {}

    /// Whether it may call [`Run::late`].
    fn may_be_late(&self) -> bool {
        false
    }

    /// What a series keeps, for `explain`.
    fn memory(&self) -> String {
        format!("{} bytes a series", size_of::<Self::State>())
    }
}

/// Consecutive records of one series, and where its results go.
pub struct Run<'a> {
    sensor: SensorId,
    sensors: &'a Sensors,
    column: &'a str,
    /// Those of the whole batch, of which the run has `rows`: few stages look at times.
    times: Option<&'a [Timestamp]>,
    rows: &'a [u32],
    values: &'a [f64],
    /// `None` where all are valid.
    valid: Option<&'a [bool]>,
    /// `None` where all integers are floats.
    integers: Option<&'a [i128]>,
    outputs: &'a mut [Output],
    /// Records of the batch that are late: their rows, and why.
    late: &'a mut Vec<(u32, String)>,
}

/// The values made so far for one output column.
#[derive(Debug)]
pub enum Output {
    /// Numbers, and which of them (by place, ascending) stand for null.
    Measurement {
        /// The numbers; 0 for null.
        values: Vec<f64>,
        /// The places of nulls.
        nulls: Vec<u32>,
        /// The places of integers that are no floats, and these.
        integers: Vec<(u32, i128)>,
    },
    /// Counts.
    Count(Vec<u64>),
    /// Booleans.
    Flag(Vec<bool>),
}

impl Run<'_> {
    /// The sensor's name.
    pub fn sensor(&self) -> &str {
        self.sensors.name(self.sensor)
    }

    /// The measurement's name.
    pub fn column(&self) -> &str {
        self.column
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of record `at`, `None` for null; of an integer, the nearest float.
    pub fn value(&self, at: usize) -> Option<f64> {
        self.valid.is_none_or(|valid| valid[at]).then_some(self.values[at])
    }

    /// The integers themselves, where some of them are no floats; 0 for null.
    pub fn integers(&self) -> Option<&[i128]> {
        self.integers
    }

    /// The value of record `at` as an integer, where it is one; `None` for null.
    pub fn integer(&self, at: usize) -> Option<i128> {
        let value = self.value(at)?;
        Some(self.integers.map_or(value as i128, |integers| integers[at]))
    }

    /// All values, where none of them is null.
    pub fn values(&self) -> Option<&[f64]> {
        self.valid.is_none().then_some(self.values)
    }

    /// The time of record `at`; `None` where the input has no time column.
    pub fn time(&self, at: usize) -> Option<Timestamp> {
        self.times.map(|times| times[self.rows[at] as usize])
    }

    /// Appends a number to output `slot`: its place in [`SeriesStage::outputs`].
    ///
    /// # Panics
    /// When that output is no measurement; the engine turns it into an error that names the stage.
    pub fn push(&mut self, slot: usize, value: Option<f64>) {
        match &mut self.outputs[slot] {
            Output::Measurement { values, nulls, .. } => {
                if value.is_none() {
                    nulls.push(values.len() as u32);
                }
                values.push(value.unwrap_or(0.0));
            }
            _ => panic!("output {slot} is not a measurement"),
        }
    }

    /// Appends an integer with all its digits to output `slot`, which has the type of the series ([`SeriesStage::keeps_type`]).
    ///
    /// # Panics
    /// As [`Run::push`].
    pub fn push_integer(&mut self, slot: usize, value: i128) {
        match &mut self.outputs[slot] {
            Output::Measurement { values, integers, .. } => {
                integers.push((values.len() as u32, value));
                values.push(value as f64);
            }
            _ => panic!("output {slot} is not a measurement"),
        }
    }

    /// The values of the run, if none is null, and where to append the numbers of output `slot`, none of
    /// which is null: for stages that handle many records at once.
    ///
    /// # Panics
    /// As [`Run::push`].
    pub fn whole(&mut self, slot: usize) -> Option<(&[f64], &mut Vec<f64>)> {
        match &mut self.outputs[slot] {
            Output::Measurement { values, .. } => self.valid.is_none().then_some((self.values, values)),
            _ => panic!("output {slot} is not a measurement"),
        }
    }

    /// Appends a count to output `slot`.
    ///
    /// # Panics
    /// As [`Run::push`].
    pub fn push_count(&mut self, slot: usize, count: u64) {
        match &mut self.outputs[slot] {
            Output::Count(counts) => counts.push(count),
            _ => panic!("output {slot} is not a count"),
        }
    }

    /// Appends a boolean to output `slot`.
    ///
    /// # Panics
    /// As [`Run::push`].
    pub fn push_flag(&mut self, slot: usize, flag: bool) {
        match &mut self.outputs[slot] {
            Output::Flag(flags) => flags.push(flag),
            _ => panic!("output {slot} is not a flag"),
        }
    }

    /// Sets record `at` aside as late. Its outputs must still be pushed; they go with it.
    pub fn late(&mut self, at: usize, reason: String) {
        self.late.push((self.rows[at], reason));
    }
}

impl Output {
    fn empty(field: &Field, capacity: usize) -> Self {
        match (field.role, field.ty) {
            (FieldRole::Quality, FieldType::U64) => Self::Count(Vec::with_capacity(capacity)),
            (FieldRole::Quality, FieldType::Bool) => Self::Flag(Vec::with_capacity(capacity)),
            _ => Self::Measurement {
                values: Vec::with_capacity(capacity),
                nulls: Vec::new(),
                integers: Vec::new(),
            },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Measurement { values, .. } => values.len(),
            Self::Count(counts) => counts.len(),
            Self::Flag(flags) => flags.len(),
        }
    }

    /// Puts the `i`-th value at row `rows[i]` of `column`, which is all valid, 0 or false so far.
    fn scatter(&self, rows: &[u32], column: &mut Column) {
        match (self, column) {
            (Self::Measurement { values, nulls, integers }, column) => {
                let pairs = || rows.iter().map(|&row| row as usize).zip(values.iter().copied());
                let exact = integers.iter().map(|&(at, value)| (rows[at as usize] as usize, value));
                match column {
                    Column::F64(column) => pairs().for_each(|(row, value)| column.values[row] = value),
                    // The floats that are pushed are values of the series: integers, too.
                    Column::I64(column) => {
                        pairs().for_each(|(row, value)| column.values[row] = value as i64);
                        exact.for_each(|(row, value)| column.values[row] = value as i64);
                    }
                    Column::U64(column) => {
                        pairs().for_each(|(row, value)| column.values[row] = value as u64);
                        exact.for_each(|(row, value)| column.values[row] = value as u64);
                    }
                    Column::Bool(column) => {
                        pairs().for_each(|(row, value)| column.values.set(row, value != 0.0))
                    }
                    _ => unreachable!("measurements are numbers"),
                }
                let valid = column.valid_mut().into_iter();
                valid.for_each(|valid| {
                    nulls.iter().for_each(|&at| valid.set(rows[at as usize] as usize, false))
                });
            }
            (Self::Count(counts), Column::U64(column)) => {
                rows.iter().zip(counts).for_each(|(&row, &count)| column.values[row as usize] = count);
            }
            (Self::Flag(flags), Column::Bool(column)) => {
                rows.iter().zip(flags).for_each(|(&row, &flag)| column.values.set(row as usize, flag));
            }
            _ => unreachable!("columns are made of the type that the stage said"),
        }
    }
}

/// A [`SeriesStage`] as a [`Stage`].
#[derive(Clone, Debug)]
pub struct EachSeries<S>(pub S);

impl<S: SeriesStage> IntoStage<EachSeries<S>> for S {
    fn into_stage(self) -> Arc<dyn Stage> {
        Arc::new(EachSeries(self))
    }
}

impl<S: SeriesStage> Stage for EachSeries<S> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(&self.0)
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        bind(&self.0, input).map(|binding| Arc::unwrap_or_clone(binding.schema))
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Ok(Box::new(InOne::new(PerSeries::new(&self.0, input, 1)?)))
    }

    fn shards(&self, input: &Arc<Schema>, count: usize) -> Result<Option<Box<dyn Shards>>> {
        Ok(Some(Box::new(PerSeries::new(&self.0, input, count)?)))
    }

    fn needs_origins(&self) -> bool {
        self.0.may_be_late()
    }

    fn gives_up(&self) -> bool {
        true
    }

    fn memory(&self) -> String {
        self.0.memory()
    }
}
