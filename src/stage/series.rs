//! Stages with state per series: their author says what one series does, this file does the rest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Flow, PerSensor, Process, Reach, Stage};
use crate::batch::{Batch, Column, Field, FieldKind, Mask, Measurement, Schema};
use crate::error::{Error, RejectionKind, Result};
use crate::sensor::{SensorId, Sensors};
use crate::time::Timestamp;

/// A stage whose state belongs to one series: one measurement of one sensor. Whatever implements
/// this is a [`Stage`] of reach [`Reach::Series`].
pub trait SeriesStage: Clone + Send + Sync + 'static {
    /// What one series remembers.
    type State: Serialize + DeserializeOwned + Send;

    /// The name it is registered under.
    fn name(&self) -> &str;

    /// Its options with their defaults, for `explain` and the report.
    fn parameters(&self) -> serde_json::Value;

    /// The measurements it works on; `None` means all.
    fn columns(&self) -> Option<&[String]> {
        None
    }

    /// The columns that it makes of measurement `column`. One that has the name of a column of the
    /// same kind takes its place.
    fn outputs(&self, column: &str) -> Vec<Field>;

    /// Checks the options against the columns that will come in.
    ///
    /// # Errors
    /// A configuration error.
    fn check(&self, _input: &Schema) -> Result<()> {
        Ok(())
    }

    /// The state of a series before its first record.
    fn state(&self, sensor: &str, column: &str) -> Self::State;

    /// Handles the next records of one series, in order: pushes one value a record to every output.
    ///
    /// # Errors
    /// What ends the run.
    fn step(&self, state: &mut Self::State, run: &mut Run<'_>) -> Result<()>;

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
    sensor: &'a str,
    column: &'a str,
    times: Option<&'a [Timestamp]>,
    values: &'a [f64],
    valid: &'a [bool],
    outputs: &'a mut [Output],
    late: Vec<(usize, String)>,
}

/// The values made so far for one output column.
#[derive(Debug)]
pub enum Output {
    /// Numbers, `None` for null.
    Measurement(Vec<Option<f64>>),
    /// Counts.
    Count(Vec<u64>),
    /// Booleans.
    Flag(Vec<bool>),
}

impl Run<'_> {
    /// The sensor's name.
    pub fn sensor(&self) -> &str {
        self.sensor
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

    /// The value of record `at`, `None` for null.
    pub fn value(&self, at: usize) -> Option<f64> {
        self.valid[at].then_some(self.values[at])
    }

    /// The time of record `at`; `None` where the input has no time column.
    pub fn time(&self, at: usize) -> Option<Timestamp> {
        self.times.map(|times| times[at])
    }

    /// Appends a number to output `slot`: its place in [`SeriesStage::outputs`].
    ///
    /// # Panics
    /// When that output is no measurement; the engine turns it into an error that names the stage.
    pub fn push(&mut self, slot: usize, value: Option<f64>) {
        match &mut self.outputs[slot] {
            Output::Measurement(values) => values.push(value),
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
        self.late.push((at, reason));
    }
}

impl Output {
    fn empty(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Count => Self::Count(Vec::new()),
            FieldKind::Flag => Self::Flag(Vec::new()),
            _ => Self::Measurement(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Measurement(values) => values.len(),
            Self::Count(counts) => counts.len(),
            Self::Flag(flags) => flags.len(),
        }
    }

    /// The column whose row `order[i]` has the `i`-th value.
    fn scatter(self, order: &[u32]) -> Column {
        match self {
            Self::Measurement(values) => {
                let mut column =
                    Measurement { values: vec![0.0; order.len()], valid: Mask::filled(order.len(), true) };
                for (&row, value) in order.iter().zip(values) {
                    match value {
                        Some(value) => column.values[row as usize] = value,
                        None => column.valid.set(row as usize, false),
                    }
                }
                Column::Measurement(column)
            }
            Self::Count(counts) => {
                let mut column = vec![0; order.len()];
                order.iter().zip(counts).for_each(|(&row, count)| column[row as usize] = count);
                Column::Count(column)
            }
            Self::Flag(flags) => {
                let mut column = Mask::filled(order.len(), false);
                order.iter().zip(flags).for_each(|(&row, flag)| column.set(row as usize, flag));
                Column::Flag(column)
            }
        }
    }
}

/// What a series stage does to the schema: which columns it reads, which it writes.
struct Binding {
    schema: Arc<Schema>,
    columns: Vec<Bound>,
}

/// One selected measurement: its index, its name, and the index and kind of each output.
type Bound = (usize, Arc<str>, Vec<(usize, FieldKind)>);

fn bind<S: SeriesStage>(stage: &S, input: &Schema) -> Result<Binding> {
    stage.check(input)?;
    let mut schema = input.clone();
    let mut columns = Vec::new();
    for at in input.select(stage.columns())? {
        let name = Arc::clone(&input.fields()[at].name);
        let mut outputs = Vec::new();
        for field in stage.outputs(&name) {
            let kind = field.kind;
            let (wider, index) = schema.with(field)?;
            schema = wider;
            outputs.push((index, kind));
        }
        columns.push((at, name, outputs));
    }
    Ok(Binding { schema: Arc::new(schema), columns })
}

impl<S: SeriesStage> Stage for S {
    fn name(&self) -> &str {
        SeriesStage::name(self)
    }

    fn parameters(&self) -> serde_json::Value {
        SeriesStage::parameters(self)
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        bind(self, input).map(|binding| Arc::unwrap_or_clone(binding.schema))
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        let binding = bind(self, input)?;
        let states = binding.columns.iter().map(|_| PerSensor::default()).collect();
        Ok(Box::new(PerSeries {
            stage: self.clone(),
            binding,
            states,
            groups: Groups::default(),
            scratch: Scratch::default(),
        }))
    }

    fn needs_origins(&self) -> bool {
        self.may_be_late()
    }

    fn memory(&self) -> String {
        SeriesStage::memory(self)
    }
}

/// Drives a [`SeriesStage`]: one state a series, in dense tables.
struct PerSeries<S: SeriesStage> {
    stage: S,
    binding: Binding,
    /// By column, then by sensor.
    states: Vec<PerSensor<S::State>>,
    groups: Groups,
    scratch: Scratch,
}

/// The values of a column in the order of [`Groups`].
#[derive(Default)]
struct Scratch {
    times: Vec<Timestamp>,
    values: Vec<f64>,
    valid: Vec<bool>,
}

impl<S: SeriesStage> Process for PerSeries<S> {
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        self.groups.sort(batch.sensors());
        let order = &self.groups.order;
        if let Some(times) = batch.times() {
            self.scratch.times.clear();
            self.scratch.times.extend(order.iter().map(|&row| times[row as usize]));
        }
        let mut late = BTreeMap::new();
        let mut columns = Vec::new();
        for (binding, states) in self.binding.columns.iter().zip(&mut self.states) {
            let (at, name, fields) = binding;
            self.scratch.gather(batch.measurement(*at), order);
            let mut outputs: Vec<_> = fields.iter().map(|&(_, kind)| Output::empty(kind)).collect();
            for (sensor, range) in &self.groups.runs {
                let name_of_sensor = sensors.name(*sensor);
                let state = states.get_or_insert_with(*sensor, || self.stage.state(name_of_sensor, name));
                let mut run = Run {
                    sensor: name_of_sensor,
                    column: name,
                    times: batch.times().map(|_| &self.scratch.times[range.clone()]),
                    values: &self.scratch.values[range.clone()],
                    valid: &self.scratch.valid[range.clone()],
                    outputs: &mut outputs,
                    late: Vec::new(),
                };
                self.stage.step(state, &mut run)?;
                late.extend(run.late.into_iter().map(|(at, reason)| (order[range.start + at], reason)));
                check_outputs(&outputs, range.end)?;
            }
            columns.extend(
                fields.iter().zip(outputs).map(|(&(index, _), output)| (index, output.scatter(order))),
            );
        }
        // New columns are appended in the schema's order; replaced ones may come at any time.
        columns.sort_by_key(|&(index, _)| index);
        let mut batch = batch.with_columns(Arc::clone(&self.binding.schema), columns);
        set_late_aside(&mut batch, late, flow);
        Ok(batch)
    }

    fn save(&self) -> Result<Vec<u8>> {
        let states: Vec<_> = self.states.iter().map(PerSensor::as_slice).collect();
        postcard::to_stdvec(&states)
            .map_err(|error| Error::internal(format!("the state cannot be saved: {error}")))
    }

    fn restore(&mut self, state: &[u8], _sensors: &Sensors) -> Result<()> {
        let states: Vec<Vec<Option<S::State>>> = postcard::from_bytes(state)
            .map_err(|error| Error::data(format!("the saved state cannot be read: {error}")))?;
        if states.len() != self.states.len() {
            return Err(Error::data(format!(
                "the saved state has {} columns, not {}",
                states.len(),
                self.states.len()
            )));
        }
        self.states = states.into_iter().map(PerSensor::from).collect();
        Ok(())
    }
}

impl Scratch {
    fn gather(&mut self, column: &Measurement, order: &[u32]) {
        self.values.clear();
        self.values.extend(order.iter().map(|&row| column.values[row as usize]));
        self.valid.clear();
        if column.valid.is_all_set() {
            self.valid.resize(order.len(), true);
        } else {
            self.valid.extend(order.iter().map(|&row| column.valid.get(row as usize)));
        }
    }
}

fn check_outputs(outputs: &[Output], expected: usize) -> Result<()> {
    match outputs.iter().position(|output| output.len() != expected) {
        None => Ok(()),
        Some(slot) => Err(Error::internal(format!(
            "output {slot} has {} values where {expected} are due",
            outputs[slot].len()
        ))
        .with_help("the stage must push one value a record to every output")),
    }
}

fn set_late_aside(batch: &mut Batch, late: BTreeMap<u32, String>, flow: &mut Flow) {
    if late.is_empty() {
        return;
    }
    let mut keep = Mask::filled(batch.len(), true);
    for (row, reason) in late {
        flow.reject(batch, row as usize, RejectionKind::Late, reason);
        keep.set(row as usize, false);
    }
    batch.retain(&keep);
}

/// The rows of a batch by sensor: a stable counting sort over the sensors that occur.
#[derive(Default)]
struct Groups {
    order: Vec<u32>,
    runs: Vec<(SensorId, Range<usize>)>,
    /// By sensor: the row count, then the place of its next row. All 0 between calls.
    places: Vec<u32>,
}

impl Groups {
    fn sort(&mut self, sensors: &[SensorId]) {
        self.runs.clear();
        for &id in sensors {
            if id.index() >= self.places.len() {
                self.places.resize(id.index() + 1, 0);
            }
            if self.places[id.index()] == 0 {
                self.runs.push((id, 0..0));
            }
            self.places[id.index()] += 1;
        }
        let mut start = 0;
        for (id, range) in &mut self.runs {
            let end = start + self.places[id.index()] as usize;
            *range = start..end;
            self.places[id.index()] = start as u32;
            start = end;
        }
        self.order.clear();
        self.order.resize(sensors.len(), 0);
        for (row, id) in sensors.iter().enumerate() {
            let place = &mut self.places[id.index()];
            self.order[*place as usize] = row as u32;
            *place += 1;
        }
        self.runs.iter().for_each(|(id, _)| self.places[id.index()] = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_grouped_by_sensor_in_order() {
        let mut groups = Groups::default();
        for _ in 0..2 {
            groups.sort(&[2, 0, 2, 5, 0].map(SensorId));
            assert_eq!(groups.order, [0, 2, 1, 4, 3]);
            assert_eq!(groups.runs, [(SensorId(2), 0..2), (SensorId(0), 2..4), (SensorId(5), 4..5)]);
        }
    }
}
