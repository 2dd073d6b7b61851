//! Drives a [`SeriesStage`]: one state a series, in dense tables, split over shards of sensors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::groups::Deal;
use super::{Groups, Output, Run, SeriesStage, Share};
use crate::batch::{Batch, Column, FieldKind, Mask, Measurement, Schema};
use crate::error::{Error, RejectionKind, Result};
use crate::kernel::prefetch::prefetch;
use crate::sensor::{PerSensor, SensorId, Sensors};
use crate::stage::{Flow, Process, state};

/// A stage in use whose state is split over shards of sensors, so that several workers can be at it: each shard is
/// given its share of every batch, in the order of the batches, by one worker at a time.
pub trait Shards: Send + Sync {
    /// How many shards there are: a power of two.
    fn count(&self) -> usize;

    /// Handles the rows that are the share of shard `shard` of `batch`.
    ///
    /// # Errors
    /// What ends the run.
    fn step(&self, shard: usize, batch: &Batch, share: Share<'_>, sensors: &Sensors) -> Result<Made>;

    /// Puts together what all shards made of `batch`, in the order of the shards.
    fn assemble(&self, batch: Batch, groups: &Groups, made: Vec<Made>, flow: &mut Flow) -> Batch;

    /// Forgets these sensors, as [`Process::give_up`]; nothing is held of them. To be called when every shard has been through the same batches.
    fn give_up(&self, gone: &[SensorId]);

    /// Everything that all shards keep, as bytes: those that [`Process::save`] gives, whatever the number of shards. To be called
    /// when every shard has been through the same batches; waits for those that are at work.
    ///
    /// # Errors
    /// As [`Process::save`].
    fn save(&self) -> Result<Vec<u8>>;

    /// Goes on from what was saved with any number of shards, or by the stage in one piece, under the same ids. Where it fails,
    /// nothing has changed.
    ///
    /// # Errors
    /// As [`Process::restore`].
    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()>;
}

/// What a shard made of its share of a batch.
#[derive(Debug)]
pub struct Made {
    /// The values of the new columns, in the order of [`Share::rows`].
    outputs: Vec<Output>,
    /// Records that are late: their rows, and why.
    late: Vec<(u32, String)>,
}

/// What a series stage does to the schema: which columns it reads, which it writes.
pub(super) struct Binding {
    pub(super) schema: Arc<Schema>,
    columns: Vec<Bound>,
}

/// One selected measurement.
struct Bound {
    /// Its index.
    at: usize,
    name: Arc<str>,
    /// Index and kind of each column made of it.
    outputs: Vec<(usize, FieldKind)>,
}

pub(super) fn bind<S: SeriesStage>(stage: &S, input: &Schema) -> Result<Binding> {
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
        columns.push(Bound { at, name, outputs });
    }
    Ok(Binding { schema: Arc::new(schema), columns })
}

/// How many groups before its own a group's memory is asked for: far enough for the memory to answer in time, near enough for the
/// answers to stay in the cache.
const AHEAD: usize = 8;

/// A series stage in use.
pub(super) struct PerSeries<S: SeriesStage> {
    stage: S,
    binding: Binding,
    shards: Vec<Mutex<Shard<S>>>,
    deal: Deal,
    /// For the one-thread way.
    groups: Groups,
}

/// The states of a shard's series.
struct Shard<S: SeriesStage> {
    /// By column, then by sensor, in its [place](Deal::place).
    states: Vec<PerSensor<S::State>>,
    scratch: Scratch,
}

impl<S: SeriesStage> Shard<S> {
    /// Of `columns` columns without series.
    fn new(columns: usize) -> Self {
        Self { states: (0..columns).map(|_| PerSensor::default()).collect(), scratch: Scratch::default() }
    }
}

/// The values of a column in the order of a share.
#[derive(Default)]
struct Scratch {
    values: Vec<f64>,
    valid: Vec<bool>,
}

impl<S: SeriesStage> PerSeries<S> {
    pub(super) fn new(stage: &S, input: &Schema, shards: usize) -> Result<Self> {
        let binding = bind(stage, input)?;
        let deal = Deal::among(shards);
        let shards = (0..deal.shards()).map(|_| Mutex::new(Shard::new(binding.columns.len()))).collect();
        Ok(Self { stage: stage.clone(), binding, shards, deal, groups: Groups::default() })
    }

    /// The states of shard `shard`. A worker that panicked ends the run: nobody looks at what it left.
    fn shard(&self, shard: usize) -> MutexGuard<'_, Shard<S>> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The states of column `column` in all shards, by sensor: up to the last sensor that has one.
    fn by_sensor<'a>(
        &self,
        shards: &'a [MutexGuard<'_, Shard<S>>],
        column: usize,
    ) -> Vec<Option<&'a S::State>> {
        let mut all = Vec::new();
        for (at, shard) in shards.iter().enumerate() {
            for (place, state) in shard.states[column].iter() {
                let sensor = self.deal.sensor(at, place).index();
                if sensor >= all.len() {
                    all.resize(sensor + 1, None);
                }
                all[sensor] = Some(state);
            }
        }
        all
    }

    /// Asks the memory for what groups some way behind group `at` will need: first a state, later what the state points to.
    #[inline]
    fn prefetch(&self, states: &[Option<S::State>], share: Share<'_>, at: usize) {
        let state = |sensor| states.get(self.deal.place(sensor).index());
        if let Some(state) = share.groups.get(at + 2 * AHEAD).and_then(|group| state(group.sensor)) {
            prefetch(std::slice::from_ref(state));
        }
        if let Some(group) = share.groups.get(at + AHEAD)
            && let Some(Some(state)) = state(group.sensor)
        {
            self.stage.prefetch(state, group.len());
        }
    }
}

impl<S: SeriesStage> Shards for PerSeries<S> {
    fn count(&self) -> usize {
        self.shards.len()
    }

    fn step(&self, shard: usize, batch: &Batch, share: Share<'_>, sensors: &Sensors) -> Result<Made> {
        let Shard { states, scratch } = &mut *self.shard(shard);
        let (mut made, mut late) = (Vec::new(), Vec::new());
        for (bound, states) in self.binding.columns.iter().zip(states) {
            let all_valid = scratch.gather(batch.measurement(bound.at), share.rows);
            let first = made.len();
            made.extend(bound.outputs.iter().map(|&(_, kind)| Output::empty(kind, share.rows.len())));
            for (at, &group) in share.groups.iter().enumerate() {
                self.prefetch(states.as_slice(), share, at);
                let (sensor, range) = (group.sensor, share.range(group));
                let state = states.get_or_insert_with(self.deal.place(sensor), || {
                    self.stage.state(sensors.name(sensor), &bound.name)
                });
                let mut run = Run {
                    sensor,
                    sensors,
                    column: &bound.name,
                    times: batch.times(),
                    rows: &share.rows[range.clone()],
                    values: &scratch.values[range.clone()],
                    valid: (!all_valid).then(|| &scratch.valid[range.clone()]),
                    outputs: &mut made[first..],
                    late: &mut late,
                };
                self.stage.step(state, &mut run)?;
                check_outputs(&made[first..], range.end)?;
            }
        }
        Ok(Made { outputs: made, late })
    }

    fn assemble(&self, batch: Batch, groups: &Groups, mut made: Vec<Made>, flow: &mut Flow) -> Batch {
        let kinds = self.binding.columns.iter().flat_map(|bound| &bound.outputs);
        let mut columns: Vec<(usize, Column)> = kinds
            .enumerate()
            .map(|(slot, &(index, kind))| (index, scatter(kind, groups, &made, slot)))
            .collect();
        // New columns are appended in the schema's order; replaced ones may come at any time.
        columns.sort_by_key(|&(index, _)| index);
        let mut batch = batch.with_columns(Arc::clone(&self.binding.schema), columns);
        let late = made.iter_mut().flat_map(|made| std::mem::take(&mut made.late)).collect();
        set_late_aside(&mut batch, late, flow);
        batch
    }

    fn give_up(&self, gone: &[SensorId]) {
        for &sensor in gone {
            let mut shard = self.shard(self.deal.shard(sensor));
            let place = self.deal.place(sensor);
            shard.states.iter_mut().for_each(|states| drop(states.remove(place)));
        }
    }

    fn save(&self) -> Result<Vec<u8>> {
        let shards: Vec<_> = (0..self.shards.len()).map(|shard| self.shard(shard)).collect();
        let columns = 0..self.binding.columns.len();
        let states: Vec<_> = columns.map(|column| self.by_sensor(&shards, column)).collect();
        state::to_bytes(&states)
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        let columns: Vec<Vec<Option<S::State>>> = state::from_bytes(state)?;
        let due = self.binding.columns.len();
        if columns.len() != due {
            let message = format!("the saved state has {} columns, not {due}", columns.len());
            return Err(Error::data(message));
        }
        if columns.iter().any(|states| states.len() > sensors.len()) {
            return Err(Error::data("the saved state is of more sensors than there are"));
        }
        let mut shards: Vec<_> = (0..self.shards.len()).map(|_| Shard::new(due)).collect();
        for (column, states) in columns.into_iter().enumerate() {
            for (sensor, state) in PerSensor::from(states).into_kept() {
                let states = &mut shards[self.deal.shard(sensor)].states[column];
                states.get_or_insert_with(self.deal.place(sensor), || state);
            }
        }
        self.shards = shards.into_iter().map(Mutex::new).collect();
        Ok(())
    }
}

/// The one-thread way: a single shard whose share is everything.
impl<S: SeriesStage> Process for PerSeries<S> {
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        let mut groups = std::mem::take(&mut self.groups);
        groups.sort(batch.sensors(), 1);
        let made = self.step(0, &batch, groups.share(0), sensors)?;
        let batch = self.assemble(batch, &groups, vec![made], flow);
        self.groups = groups;
        Ok(batch)
    }

    fn give_up(&mut self, gone: &[SensorId], _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        Shards::give_up(self, gone);
        Ok(None)
    }

    fn save(&self) -> Result<Vec<u8>> {
        Shards::save(self)
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        Shards::restore(self, state, sensors)
    }
}

impl Scratch {
    /// Takes over the values at `rows`; whether all of them are valid, in which case `valid` is not filled.
    fn gather(&mut self, column: &Measurement, rows: &[u32]) -> bool {
        self.values.clear();
        self.values.extend(rows.iter().map(|&row| column.values[row as usize]));
        self.valid.clear();
        let all_valid = column.valid.is_all_set();
        if !all_valid {
            self.valid.extend(rows.iter().map(|&row| column.valid.get(row as usize)));
        }
        all_valid
    }
}

/// The column that the shards' outputs at `slot` make.
fn scatter(kind: FieldKind, groups: &Groups, made: &[Made], slot: usize) -> Column {
    let mut column = Column::filled(kind, groups.rows());
    let mut first = 0;
    for made in made {
        let output = &made.outputs[slot];
        let rows = &groups.order()[first..first + output.len()];
        output.scatter(rows, &mut column);
        first += rows.len();
    }
    column
}

#[inline]
fn check_outputs(outputs: &[Output], expected: usize) -> Result<()> {
    match outputs.iter().position(|output| output.len() != expected) {
        None => Ok(()),
        Some(slot) => Err(wrong_output(slot, outputs[slot].len(), expected)),
    }
}

#[cold]
fn wrong_output(slot: usize, values: usize, expected: usize) -> Error {
    Error::internal(format!("output {slot} has {values} values where {expected} are due"))
        .with_help("the stage must push one value a record to every output")
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
