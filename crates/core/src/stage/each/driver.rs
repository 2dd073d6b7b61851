//! Drives a [`SensorStage`]: one state a sensor, in a dense table, split over shards of sensors.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::{Columns, StageColumns};
use super::effects::{Effects, apply, last};
use super::record::{Last, Record, Row, Timer};
use super::sensor::SensorStage;
use super::watermarks::{Measure, Watermarks};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::kernel::prefetch::prefetch;
use crate::sensor::{SensorId, Sensors};
use crate::stage::sensor_states::agreed;
use crate::stage::shards::{Shard, Table};
use crate::stage::{Cut, CutKind, Flow, Groups, Made, Pieces, SensorStates, Shards, Share, state};
use crate::time::{Agreement, Deadlines, Timestamp, Watermark};

/// How many groups ahead a sensor's state is prefetched.
const AHEAD: usize = 8;

/// A running sensor stage.
pub(super) struct BySensor<S: SensorStage> {
    stage: S,
    bound: S::Bound,
    layout: StageColumns,
    agreement: Agreement,
    /// The approximate distance of timers in nanoseconds; `None` without timers.
    timers: Option<i64>,
    watermarks: Option<Watermarks>,
    /// Shared with the writer of a cut.
    table: Arc<Table<Kept<S::State>, Own>>,
}

/// The state of one sensor.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    state: T,
    /// Its newest time; `None` for a stage without timers.
    newest: Option<Timestamp>,
    timer: Option<Timestamp>,
    /// The id of its entry in the deadlines, and its deadline, which is not after its timer.
    #[serde(skip)]
    watched: Option<(u32, Timestamp)>,
    #[serde(skip)]
    watches: u32,
}

/// The state of a shard besides those of its sensors.
struct Own {
    /// The number of batches it has processed.
    batches: u64,
    /// Of sensors with a timer, each with the id of its entry.
    deadlines: Deadlines<(SensorId, u32)>,
}

/// The header of a saved state.
#[derive(Serialize, Deserialize)]
struct Header {
    name: String,
    version: u32,
    watermark: Watermark,
}

impl Own {
    fn new(timers: Option<i64>) -> Self {
        Self { batches: 0, deadlines: Deadlines::new(timers.unwrap_or_default()) }
    }
}

impl<T> Kept<T> {
    fn new(state: T) -> Self {
        Self { state, newest: None, timer: None, watched: None, watches: 0 }
    }

    /// Ensures that the sensor has a deadline no later than its timer.
    fn watch(&mut self, sensor: SensorId, deadlines: &mut Deadlines<(SensorId, u32)>) {
        let Some(due) = self.timer else { return };
        if self.watched.is_none_or(|(_, watched)| due < watched) {
            self.watches = self.watches.wrapping_add(1);
            self.watched = Some((self.watches, due));
            deadlines.set(due, (sensor, self.watches));
        }
    }

    /// When the timer of the entry `watch` is due; `None` if the entry is outdated.
    fn deadline(&mut self, watch: u32) -> Option<Timestamp> {
        self.watched.filter(|&(known, _)| known == watch)?;
        self.watched = self.timer.map(|due| (watch, due));
        self.timer
    }
}

/// A batch being processed by a shard.
struct Pass<'a, S: SensorStage> {
    of: &'a BySensor<S>,
    batch: &'a Batch,
    times: &'a [Timestamp],
    sensors: &'a Sensors,
    /// By record; empty for a stage without timers.
    watermarks: &'a [Watermark],
    effects: Effects,
}

impl<S: SensorStage> Pass<'_, S> {
    /// Processes the records of one sensor, at `rows`, the first of which is at index `first` of the share.
    #[inline]
    fn records(
        &mut self,
        sensor: SensorId,
        kept: &mut Kept<S::State>,
        rows: &[u32],
        first: usize,
    ) -> Result<()> {
        let mut before = 0;
        for (&row, at) in rows.iter().zip(first..) {
            if kept.timer.is_some() {
                self.timers(sensor, kept, before..row as usize)?;
            }
            before = row as usize;
            self.record(sensor, kept, row, at)?;
        }
        self.timers(sensor, kept, before..self.watermarks.len())
    }

    #[inline]
    fn record(&mut self, sensor: SensorId, kept: &mut Kept<S::State>, row: u32, at: usize) -> Result<()> {
        let Self { of, batch, times, sensors, watermarks, effects } = self;
        let row = Row { batch, times, row, at, sensor, sensors, effects };
        let mut record = Record { newest: Timestamp::MIN, watermark: Watermark::new(), timer: None, row };
        if let Some(&watermark) = watermarks.get(record.row.row as usize) {
            let newest = kept.newest.max(Some(record.time()));
            kept.newest = newest;
            record.newest = newest.unwrap_or(Timestamp::MIN);
            record.watermark = watermark;
            record.timer = Some(&mut kept.timer);
        }
        of.stage.record(&of.bound, &mut kept.state, &mut record)
    }

    /// Calls the timers of a sensor that are due after the records `rows`.
    fn timers(
        &mut self,
        sensor: SensorId,
        kept: &mut Kept<S::State>,
        rows: std::ops::Range<usize>,
    ) -> Result<()> {
        while let Some(due) = kept.timer
            && let Some(behind) = self.watermarks.get(rows.clone())
            && behind.last().is_some_and(|last| last.has_reached(due))
        {
            let at = rows.start + behind.partition_point(|watermark| !watermark.has_reached(due));
            kept.timer = None;
            let (sensors, effects) = (self.sensors, &mut self.effects);
            let last = Last { sensor, sensors, effects, row: at as u32 };
            let mut timer = Timer { due, watermark: self.watermarks[at], next: &mut kept.timer, last };
            self.of.stage.timer(&self.of.bound, &mut kept.state, &mut timer)?;
            if kept.timer.is_some_and(|next| next <= due) {
                return Err(Error::internal(format!("a timer of {due} was set again without a later time")));
            }
        }
        Ok(())
    }
}

impl<S: SensorStage> BySensor<S> {
    pub(super) fn new(stage: &S, input: &Schema, agreement: Agreement, shards: usize) -> Result<Self> {
        let mut columns = Columns::new(input);
        let bound = stage.bind(&mut columns)?;
        let timers = stage.timers(&bound);
        if timers.is_some() {
            columns.need_time("a stage that uses the watermark")?;
        }
        let table = Table::new(1, shards, || Own::new(timers));
        let shards = table.deal().shards();
        Ok(Self {
            stage: stage.clone(),
            bound,
            layout: columns.into_layout(),
            agreement,
            timers,
            watermarks: timers
                .map(|_| Watermarks::new(shards, Measure::new(stage.ticks().is_some(), agreement))),
            table: Arc::new(table),
        })
    }

    fn watermark(&self) -> Watermark {
        self.watermarks.as_ref().map_or(Watermark::new(), Watermarks::last)
    }

    /// Calls the timers of the shard's sensors that have no record in this batch: those of the others have been called.
    fn call_quiet(&self, shard: usize, pass: &mut Pass<'_, S>) -> Result<()> {
        let Some(&watermark) = pass.watermarks.last() else { return Ok(()) };
        let deal = self.table.deal();
        let mut guard = self.table.change(shard, std::iter::empty());
        let Shard { states, own, .. } = &mut *guard;
        if !own.deadlines.is_due(watermark) {
            return Ok(());
        }
        let mut due = Vec::new();
        let states = &mut states[0];
        let deadline = |(sensor, watch)| states.get_mut(deal.place(sensor))?.deadline(watch);
        own.deadlines.take_quiet(watermark, deadline, &mut due);
        let mut guard = self.table.change_more(shard, guard, due.iter().map(|&(sensor, _)| sensor));
        let Shard { states, own, .. } = &mut *guard;
        for (sensor, _) in due {
            let Some(kept) = states[0].get_mut(deal.place(sensor)) else { continue };
            kept.watched = None;
            pass.timers(sensor, kept, 0..pass.watermarks.len())?;
            kept.watch(sensor, &mut own.deadlines);
        }
        Ok(())
    }

    /// Calls `last` for each of `sensors`, and removes its state.
    fn call_last(
        &self,
        of: impl Iterator<Item = SensorId>,
        sensors: &Sensors,
        effects: &mut Effects,
    ) -> Result<()> {
        let deal = self.table.deal();
        for sensor in of {
            let mut shard = self.table.change(deal.shard(sensor), std::iter::once(sensor));
            if let Some(kept) = shard.states[0].remove(deal.place(sensor)) {
                let mut last = Last { sensor, sensors, effects, row: 0 };
                self.stage.last(&self.bound, kept.state, &mut last)?;
            }
        }
        Ok(())
    }
}

impl<S: SensorStage> Shards for BySensor<S> {
    fn count(&self) -> usize {
        self.table.deal().shards()
    }

    fn step(&self, shard: usize, batch: &Batch, share: Share<'_>, sensors: &Sensors) -> Result<Made> {
        let deal = self.table.deal();
        let mut guard = self.table.change(shard, share.groups.iter().map(|group| group.sensor));
        let Shard { states, own, .. } = &mut *guard;
        let watermarks = self.watermarks.as_ref().map(|watermarks| watermarks.of(own.batches, batch));
        let watermarks = watermarks.transpose()?;
        own.batches += 1;
        let mut pass = Pass {
            of: self,
            batch,
            times: batch.times().unwrap_or_default(),
            sensors,
            watermarks: watermarks.as_deref().unwrap_or_default(),
            effects: Effects::new(&self.layout, batch, share.rows),
        };
        let states = &mut states[0];
        for (at, &group) in share.groups.iter().enumerate() {
            if let Some(ahead) = share.groups.get(at + AHEAD) {
                let state = states.as_slice().get(deal.place(ahead.sensor).index());
                state.into_iter().for_each(|state| prefetch(std::slice::from_ref(state)));
            }
            let (sensor, range) = (group.sensor, share.range(group));
            let kept = states.get_or_insert_with(deal.place(sensor), || {
                Kept::new(self.stage.state(&self.bound, sensors.name(sensor)))
            });
            pass.records(sensor, kept, &share.rows[range.clone()], range.start)?;
            kept.watch(sensor, &mut own.deadlines);
        }
        drop(guard);
        self.call_quiet(shard, &mut pass)?;
        Ok(Made::new(pass.effects))
    }

    fn assemble(
        &self,
        batch: Batch,
        groups: &Groups,
        made: Vec<Made>,
        sensors: &Sensors,
        flow: &mut Flow,
    ) -> Result<Batch> {
        let all = made.into_iter().map(Made::into).collect::<Result<Vec<Effects>>>()?;
        Ok(apply(&self.layout, batch, groups.order(), all, sensors, flow))
    }

    fn finish(&self, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let mut effects = Effects::none();
        self.call_last((0..sensors.len()).map(|id| SensorId(id as u32)), sensors, &mut effects)?;
        Ok(last(&self.layout, effects, sensors, flow))
    }

    fn give_up(&self, gone: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let mut effects = Effects::none();
        self.call_last(gone.iter().copied(), sensors, &mut effects)?;
        self.watermarks.iter().for_each(|watermarks| watermarks.forget(gone));
        Ok(last(&self.layout, effects, sensors, flow))
    }

    fn cut(&self, kind: CutKind) -> Result<Cut> {
        let (name, version) = (self.stage.name().to_owned(), S::VERSION);
        let header = state::to_bytes(&Header { name, version, watermark: self.watermark() });
        let Cut { kind, pieces } = self.table.cut(kind);
        Ok(Cut { kind, pieces: Box::new(std::iter::once(header).chain(pieces)) })
    }

    fn restore(&mut self, cuts: Vec<Pieces>, sensors: &Sensors) -> Result<()> {
        let (mut table, mut watermark) = (self.empty_table(), Watermark::new());
        for mut pieces in cuts {
            let first = pieces.next().unwrap_or_else(|| Ok(Vec::new()))?;
            let (header, rest): (Header, _) = state::take_from_bytes(&first)?;
            self.check_header(&header)?;
            watermark = header.watermark;
            table.restore(rest, sensors)?;
            for piece in pieces {
                table.restore(&piece?, sensors)?;
            }
        }
        self.take_over(table, watermark, sensors);
        Ok(())
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        let mut all = self.table.save_sensors()?;
        if self.timers.is_some() {
            all.shared.push(state::to_bytes(&self.watermark())?);
        }
        Ok(Some(all))
    }

    fn restore_sensors(&mut self, states: &SensorStates, sensors: &Sensors) -> Result<()> {
        let watermark = agreed(states.read_shared()?, "how far the watermark has come")?;
        let mut table = self.empty_table();
        table.restore_sensors(states, sensors)?;
        self.take_over(table, watermark.unwrap_or_default(), sensors);
        Ok(())
    }

    fn goes_by(&self) -> Option<&'static str> {
        // The clock needs no other sensors.
        self.timers.filter(|_| self.stage.ticks().is_none()).and_then(|_| self.agreement.goes_by())
    }

    fn due(&self) -> Option<Timestamp> {
        let next = |shard| self.table.change(shard, std::iter::empty()).own.deadlines.next();
        (0..self.count()).filter_map(next).min()
    }

    fn advance(&self, watermark: Watermark, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let Some(watermarks) = &self.watermarks else { return Ok(None) };
        let watermark = watermarks.advance_to(watermark);
        let mut pass = Pass {
            of: self,
            batch: &Batch::empty(Arc::clone(&self.layout.output)),
            times: &[],
            sensors,
            watermarks: &[watermark],
            effects: Effects::none(),
        };
        for shard in 0..self.count() {
            self.call_quiet(shard, &mut pass)?;
        }
        Ok(last(&self.layout, pass.effects, sensors, flow))
    }
}

impl<S: SensorStage> BySensor<S> {
    fn empty_table(&self) -> Table<Kept<S::State>, Own> {
        Table::new(1, self.table.deal().shards(), || Own::new(self.timers))
    }

    /// Goes on with the states in `table`, from `watermark` on.
    fn take_over(&mut self, mut table: Table<Kept<S::State>, Own>, watermark: Watermark, sensors: &Sensors) {
        let mut newest = vec![None; sensors.len()];
        table.for_each_mut(0, |sensor, kept, own| {
            newest[sensor.index()] = kept.newest;
            if self.timers.is_none() {
                kept.timer = None;
            }
            kept.watch(sensor, &mut own.deadlines);
        });
        let (shards, is_clock) = (table.deal().shards(), self.stage.ticks().is_some());
        self.watermarks = self
            .timers
            .map(|_| Watermarks::new(shards, Measure::restored(is_clock, self.agreement, watermark, newest)));
        self.table = Arc::new(table);
    }

    fn check_header(&self, header: &Header) -> Result<()> {
        let (name, version) = (self.stage.name(), S::VERSION);
        if header.name == name && header.version == version {
            return Ok(());
        }
        Err(Error::data(format!(
            "the saved state is version {} of `{}`, and this is version {version} of `{name}`",
            header.version,
            header.name.escape_debug()
        ))
        .with_help("resume with the release that wrote it, or start again with another --state"))
    }
}
