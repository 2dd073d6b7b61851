//! Drives a [`SeriesStage`]: one state a series, column by column, in dense tables split over shards of sensors.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Output, Run, SeriesStage};
use crate::batch::{Batch, Column, Field, FieldRole, FieldType, Mask, Numbers, Schema};
use crate::error::{Error, RejectionKind, Result};
use crate::kernel::integers::is_float;
use crate::kernel::prefetch::prefetch;
use crate::sensor::{SensorId, Sensors};
use crate::stage::shards::{Shard, Table};
use crate::stage::{Cut, CutKind, Flow, Groups, Made, Pieces, SensorStates, Shards, Share};

/// The result of a shard for its share of a batch.
struct ShardValues {
    /// The values of the new columns, in the order of [`Share::rows`].
    outputs: Vec<Output>,
    /// Late records: their rows, with reasons.
    late: Vec<(u32, String)>,
}

/// The values of a column in the order of a share.
#[derive(Default)]
struct ColumnBuffers {
    /// As floats; integers are rounded to the nearest.
    values: Vec<f64>,
    /// Empty if all are valid.
    valid: Vec<bool>,
    /// Empty unless f64 cannot represent some integers.
    integers: Vec<i128>,
}

impl ColumnBuffers {
    /// Copies the values at `rows`.
    fn gather(&mut self, column: &Column, rows: &[u32]) {
        self.values.clear();
        self.valid.clear();
        self.integers.clear();
        match column {
            Column::F64(Numbers { values, valid }) => {
                let values = &**values;
                self.fill(valid, rows, |row| values[row]);
            }
            Column::I64(Numbers { values, valid }) => {
                let values = &**values;
                self.fill(valid, rows, |row| values[row] as f64);
                self.keep_digits(rows, |row| values[row].into());
            }
            Column::U64(Numbers { values, valid }) => {
                let values = &**values;
                self.fill(valid, rows, |row| values[row] as f64);
                self.keep_digits(rows, |row| values[row].into());
            }
            Column::Bool(booleans) => {
                self.fill(&booleans.valid, rows, |row| f64::from(u8::from(booleans.values.get(row))));
            }
            Column::Time(_) | Column::Sensor(_) | Column::Text(_) => {
                unreachable!("columns of numbers are selected")
            }
        }
    }

    #[inline]
    fn fill(&mut self, valid: &Mask, rows: &[u32], value: impl Fn(usize) -> f64) {
        self.values.extend(rows.iter().map(|&row| value(row as usize)));
        if !valid.is_all_set() {
            self.valid.extend(rows.iter().map(|&row| valid.get(row as usize)));
        }
    }

    /// Keeps the exact integers if f64 cannot represent some of them.
    fn keep_digits(&mut self, rows: &[u32], value: impl Fn(usize) -> i128) {
        if rows.iter().any(|&row| !is_float(value(row as usize))) {
            self.integers.extend(rows.iter().map(|&row| value(row as usize)));
        }
    }
}

/// The effect of a series stage on the schema: which columns it reads and writes.
pub(super) struct Binding<B> {
    pub(super) schema: Arc<Schema>,
    bound: B,
    columns: Vec<SelectedColumn>,
}

/// One selected measurement.
struct SelectedColumn {
    /// Its index.
    at: usize,
    name: Arc<str>,
    /// The index of each column made of it, and the column.
    outputs: Vec<(usize, Field)>,
}

pub(super) fn bind<S: SeriesStage>(stage: &S, input: &Schema) -> Result<Binding<S::Bound>> {
    let bound = stage.bind(input)?;
    let mut schema = input.clone();
    let mut columns = Vec::new();
    for at in input.select(stage.columns())? {
        let name = Arc::clone(&input.fields()[at].name);
        let mut outputs = Vec::new();
        for field in stage.outputs(&name) {
            let keeps_type = stage.keeps_type() && field.role == FieldRole::Measurement;
            let field = if keeps_type { field.with_type(input.fields()[at].ty) } else { field };
            let field = described(field, &input.fields()[at], |unit| stage.output_unit(unit));
            let (wider, index) = schema.with(field.clone())?;
            schema = wider;
            outputs.push((index, field));
        }
        columns.push(SelectedColumn { at, name, outputs });
    }
    Ok(Binding { schema: Arc::new(schema), bound, columns })
}

/// The measurement `made` with the unit that `unit` gives it for that of its input `from`, and with the input's metadata if the unit is the same: metadata may
/// depend on the scale. A unit that the stage has set stays.
pub(in crate::stage) fn described(made: Field, from: &Field, unit: impl Fn(&str) -> Option<String>) -> Field {
    if made.role != FieldRole::Measurement || made.unit.is_some() {
        return made;
    }
    let unit: Option<Arc<str>> = from.unit.as_deref().and_then(unit).map(Into::into);
    match unit == from.unit {
        true => made.described_as(from),
        false => Field { unit, ..made },
    }
}

/// How many groups ahead a group's memory is prefetched: far enough for the latency of memory, near enough for the data to remain in cache.
const AHEAD: usize = 8;

/// A running series stage.
pub(super) struct PerSeries<S: SeriesStage> {
    stage: S,
    binding: Binding<S::Bound>,
    /// Shared with the writer of a cut.
    table: Arc<Table<S::State, ColumnBuffers>>,
}

impl<S: SeriesStage> PerSeries<S> {
    pub(super) fn new(stage: &S, input: &Schema, shards: usize) -> Result<Self> {
        let binding = bind(stage, input)?;
        let table = Arc::new(Table::new(binding.columns.len(), shards, ColumnBuffers::default));
        Ok(Self { stage: stage.clone(), binding, table })
    }

    /// A table without series, of as many columns and shards.
    fn empty_table(&self) -> Table<S::State, ColumnBuffers> {
        Table::new(self.binding.columns.len(), self.table.deal().shards(), ColumnBuffers::default)
    }

    /// Prefetches what groups after group `at` need: first a state, later the memory that the state refers to.
    #[inline]
    fn prefetch(&self, states: &[Option<S::State>], share: Share<'_>, at: usize) {
        let state = |sensor| states.get(self.table.deal().place(sensor).index());
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
        self.table.deal().shards()
    }

    fn step(&self, shard: usize, batch: &Batch, share: Share<'_>, sensors: &Sensors) -> Result<Made> {
        let sensors_of_share = share.groups.iter().map(|group| group.sensor);
        let Shard { states, own: scratch, .. } = &mut *self.table.change(shard, sensors_of_share);
        let deal = self.table.deal();
        let (mut made, mut late) = (Vec::new(), Vec::new());
        for (bound, states) in self.binding.columns.iter().zip(states) {
            scratch.gather(&batch.columns()[bound.at], share.rows);
            let first = made.len();
            made.extend(bound.outputs.iter().map(|(_, field)| Output::empty(field, share.rows.len())));
            for (at, &group) in share.groups.iter().enumerate() {
                self.prefetch(states.as_slice(), share, at);
                let (sensor, range) = (group.sensor, share.range(group));
                let state = states.get_or_insert_with(deal.place(sensor), || {
                    self.stage.state(&self.binding.bound, sensors.name(sensor), &bound.name)
                });
                let mut run = Run {
                    sensor,
                    sensors,
                    column: &bound.name,
                    times: batch.times(),
                    rows: &share.rows[range.clone()],
                    values: &scratch.values[range.clone()],
                    valid: scratch.valid.get(range.clone()),
                    integers: scratch.integers.get(range.clone()),
                    outputs: &mut made[first..],
                    late: &mut late,
                };
                self.stage.step(&self.binding.bound, state, &mut run)?;
                check_outputs(&made[first..], range.end)?;
            }
        }
        Ok(Made::new(ShardValues { outputs: made, late }))
    }

    fn assemble(
        &self,
        batch: Batch,
        groups: &Groups,
        made: Vec<Made>,
        _sensors: &Sensors,
        flow: &mut Flow,
    ) -> Result<Batch> {
        let mut made = made.into_iter().map(Made::into).collect::<Result<Vec<ShardValues>>>()?;
        let outputs = self.binding.columns.iter().flat_map(|bound| &bound.outputs);
        let mut columns: Vec<(usize, Column)> = outputs
            .enumerate()
            .map(|(slot, (index, field))| (*index, scatter(field.ty, groups, &made, slot)))
            .collect();
        // New columns are appended in schema order; replaced ones may come at any time.
        columns.sort_by_key(|&(index, _)| index);
        let mut batch = batch.with_columns(Arc::clone(&self.binding.schema), columns);
        let late = made.iter_mut().flat_map(|made| std::mem::take(&mut made.late)).collect();
        set_late_aside(&mut batch, late, flow);
        Ok(batch)
    }

    fn give_up(&self, gone: &[SensorId], _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        let deal = self.table.deal();
        for &sensor in gone {
            let mut shard = self.table.change(deal.shard(sensor), std::iter::once(sensor));
            shard.states.iter_mut().for_each(|states| drop(states.remove(deal.place(sensor))));
        }
        Ok(None)
    }

    fn cut(&self, kind: CutKind) -> Result<Cut> {
        Ok(self.table.cut(kind))
    }

    fn restore(&mut self, cuts: Vec<Pieces>, sensors: &Sensors) -> Result<()> {
        let mut table = self.empty_table();
        for piece in cuts.into_iter().flatten() {
            table.restore(&piece?, sensors)?;
        }
        self.table = Arc::new(table);
        Ok(())
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        self.table.save_sensors().map(Some)
    }

    fn restore_sensors(&mut self, states: &SensorStates, sensors: &Sensors) -> Result<()> {
        let mut table = self.empty_table();
        table.restore_sensors(states, sensors)?;
        self.table = Arc::new(table);
        Ok(())
    }
}

/// Combines the shards' outputs at `slot` to a column.
fn scatter(ty: FieldType, groups: &Groups, made: &[ShardValues], slot: usize) -> Column {
    let mut column = Column::filled(ty, groups.rows());
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
    Error::internal(format!("output {slot} has {values} values, expected {expected}"))
        .with_help("the stage must push one value per record to every output")
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
