//! The running stage: the summaries of all series, and the interval of each sensor.
//!
//! An interval is emitted with its sensor's first later record, or when its sensor is [quiet](crate::time::quiet_at) for a whole interval.
//! Both depend only on the sequence of records.

use std::any::Any;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::summary::Summary;
use super::{BoundAggregate, Statistic};
use crate::batch::{Batch, Column, FieldRole, Number, Numbers, Origins, Text, TimeColumn};
use crate::error::{Error, RejectionKind, Result};
use crate::sensor::{SensorId, Sensors};
use crate::stage::sensor_states::agreed;
use crate::stage::{Flow, Process, SensorStates, state};
use crate::time::{Deadlines, Reached, Timestamp, Watermark, format_duration, quiet_at};

/// Aggregates records into summaries.
pub(super) struct Aggregating {
    bound: BoundAggregate,
    /// By sensor.
    places: Vec<SensorProgress>,
    /// By sensor, then by measurement.
    summaries: Vec<Summary>,
    reached: Reached,
    /// For sensors with an open interval.
    deadlines: Deadlines<SensorId>,
}

/// The progress of a sensor.
#[derive(Clone, Copy, Debug)]
struct SensorProgress {
    state: IntervalState,
    /// The interval of its newest record.
    interval: TimeRange,
    /// The watermark when it last reported.
    seen: Watermark,
    /// Whether it has a deadline.
    is_looked_after: bool,
}

/// The saved form of a [`SensorProgress`]: its state, the start of its interval, the watermark when its sensor last reported, and the
/// newest time of its sensor, if known.
type SavedProgress = (IntervalState, i64, Watermark, Option<Timestamp>);

/// The state of a sensor's interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum IntervalState {
    /// There is no interval yet.
    None,
    /// Its summaries are open.
    Open,
    /// It has been emitted.
    Left,
}

/// The times `first ..= last`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TimeRange {
    first: i64,
    last: i64,
}

/// The whole range of time: without `every`, an interval never closes.
const ALWAYS: TimeRange = TimeRange { first: i64::MIN, last: i64::MAX };

impl TimeRange {
    /// The interval of length `every` that contains `time`, counted from 1970-01-01 UTC.
    fn around(time: i64, every: i64) -> Self {
        let since = time.rem_euclid(every);
        Self { first: time.saturating_sub(since), last: time.saturating_add(every - 1 - since) }
    }
}

impl SensorProgress {
    /// For a sensor without records. Without `every`, the interval is final.
    const NEW: Self =
        Self { state: IntervalState::None, interval: ALWAYS, seen: Watermark::new(), is_looked_after: false };

    /// The watermark at which its sensor becomes quiet, if an interval is open and that is possible.
    fn deadline(&self, every: i64) -> Option<Timestamp> {
        let end = self.interval.last.checked_add(1).filter(|_| self.state == IntervalState::Open)?;
        quiet_at(Timestamp::from_nanos(end), self.seen, every)
    }

    fn saved(&self, newest: Option<Timestamp>) -> SavedProgress {
        (self.state, self.interval.first, self.seen, newest)
    }

    /// `None` unless it begins an interval of length `every`.
    fn restored((state, first, seen, _): SavedProgress, every: Option<i64>) -> Option<Self> {
        let interval = match every {
            Some(every) if state != IntervalState::None => TimeRange::around(first, every),
            _ => ALWAYS,
        };
        (interval.first == first).then_some(Self { state, interval, seen, is_looked_after: false })
    }

    #[inline]
    fn is_open_at(&self, time: i64) -> bool {
        (self.interval.first..=self.interval.last).contains(&time) && self.state == IntervalState::Open
    }

    /// Why a record at `time`, for which no interval is open, is late; `None` if it is not.
    fn lateness(&self, time: i64, every: i64) -> Option<String> {
        let TimeRange { first, last } = self.interval;
        let interval =
            || format!("the interval of {} from {}", format_duration(every), Timestamp::from_nanos(first));
        match self.state {
            IntervalState::Open | IntervalState::Left if time < first => {
                Some(format!("late: its sensor is already in {}", interval()))
            }
            IntervalState::Left if time <= last => {
                Some(format!("late: its sensor was quiet, so {} has been emitted", interval()))
            }
            _ => None,
        }
    }
}

impl Aggregating {
    pub(super) fn new(bound: BoundAggregate) -> Self {
        Self {
            places: Vec::new(),
            summaries: Vec::new(),
            reached: Reached::new(bound.agreement),
            deadlines: Deadlines::new(bound.every.unwrap_or(0)),
            bound,
        }
    }

    /// Reserves space for sensors up to `most`.
    fn reserve(&mut self, most: Option<&SensorId>) {
        let sensors = most.map_or(0, |most| most.index() + 1);
        if sensors > self.places.len() {
            self.places.resize(sensors, SensorProgress::NEW);
            let empty = Summary::new(&self.bound);
            self.summaries.resize(sensors * self.bound.columns.len(), empty);
        }
    }

    /// Aggregates whole columns, regardless of time.
    fn fold(&mut self, batch: &Batch) {
        let width = self.bound.columns.len();
        for id in batch.sensors() {
            self.places[id.index()].state = IntervalState::Open;
        }
        for (slot, &at) in self.bound.columns.iter().enumerate() {
            let Column::F64(Numbers { values, valid }) = &batch.columns()[at] else {
                for (row, id) in batch.sensors().iter().enumerate() {
                    self.summaries[id.index() * width + slot].add_number(batch.columns()[at].number(row));
                }
                continue;
            };
            let is_whole = valid.is_all_set();
            for (row, (id, &value)) in batch.sensors().iter().zip(values).enumerate() {
                if is_whole || valid.get(row) {
                    self.summaries[id.index() * width + slot].add(value);
                }
            }
        }
    }

    /// Aggregates record by record. A record after its sensor's interval closes that; one before it, or in an emitted one, is late. After
    /// each record, the intervals of quiet sensors are emitted.
    fn fold_by_interval(&mut self, every: i64, batch: &Batch, sensors: &Sensors, flow: &mut Flow) -> Batch {
        let (mut leaving, mut by) = (Leaving::new(&self.bound), Vec::new());
        let times = batch.times().unwrap_or_default();
        for (row, (&id, &time)) in batch.sensors().iter().zip(times).enumerate() {
            let watermark = self.reached.note(id.0, time);
            let (place, time) = (&mut self.places[id.index()], time.as_nanos());
            place.seen = watermark;
            let is_open = place.is_open_at(time);
            let late = if is_open { None } else { place.lateness(time, every) };
            if let Some(reason) = late {
                flow.reject(batch, row, RejectionKind::Late, reason);
            } else {
                if !is_open {
                    self.enter(id, time, every, &mut leaving);
                }
                self.fold_one(id, batch, row);
                flow.folded += 1;
            }
            if self.deadlines.is_due(watermark) {
                self.close_quiet(watermark, every, sensors, &mut leaving);
            }
            by.resize(leaving.sensors.len(), row as u32);
        }
        let mut closed = leaving.into_batch(&self.bound, flow);
        closed.origins = batch.origins.as_ref().map(|origins| Origins::made_by(origins.triggers(&by)));
        closed
    }

    /// Opens the interval that contains `time`; closes an earlier one.
    fn enter(&mut self, id: SensorId, time: i64, every: i64, leaving: &mut Leaving) {
        let place = &mut self.places[id.index()];
        let before = *place;
        *place =
            SensorProgress { state: IntervalState::Open, interval: TimeRange::around(time, every), ..before };
        if !place.is_looked_after {
            let deadline = place.deadline(every);
            deadline.into_iter().for_each(|deadline| self.deadlines.set(deadline, id));
            place.is_looked_after = deadline.is_some();
        }
        if before.state == IntervalState::Open {
            self.close(id, before.interval, leaving);
        }
    }

    /// Sets the deadlines of all sensors again.
    fn look_after_all(&mut self) {
        let Some(every) = self.bound.every else { return };
        for (id, place) in self.places.iter_mut().enumerate() {
            let deadline = place.deadline(every);
            deadline.into_iter().for_each(|deadline| self.deadlines.set(deadline, SensorId(id as u32)));
            place.is_looked_after = deadline.is_some();
        }
    }

    /// Emits the intervals of quiet sensors, ordered by start, then by sensor name.
    #[cold]
    fn close_quiet(&mut self, watermark: Watermark, every: i64, sensors: &Sensors, leaving: &mut Leaving) {
        let Self { places, deadlines, .. } = self;
        let mut quiet = Vec::new();
        let deadline = |id: SensorId| {
            let place = &mut places[id.index()];
            let deadline = place.deadline(every);
            place.is_looked_after = deadline.is_some();
            deadline
        };
        deadlines.take_quiet(watermark, deadline, &mut quiet);
        quiet.sort_unstable_by_key(|&id| (places[id.index()].interval, sensors.name(id)));
        // A sensor that was given up and has reported again occurs twice.
        quiet.dedup();
        for id in quiet {
            let place = &mut self.places[id.index()];
            (place.state, place.is_looked_after) = (IntervalState::Left, false);
            let interval = place.interval;
            self.close(id, interval, leaving);
        }
    }

    fn fold_one(&mut self, id: SensorId, batch: &Batch, row: usize) {
        let first = id.index() * self.bound.columns.len();
        for (summary, &at) in self.summaries[first..].iter_mut().zip(&self.bound.columns) {
            summary.add_number(batch.columns()[at].number(row));
        }
    }

    /// The open intervals of `ids`, ordered by start, then by sensor name.
    fn close_open(&mut self, ids: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Batch {
        let place = |&id: &SensorId| Some((self.places.get(id.index())?, id));
        let open = ids.iter().filter_map(place).filter(|(place, _)| place.state == IntervalState::Open);
        let mut open: Vec<_> = open.map(|(place, id)| (place.interval, id)).collect();
        open.sort_unstable_by_key(|&(interval, id)| (interval, sensors.name(id)));
        let mut leaving = Leaving::new(&self.bound);
        for (interval, id) in open {
            self.close(id, interval, &mut leaving);
        }
        leaving.into_batch(&self.bound, flow)
    }

    /// Moves the summaries of a sensor to `leaving`.
    fn close(&mut self, id: SensorId, interval: TimeRange, leaving: &mut Leaving) {
        let width = self.bound.columns.len();
        let summaries = &mut self.summaries[id.index() * width..][..width];
        leaving.push(id, interval.first, summaries, &self.bound);
        summaries.fill(Summary::new(&self.bound));
    }
}

impl Process for Aggregating {
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        self.reserve(batch.sensors().iter().max());
        let mut closed = match self.bound.every {
            Some(every) => self.fold_by_interval(every, &batch, sensors, flow),
            None => {
                self.fold(&batch);
                flow.folded += batch.len() as u64;
                Batch::empty(Arc::clone(&self.bound.output))
            }
        };
        (closed.sequence, closed.received) = (batch.sequence, batch.received);
        Ok(closed)
    }

    fn finish(&mut self, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let all: Vec<_> = (0..self.places.len()).map(|id| SensorId(id as u32)).collect();
        let closed = self.close_open(&all, sensors, flow);
        self.places.fill(SensorProgress::NEW);
        self.deadlines = Deadlines::new(self.bound.every.unwrap_or(0));
        Ok(Some(closed))
    }

    fn give_up(&mut self, gone: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let closed = self.close_open(gone, sensors, flow);
        self.reached.forget(gone.iter().map(|id| id.0));
        for id in gone {
            self.places.get_mut(id.index()).into_iter().for_each(|place| *place = SensorProgress::NEW);
        }
        Ok(Some(closed))
    }

    fn merge(&mut self, other: Box<dyn Process>) -> Result<()> {
        let other: Box<dyn Any> = other;
        let other = other.downcast::<Self>().map_err(|_| Error::internal("not a process of this stage"))?;
        if other.places.len() > self.places.len() {
            self.reserve(Some(&SensorId(other.places.len() as u32 - 1)));
        }
        for (mine, theirs) in self.places.iter_mut().zip(other.places) {
            *mine = if mine.state == IntervalState::None { theirs } else { *mine };
        }
        self.summaries.iter_mut().zip(other.summaries).for_each(|(mine, theirs)| mine.merge(theirs));
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>> {
        let newest = (0..).map(|sensor| self.reached.newest(sensor));
        let places: Vec<_> =
            self.places.iter().zip(newest).map(|(place, newest)| place.saved(newest)).collect();
        state::to_bytes(&(self.reached.watermark(), places, &self.summaries))
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        let (watermark, places, summaries) = state::from_bytes(state)?;
        self.take_over(watermark, places, summaries, sensors)
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        let mut all = SensorStates::default();
        let width = self.bound.columns.len();
        for (id, place) in self.places.iter().enumerate() {
            let newest = self.reached.newest(id as u32);
            if place.state != IntervalState::None || newest.is_some() {
                let summaries = &self.summaries[id * width..][..width];
                all.push(SensorId(id as u32), &(place.saved(newest), summaries))?;
            }
        }
        if self.bound.every.is_some() {
            all.shared.push(state::to_bytes(&self.reached.watermark())?);
        }
        Ok(Some(all))
    }

    fn restore_sensors(&mut self, states: &SensorStates, sensors: &Sensors) -> Result<()> {
        let watermark = agreed(states.read_shared()?, "how far the watermark has come")?.unwrap_or_default();
        let (width, empty) = (self.bound.columns.len(), Summary::new(&self.bound));
        let ids = states.states.iter().map(|(sensor, _)| sensor.index() + 1).max().unwrap_or(0);
        let mut places = vec![SensorProgress::NEW.saved(None); ids];
        let mut summaries = vec![empty; ids * width];
        for read in states.read::<(SavedProgress, Vec<Summary>)>() {
            let (sensor, (place, mut of_sensor)) = read?;
            if of_sensor.len() != width {
                return Err(Error::data("the saved state is of other measurements"));
            }
            places[sensor.index()] = place;
            summaries[sensor.index() * width..][..width].swap_with_slice(&mut of_sensor);
        }
        self.take_over(watermark, places, summaries, sensors)
    }

    fn goes_by(&self) -> Option<&'static str> {
        self.bound.every.and_then(|_| self.bound.agreement.goes_by())
    }

    fn due(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn advance(&mut self, watermark: Watermark, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let Some(every) = self.bound.every else { return Ok(None) };
        let (watermark, mut leaving) = (self.reached.advance_to(watermark), Leaving::new(&self.bound));
        if self.deadlines.is_due(watermark) {
            self.close_quiet(watermark, every, sensors, &mut leaving);
        }
        Ok(Some(leaving.into_batch(&self.bound, flow)))
    }
}

impl Aggregating {
    /// Goes on from what was kept, by sensor.
    fn take_over(
        &mut self,
        watermark: Watermark,
        places: Vec<SavedProgress>,
        summaries: Vec<Summary>,
        sensors: &Sensors,
    ) -> Result<()> {
        let empty = Summary::new(&self.bound);
        if summaries.len() != places.len() * self.bound.columns.len()
            || !summaries.iter().all(|summary| summary.is_like(&empty))
        {
            return Err(Error::data("the saved state has other measurements or statistics"));
        }
        if places.len() > sensors.len() {
            return Err(Error::data("the saved state has more sensors than exist"));
        }
        let every = self.bound.every;
        let newest = places.iter().map(|&(_, _, _, newest)| newest);
        let reached = Reached::restored(self.bound.agreement, watermark, newest);
        let places: Option<Vec<_>> =
            places.into_iter().map(|saved| SensorProgress::restored(saved, every)).collect();
        self.places = places.ok_or_else(|| Error::data("the saved state has other intervals"))?;
        (self.reached, self.summaries, self.deadlines) =
            (reached, summaries, Deadlines::new(self.bound.every.unwrap_or(0)));
        self.look_after_all();
        Ok(())
    }
}

/// The records made of summaries.
struct Leaving {
    times: Vec<Timestamp>,
    sensors: Vec<SensorId>,
    /// By measurement, then by statistic and quantile.
    columns: Vec<Column>,
}

impl Leaving {
    fn new(bound: &BoundAggregate) -> Self {
        let fields = bound.output.fields().iter();
        let made = fields.filter(|field| !matches!(field.role, FieldRole::Time | FieldRole::Sensor));
        Self { times: Vec::new(), sensors: Vec::new(), columns: made.map(Column::empty).collect() }
    }

    fn push(&mut self, id: SensorId, start: i64, summaries: &[Summary], bound: &BoundAggregate) {
        self.times.push(Timestamp::from_nanos(start));
        self.sensors.push(id);
        let mut columns = self.columns.iter_mut();
        for summary in summaries {
            for (&statistic, column) in bound.statistics.iter().zip(&mut columns) {
                column.push_number(match statistic {
                    // Not via f64, which is exact up to 2^53 only.
                    Statistic::Count => Some(Number::U64(summary.count())),
                    Statistic::Min | Statistic::Max => summary.extreme(statistic, column.value_type()),
                    _ => summary.statistic(statistic).map(Number::F64),
                });
            }
            for (&quantile, column) in bound.quantiles.iter().zip(&mut columns) {
                column.push_number(summary.quantile(quantile).map(Number::F64));
            }
        }
    }

    fn into_batch(self, bound: &BoundAggregate, flow: &mut Flow) -> Batch {
        flow.made += self.sensors.len() as u64;
        let time = TimeColumn { values: self.times.into(), text: Vec::new() };
        let time = bound.output.time().map(|_| Column::Time(time));
        let columns = time.into_iter().chain([Column::Sensor(self.sensors)]).chain(self.columns).collect();
        Batch::new(Arc::clone(&bound.output), columns, Text::default())
    }
}
