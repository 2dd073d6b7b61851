//! Drives a [`SensorStage`]: one state a sensor, in a dense table, split over shards of sensors.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::{Columns, StageColumns};
use super::effects::{Effects, apply, last};
use super::record::{Last, Record, Row, Timer};
use super::sensor::SensorStage;
use super::watermarks::Watermarks;
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::kernel::prefetch::prefetch;
use crate::sensor::{SensorId, Sensors};
use crate::stage::shards::{Shard, Table};
use crate::stage::{Flow, Groups, Made, Pieces, Shards, Share, state};
use crate::time::{Agreement, Deadlines, Reached, Timestamp, Watermark};

/// How many groups before its own a sensor's state is asked for.
const AHEAD: usize = 8;

/// A sensor stage in use.
pub(super) struct BySensor<S: SensorStage> {
    stage: S,
    bound: S::Bound,
    layout: StageColumns,
    agreement: Agreement,
    /// About how far ahead timers are set; `None` where none are.
    timers: Option<i64>,
    watermarks: Option<Watermarks>,
    /// Whoever writes a cut has it too.
    table: Arc<Table<Kept<S::State>, Own>>,
}

/// What is kept of one sensor.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    state: T,
    /// Its newest time; none where nobody follows the watermark.
    newest: Option<Timestamp>,
    timer: Option<Timestamp>,
    /// Under which number it is looked after, and when at the latest: no later than its timer.
    #[serde(skip)]
    watched: Option<(u32, Timestamp)>,
    #[serde(skip)]
    watches: u32,
}

/// What a shard has besides the states of its sensors.
struct Own {
    /// How many batches it has been through.
    batches: u64,
    /// Of sensors that have a timer, each with the number under which it is looked after.
    deadlines: Deadlines<(SensorId, u32)>,
}

/// What a state begins with.
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

    /// Sees to it that the sensor is looked after no later than when its timer is due.
    fn watch(&mut self, sensor: SensorId, deadlines: &mut Deadlines<(SensorId, u32)>) {
        let Some(due) = self.timer else { return };
        if self.watched.is_none_or(|(_, watched)| due < watched) {
            self.watches = self.watches.wrapping_add(1);
            self.watched = Some((self.watches, due));
            deadlines.set(due, (sensor, self.watches));
        }
    }

    /// When the timer is due of a sensor that is looked after under `watch`; `None` where it is under another number by now.
    fn deadline(&mut self, watch: u32) -> Option<Timestamp> {
        self.watched.filter(|&(known, _)| known == watch)?;
        self.watched = self.timer.map(|due| (watch, due));
        self.timer
    }
}

/// A batch on its way through a shard.
struct Pass<'a, S: SensorStage> {
    of: &'a BySensor<S>,
    batch: &'a Batch,
    times: &'a [Timestamp],
    sensors: &'a Sensors,
    /// By record; none where nobody follows them.
    watermarks: &'a [Watermark],
    effects: Effects,
}

impl<S: SensorStage> Pass<'_, S> {
    /// The records of one sensor, which are at `rows`, the first of which is at place `first` of the share.
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

    /// The timers of a sensor that are due behind the records `rows`.
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
                return Err(Error::internal(format!("a timer of {due} was set again for no later time")));
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
            columns.need_time("a stage that goes by the watermark")?;
        }
        let table = Table::new(1, shards, || Own::new(timers));
        let shards = table.deal().shards();
        Ok(Self {
            stage: stage.clone(),
            bound,
            layout: columns.into_layout(),
            agreement,
            timers,
            watermarks: timers.map(|_| Watermarks::new(shards, Reached::new(agreement))),
            table: Arc::new(table),
        })
    }

    fn watermark(&self) -> Watermark {
        self.watermarks.as_ref().map_or(Watermark::new(), Watermarks::last)
    }

    /// Calls the timers of the sensors of a shard that have no record in this batch: those of the others have been.
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

    /// Lets each of `sensors` say its last word; nothing is kept of them any more.
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

    fn cut(&self) -> Result<Pieces> {
        let (name, version) = (self.stage.name().to_owned(), S::VERSION);
        let header = state::to_bytes(&Header { name, version, watermark: self.watermark() });
        Ok(Box::new(std::iter::once(header).chain(self.table.cut())))
    }

    fn restore(
        &mut self,
        pieces: &mut dyn Iterator<Item = Result<Vec<u8>>>,
        sensors: &Sensors,
    ) -> Result<()> {
        let first = pieces.next().unwrap_or_else(|| Ok(Vec::new()))?;
        let (header, rest): (Header, _) = state::take_from_bytes(&first)?;
        self.check_header(&header)?;
        let shards = self.table.deal().shards();
        let mut table: Table<Kept<S::State>, Own> = Table::new(1, shards, || Own::new(self.timers));
        table.restore(rest, sensors)?;
        for piece in pieces {
            table.restore(&piece?, sensors)?;
        }
        let mut newest = vec![None; sensors.len()];
        table.for_each_mut(0, |sensor, kept, own| {
            newest[sensor.index()] = kept.newest;
            if self.timers.is_none() {
                kept.timer = None;
            }
            kept.watch(sensor, &mut own.deadlines);
        });
        self.watermarks =
            self.timers.map(|_| Watermarks::restored(shards, self.agreement, header.watermark, newest));
        self.table = Arc::new(table);
        Ok(())
    }
}

impl<S: SensorStage> BySensor<S> {
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
        .with_help("go on with the release that wrote it, or start anew with another --state"))
    }
}
