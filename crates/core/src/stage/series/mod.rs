//! Stages with state per series: the author implements one series, this module does the rest.

mod driver;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use self::driver::described;
use self::driver::{PerSeries, bind};
use super::shards::InOne;
use super::{IntoStage, Process, Reach, Shards, Stage, parameters_of};
use crate::batch::{Column, Field, FieldRole, FieldType, Schema};
use crate::error::Result;
use crate::sensor::{SensorId, Sensors};
use crate::time::Timestamp;

/// A stage with state per series: one measurement of one sensor. [`EachSeries`] makes it a [`Stage`] of reach [`Reach::Series`]; it is
/// registered by [`Component::series`](super::Component::series).
///
/// ```text
/// bind, outputs (for every measurement)        before the run, several times, any thread
/// for every series, in record order:
///   state                                      before its first record
///   step, step, step …                         its records in order, those of a batch at once
/// ```
/// A series is processed by one thread at a time; different series concurrently by different threads, which share the stage. A state moves
/// between threads, is part of checkpoints (encoded with postcard) and is restored by the next run: anything not in it is lost then. The
/// stage's serialised form, the options with their defaults, is shown by `explain` and the report, and compared with that of a checkpoint.
pub trait SeriesStage: Clone + Serialize + Send + Sync + 'static {
    /// The state of one series.
    type State: Serialize + DeserializeOwned + Send;

    /// The options, bound to the input columns, such as durations in nanoseconds.
    type Bound: Send + Sync + 'static;

    /// The version of [`SeriesStage::State`]: raise it with every change of that type. A state of another version is refused by name.
    const VERSION: u32 = 1;

    /// The name it is registered under.
    fn name(&self) -> &str;

    /// The measurements it processes, by name or glob; `None` means all.
    fn columns(&self) -> Option<&[String]> {
        None
    }

    /// The columns made of measurement `column`. One with the name of a column of the same role replaces it.
    fn outputs(&self, column: &str) -> Vec<Field>;

    /// Whether the measurements that it makes have the type of their source: the pushed numbers are values of the series.
    fn keeps_type(&self) -> bool {
        false
    }

    /// The unit of its output measurements for an input in `unit`: by default the same; `None` for no unit.
    fn output_unit(&self, unit: &str) -> Option<String> {
        Some(unit.to_owned())
    }

    /// Validates the options against the input columns.
    ///
    /// # Errors
    /// A configuration error: what is wrong with the options.
    fn bind(&self, input: &Schema) -> Result<Self::Bound>;

    /// The state of a series before its first record.
    fn state(&self, bound: &Self::Bound, sensor: &str, column: &str) -> Self::State;

    /// Processes the next records of one series, in order: pushes one value per record to every output.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn step(&self, bound: &Self::Bound, state: &mut Self::State, run: &mut Run<'_>) -> Result<()>;

    /// Prefetches what the next `records` records of a series need ([`prefetch`](crate::kernel::prefetch::prefetch)). Called some series
    /// ahead of [`SeriesStage::step`]: with many series, or long windows, hardly anything is in cache.
    fn prefetch(&self, _state: &Self::State, _records: usize) {}

    /// Whether it may call [`Run::late`].
    fn may_be_late(&self) -> bool {
        false
    }

    /// Whether `option` may change during a run: as [`Stage::reloads`](crate::stage::Stage::reloads).
    fn reloads(&self, _option: &str) -> bool {
        false
    }

    /// The state of a series, for `explain`.
    fn memory(&self) -> String {
        format!("{} bytes per series", size_of::<Self::State>())
    }
}

/// Consecutive records of one series, and their outputs.
pub struct Run<'a> {
    sensor: SensorId,
    sensors: &'a Sensors,
    column: &'a str,
    /// The times of the whole batch, of which the run has `rows`: few stages need them.
    times: Option<&'a [Timestamp]>,
    rows: &'a [u32],
    values: &'a [f64],
    /// `None` if all are valid.
    valid: Option<&'a [bool]>,
    /// `None` if f64 represents all integers.
    integers: Option<&'a [i128]>,
    outputs: &'a mut [Output],
    /// Late records of the batch: their rows, with reasons.
    late: &'a mut Vec<(u32, String)>,
}

/// The values pushed so far for one output column.
#[derive(Debug)]
pub enum Output {
    /// Numbers, and the indices (ascending) of nulls.
    Measurement {
        /// The numbers; 0 for null.
        values: Vec<f64>,
        /// The indices of nulls.
        nulls: Vec<u32>,
        /// Integers that f64 cannot represent, with their indices.
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

    /// The number of records.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of record `at`, `None` for null; of an integer, the nearest float.
    pub fn value(&self, at: usize) -> Option<f64> {
        self.valid.is_none_or(|valid| valid[at]).then_some(self.values[at])
    }

    /// The exact integers, if f64 cannot represent some of them; 0 for null.
    pub fn integers(&self) -> Option<&[i128]> {
        self.integers
    }

    /// The value of record `at` as an integer, if it is one; `None` for null.
    pub fn integer(&self, at: usize) -> Option<i128> {
        let value = self.value(at)?;
        Some(self.integers.map_or(value as i128, |integers| integers[at]))
    }

    /// All values, if none of them is null.
    pub fn values(&self) -> Option<&[f64]> {
        self.valid.is_none().then_some(self.values)
    }

    /// The time of record `at`; `None` without a time column.
    pub fn time(&self, at: usize) -> Option<Timestamp> {
        self.times.map(|times| times[self.rows[at] as usize])
    }

    /// Appends a number to output `slot`: its index in [`SeriesStage::outputs`].
    ///
    /// # Panics
    /// If that output is not a measurement; the engine turns the panic into an error that names the stage.
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

    /// Appends an exact integer to output `slot`, which has the type of the series ([`SeriesStage::keeps_type`]).
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

    /// The values of the run, if none is null, and the list to which to append the numbers of output `slot`, none of them null: for stages
    /// that process many records at once.
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

    /// Rejects record `at` as late. Its outputs must still be pushed; they are removed with it.
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

    /// Writes the `i`-th value to row `rows[i]` of `column`, which is all valid, 0 or false so far.
    fn scatter(&self, rows: &[u32], column: &mut Column) {
        match (self, column) {
            (Self::Measurement { values, nulls, integers }, column) => {
                let pairs = || rows.iter().map(|&row| row as usize).zip(values.iter().copied());
                let exact = integers.iter().map(|&(at, value)| (rows[at as usize] as usize, value));
                match column {
                    Column::F64(column) => {
                        let to = column.values.to_mut();
                        pairs().for_each(|(row, value)| to[row] = value);
                    }
                    // The pushed floats are values of the series, integers too.
                    Column::I64(column) => {
                        let to = column.values.to_mut();
                        pairs().for_each(|(row, value)| to[row] = value as i64);
                        exact.for_each(|(row, value)| to[row] = value as i64);
                    }
                    Column::U64(column) => {
                        let to = column.values.to_mut();
                        pairs().for_each(|(row, value)| to[row] = value as u64);
                        exact.for_each(|(row, value)| to[row] = value as u64);
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
                let to = column.values.to_mut();
                rows.iter().zip(counts).for_each(|(&row, &count)| to[row as usize] = count);
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

    fn state_version(&self) -> u32 {
        S::VERSION
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

    fn reloads(&self, option: &str) -> bool {
        self.0.reloads(option)
    }

    fn memory(&self) -> String {
        self.0.memory()
    }
}
