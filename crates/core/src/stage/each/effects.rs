//! The effects that a stage requested for the records of a batch, and their application to the batch.

use std::sync::Arc;

use super::WriteColumn;
use super::columns::StageColumns;
use super::value::{Value, Written, copied, write};
use crate::batch::{Batch, Column, Mask, Origins, Text, TimeColumn};
use crate::error::RejectionKind;
use crate::offset::Trigger;
use crate::sensor::{SensorId, Sensors};
use crate::stage::Flow;
use crate::time::Timestamp;

/// The effects requested by one shard.
pub(super) struct Effects {
    /// By column that the stage writes.
    written: Vec<Column>,
    /// The written text.
    text: Text,
    /// The fate of records that are not emitted, by row.
    fates: Vec<(u32, Fate)>,
    emitted: Vec<New>,
    /// The values of the new records, one after the other.
    values: Vec<(WriteColumn, Written)>,
}

/// Why a record is not emitted.
pub(super) enum Fate {
    Filtered,
    Folded,
    Late(String),
}

/// The position of a new record relative to the input record that triggered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Before,
    /// Triggered by a timer.
    Behind,
}

/// A record added by the stage.
struct New {
    row: u32,
    place: Side,
    time: Timestamp,
    sensor: SensorId,
    /// The end of its values in the list; they begin where those of the previous record end.
    end: usize,
}

impl Effects {
    /// No effects on the records at `rows` of `batch`.
    pub(super) fn new(layout: &StageColumns, batch: &Batch, rows: &[u32]) -> Self {
        let mut text = Text::default();
        let mut written = |column: &WriteColumn| match column.is_changed {
            true => copied(batch, column.at, column.ty, rows, &mut text),
            false => Column::missing(column.ty, rows.len()),
        };
        if layout.is_of_new {
            return Self::none();
        }
        let written = layout.written.iter().map(&mut written).collect();
        Self { written, text, ..Self::none() }
    }

    /// No effects on no records.
    pub(super) fn none() -> Self {
        Self {
            written: Vec::new(),
            text: Text::default(),
            fates: Vec::new(),
            emitted: Vec::new(),
            values: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn set(&mut self, column: WriteColumn, at: usize, value: Value<'_>) {
        write(&mut self.written[column.slot], at, Written::of(value, &mut self.text));
    }

    /// The first call takes effect.
    pub(super) fn end(&mut self, row: u32, fate: Fate) {
        if self.fates.last().is_none_or(|(last, _)| *last != row) {
            self.fates.push((row, fate));
        }
    }

    pub(super) fn emit(&mut self, row: u32, place: Side, sensor: SensorId, time: Timestamp) {
        self.emitted.push(New { row, place, time, sensor, end: self.values.len() });
    }

    /// Sets a value of the last emitted record.
    pub(super) fn set_emitted(&mut self, column: WriteColumn, value: Value<'_>) {
        self.values.push((column, Written::of(value, &mut self.text)));
        self.emitted.last_mut().into_iter().for_each(|new| new.end = self.values.len());
    }
}

/// Applies the effects `all` to `batch`; each part covers as many rows, in the order of `order`.
pub(super) fn apply(
    layout: &StageColumns,
    mut batch: Batch,
    order: &[u32],
    mut all: Vec<Effects>,
    sensors: &Sensors,
    flow: &mut Flow,
) -> Batch {
    let mut fates: Vec<_> = all.iter_mut().flat_map(|effects| std::mem::take(&mut effects.fates)).collect();
    fates.sort_by_key(|&(row, _)| row);
    let new = Emissions::of(&all, sensors);
    let mut added = new.to_batch(layout, &all, batch.origins.as_ref());
    flow.made += added.len() as u64;
    if layout.is_of_new {
        flow.folded += (batch.len() - fates.len()) as u64;
        take_out(&mut batch, fates, flow);
        (added.sequence, added.received) = (batch.sequence, batch.received);
        return added;
    }
    let places = inverse(order);
    let column = |column: &WriteColumn| (column.at, put_together(*column, &mut batch.text, &places, &all));
    let mut columns: Vec<_> = layout.written.iter().map(column).collect();
    // Added columns come in the order of the schema; changed ones may be anywhere among them.
    columns.sort_by_key(|&(at, _)| at);
    let mut batch = batch.with_columns(Arc::clone(&layout.output), columns);
    let kept = take_out(&mut batch, fates, flow);
    if added.is_empty() {
        return batch;
    }
    let places = new.merged_with(kept.as_deref(), batch.len());
    batch.append(&added);
    batch.take(&places)
}

/// The records emitted after all others, by time, then by sensor name.
pub(super) fn last(
    layout: &StageColumns,
    effects: Effects,
    sensors: &Sensors,
    flow: &mut Flow,
) -> Option<Batch> {
    let all = [effects];
    let new = Emissions::of(&all, sensors);
    flow.made += new.0.len() as u64;
    (!new.0.is_empty()).then(|| new.to_batch(layout, &all, None))
}

/// By row: its position in `order`.
fn inverse(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    order.iter().zip(0..).for_each(|(&row, place)| places[row as usize] = place);
    places
}

/// Combines a column written by all parts, with each record's value at its position.
fn put_together(written: WriteColumn, text: &mut Text, places: &[u32], all: &[Effects]) -> Column {
    let mut column = Column::missing(written.ty, 0);
    for effects in all {
        column.append(&effects.written[written.slot], &mut |span| text.push_from(&effects.text, span));
    }
    column.take(places)
}

/// Removes the records that are not emitted; returns the remaining rows, unless all remain.
fn take_out(batch: &mut Batch, fates: Vec<(u32, Fate)>, flow: &mut Flow) -> Option<Vec<u32>> {
    if fates.is_empty() {
        return None;
    }
    let mut keep = Mask::filled(batch.len(), true);
    for (row, fate) in fates {
        keep.set(row as usize, false);
        match fate {
            Fate::Filtered => flow.filtered += 1,
            Fate::Folded => flow.folded += 1,
            Fate::Late(reason) => flow.reject(batch, row as usize, RejectionKind::Late, reason),
        }
    }
    batch.retain(&keep);
    Some(keep.ones().map(|row| row as u32).collect())
}

/// The records emitted by all parts, in order, each with the part's ordinal and the index of its values.
struct Emissions<'a>(Vec<((usize, usize), &'a New)>);

impl<'a> Emissions<'a> {
    fn of(all: &'a [Effects], sensors: &Sensors) -> Self {
        let mut new = Vec::new();
        for (part, effects) in all.iter().enumerate() {
            let mut first = 0;
            for record in &effects.emitted {
                new.push(((part, first), record));
                first = record.end;
            }
        }
        // Those before a record belong to its sensor, and keep their order.
        let time = |new: &New| (new.place == Side::Behind).then_some(new.time);
        new.sort_by_key(|(_, new)| (new.row, new.place, time(new), sensors.name(new.sensor)));
        Self(new)
    }

    /// The new records; `origins` are those of the records that triggered them.
    fn to_batch(&self, layout: &StageColumns, all: &[Effects], origins: Option<&Origins>) -> Batch {
        if self.0.is_empty() {
            return Batch::empty(Arc::clone(&layout.output));
        }
        let (rows, mut text) = (self.0.len(), Text::default());
        let fields = layout.output.fields().iter();
        let mut columns: Vec<Column> = fields.map(|field| Column::missing(field.ty, rows)).collect();
        for (at, &((part, first), new)) in self.0.iter().enumerate() {
            let effects = &all[part];
            for (column, value) in &effects.values[first..new.end] {
                write(&mut columns[column.at], at, value.carried(&effects.text, &mut text));
            }
        }
        let schema = &layout.output;
        let times = self.0.iter().map(|(_, new)| new.time).collect();
        let time = schema.time().map(|at| &mut columns[at]);
        if let Some(time) = time {
            *time = Column::Time(TimeColumn { values: times, text: Vec::new() });
        }
        columns[schema.sensor()] = Column::Sensor(self.0.iter().map(|(_, new)| new.sensor).collect());
        let by: Vec<u32> = self.0.iter().map(|(_, new)| new.row).collect();
        let mut batch = Batch::new(Arc::clone(schema), columns, text);
        batch.origins = origins.map(|origins| match origins.is_empty() {
            // By a tick of the clock: nothing else is in its piece.
            true => Origins::made_by(vec![Trigger::default(); rows]),
            false => Origins::made_by(origins.triggers(&by)),
        });
        batch
    }

    /// The order of all records: input records (their rows are `kept`; all of them, if that is `None`) come before the new ones at the same
    /// position.
    fn merged_with(&self, kept: Option<&[u32]>, len: usize) -> Vec<u32> {
        let row = |at: usize| kept.map_or(at as u32, |kept| kept[at]);
        let (mut order, mut next) = (Vec::with_capacity(len + self.0.len()), 0);
        for (at, (_, new)) in self.0.iter().enumerate() {
            let is_before = |row: u32| row < new.row || row == new.row && new.place != Side::Before;
            while next < len && is_before(row(next)) {
                order.push(next as u32);
                next += 1;
            }
            order.push((len + at) as u32);
        }
        order.extend(next as u32..len as u32);
        order
    }
}
