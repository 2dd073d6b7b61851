//! The stage in use: the summaries of all series, and the interval that each sensor is in.

use std::any::Any;
use std::sync::Arc;

use super::Bound;
use super::summary::Summary;
use crate::batch::{Batch, Column, FieldKind, Measurement, Text, TimeColumn};
use crate::error::{Error, RejectionKind, Result};
use crate::sensor::{SensorId, Sensors};
use crate::stage::{Flow, Process};
use crate::time::Timestamp;

/// Puts records into summaries.
pub(super) struct Aggregating {
    bound: Bound,
    /// By sensor: the interval whose summaries are open; `None` where there is none.
    open: Vec<Option<Interval>>,
    /// By sensor, then by measurement.
    summaries: Vec<Summary>,
}

/// The times `first ..= last`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    first: i64,
    last: i64,
}

/// All that there is: without `every` nothing ever closes.
const ALWAYS: Interval = Interval { first: i64::MIN, last: i64::MAX };

impl Interval {
    /// The interval of length `every` that `time` is in, counted from 1970-01-01 UTC.
    fn around(time: i64, every: i64) -> Self {
        let first = time.div_euclid(every).saturating_mul(every);
        Self { first, last: first.saturating_add(every - 1) }
    }
}

impl Aggregating {
    pub(super) fn new(bound: Bound) -> Self {
        Self { bound, open: Vec::new(), summaries: Vec::new() }
    }

    /// Makes room for sensors up to `most`.
    fn reserve(&mut self, most: Option<&SensorId>) {
        let sensors = most.map_or(0, |most| most.index() + 1);
        if sensors > self.open.len() {
            self.open.resize(sensors, None);
            let empty = Summary::new(&self.bound);
            self.summaries.resize(sensors * self.bound.columns.len(), empty);
        }
    }

    /// Takes in whole columns, whatever the time.
    fn fold(&mut self, batch: &Batch) {
        let width = self.bound.columns.len();
        for id in batch.sensors() {
            self.open[id.index()] = Some(ALWAYS);
        }
        for (slot, &at) in self.bound.columns.iter().enumerate() {
            let Measurement { values, valid } = batch.measurement(at);
            let is_whole = valid.is_all_set();
            for (row, (id, &value)) in batch.sensors().iter().zip(values).enumerate() {
                if is_whole || valid.get(row) {
                    self.summaries[id.index() * width + slot].add(value);
                }
            }
        }
    }

    /// Takes in record by record. A record after its sensor's interval closes it; one before it is late.
    fn fold_by_interval(&mut self, every: i64, batch: &Batch, flow: &mut Flow) -> Batch {
        let mut leaving = Leaving::new(&self.bound);
        let times = batch.times().unwrap_or_default();
        for (row, (id, time)) in batch.sensors().iter().zip(times).enumerate() {
            let time = time.as_nanos();
            match self.open[id.index()] {
                Some(open) if time < open.first => {
                    let (start, every) =
                        (Timestamp::from_nanos(open.first), crate::time::format_duration(every));
                    let why = format!("late: its sensor is already in the interval of {every} from {start}");
                    flow.reject(batch, row, RejectionKind::Late, why);
                    continue;
                }
                Some(open) if time <= open.last => {}
                open => {
                    if let Some(closed) = open {
                        self.close(*id, closed, &mut leaving);
                    }
                    self.open[id.index()] = Some(Interval::around(time, every));
                }
            }
            self.fold_one(*id, batch, row);
            flow.folded += 1;
        }
        leaving.into_batch(&self.bound, flow)
    }

    fn fold_one(&mut self, id: SensorId, batch: &Batch, row: usize) {
        let first = id.index() * self.bound.columns.len();
        for (summary, &at) in self.summaries[first..].iter_mut().zip(&self.bound.columns) {
            if let Some(value) = batch.measurement(at).get(row) {
                summary.add(value);
            }
        }
    }

    /// Moves the summaries of a sensor to `leaving`.
    fn close(&mut self, id: SensorId, interval: Interval, leaving: &mut Leaving) {
        let width = self.bound.columns.len();
        let summaries = &mut self.summaries[id.index() * width..][..width];
        leaving.push(id, interval.first, summaries, &self.bound);
        summaries.fill(Summary::new(&self.bound));
    }
}

impl Process for Aggregating {
    fn process(&mut self, batch: Batch, _sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        self.reserve(batch.sensors().iter().max());
        let mut closed = match self.bound.every {
            Some(every) => self.fold_by_interval(every, &batch, flow),
            None => {
                self.fold(&batch);
                flow.folded += batch.len() as u64;
                Batch::empty(Arc::clone(&self.bound.output))
            }
        };
        closed.sequence = batch.sequence;
        Ok(closed)
    }

    fn finish(&mut self, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let open = self.open.iter().enumerate();
        let mut open: Vec<_> =
            open.filter_map(|(id, interval)| Some(((*interval)?, SensorId(id as u32)))).collect();
        open.sort_unstable_by_key(|&(interval, id)| (interval, sensors.name(id)));
        let mut leaving = Leaving::new(&self.bound);
        for (interval, id) in open {
            self.close(id, interval, &mut leaving);
        }
        self.open.fill(None);
        Ok(Some(leaving.into_batch(&self.bound, flow)))
    }

    fn merge(&mut self, other: Box<dyn Process>) -> Result<()> {
        let other: Box<dyn Any> = other;
        let other = other.downcast::<Self>().map_err(|_| Error::internal("not a process of this stage"))?;
        if other.open.len() > self.open.len() {
            self.reserve(Some(&SensorId(other.open.len() as u32 - 1)));
        }
        self.open.iter_mut().zip(other.open).for_each(|(mine, theirs)| *mine = mine.or(theirs));
        self.summaries.iter_mut().zip(other.summaries).for_each(|(mine, theirs)| mine.merge(theirs));
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>> {
        let open: Vec<_> = self.open.iter().map(|open| open.map(|open| (open.first, open.last))).collect();
        postcard::to_stdvec(&(open, &self.summaries))
            .map_err(|error| Error::internal(format!("the state cannot be saved: {error}")))
    }

    fn restore(&mut self, state: &[u8], _sensors: &Sensors) -> Result<()> {
        let (open, summaries): (Vec<Option<(i64, i64)>>, Vec<Summary>) = postcard::from_bytes(state)
            .map_err(|error| Error::data(format!("the saved state cannot be read: {error}")))?;
        if summaries.len() != open.len() * self.bound.columns.len() {
            return Err(Error::data("the saved state is of other measurements"));
        }
        self.open = open.into_iter().map(|open| open.map(|(first, last)| Interval { first, last })).collect();
        self.summaries = summaries;
        Ok(())
    }
}

/// The records that summaries become.
struct Leaving {
    times: Vec<Timestamp>,
    sensors: Vec<SensorId>,
    /// By measurement, then by statistic and quantile.
    columns: Vec<Column>,
}

impl Leaving {
    fn new(bound: &Bound) -> Self {
        let kinds = bound.output.fields().iter().map(|field| field.kind);
        let made = kinds.filter(|kind| !matches!(kind, FieldKind::Time | FieldKind::Sensor));
        Self { times: Vec::new(), sensors: Vec::new(), columns: made.map(Column::empty).collect() }
    }

    fn push(&mut self, id: SensorId, start: i64, summaries: &[Summary], bound: &Bound) {
        self.times.push(Timestamp::from_nanos(start));
        self.sensors.push(id);
        let mut columns = self.columns.iter_mut();
        for summary in summaries {
            for (&statistic, column) in bound.statistics.iter().zip(&mut columns) {
                match column {
                    // Not by way of a float, which is exact to 2^53 only.
                    Column::Count(counts) => counts.push(summary.count()),
                    column => push(column, summary.statistic(statistic)),
                }
            }
            for (&quantile, column) in bound.quantiles.iter().zip(&mut columns) {
                push(column, summary.quantile(quantile));
            }
        }
    }

    fn into_batch(self, bound: &Bound, flow: &mut Flow) -> Batch {
        flow.made += self.sensors.len() as u64;
        let time = TimeColumn { values: self.times, text: Vec::new() };
        let time = bound.output.time().map(|_| Column::Time(time));
        let columns = time.into_iter().chain([Column::Sensor(self.sensors)]).chain(self.columns).collect();
        Batch::new(Arc::clone(&bound.output), columns, Text::default())
    }
}

fn push(column: &mut Column, value: Option<f64>) {
    match column {
        Column::Measurement(values) => values.push(value),
        _ => unreachable!("columns are made of the kind that the schema says"),
    }
}
