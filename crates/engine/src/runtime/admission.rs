//! Which sensors a run takes where anybody may send: the first ones, in the order of the input, up to its limits. Records of others are
//! set aside.
//!
//! Ids are given while chunks are decoded, by several workers at once, so they say nothing about the order of the input, and some are
//! given beyond the limits. What decides is the turn of the chunk: a sensor is taken with its first record, as long as there is room.
//! Once one has been refused none is taken any more, and the table of sensors is closed, so that names do not pile up there.
//!
//! With `idle_sensors` there is one worker, and sensors that have been idle make room for others: a piece of the input is divided behind
//! the records with which that is known. The table is not closed then: what was refused, or is given up, is forgotten behind each piece.

use serde::{Deserialize, Serialize};

use super::chunks::until;
use super::idle::{self, Idle};
use crate::batch::{Batch, Mask};
use crate::error::{Error, Rejection, RejectionKind, Result};
use crate::sensor::{Beyond, SensorId, SensorLimits, Sensors, SharedSensors, Surplus};
use crate::stage::Flow;

/// Takes sensors in the order of the input.
pub(crate) struct Admission {
    /// `None` where the table itself refuses what is too much.
    limits: Option<SensorLimits>,
    /// All sensors with ids below this one are taken.
    all_below: u32,
    /// By id.
    taken: Mask,
    count: usize,
    /// Of the names of those taken.
    bytes: usize,
    /// What the first one that was refused was beyond.
    closed: Option<Beyond>,
    /// Who looks for sensors that have been idle.
    idle: Option<Idle>,
    /// Those that have been refused or given up and are in the table still.
    gone: Vec<SensorId>,
}

/// The rows at which parts end, and the sensors that are given up there.
type Ends = Vec<(usize, Vec<SensorId>)>;

/// A part of a piece of the input.
pub(crate) struct Part {
    pub(crate) batch: Batch,
    /// How many records there are, with those set aside.
    pub(crate) records: u64,
    /// Those that could not be read.
    pub(crate) rejections: Vec<Rejection>,
    /// Those that were set aside for what is known besides the record.
    pub(crate) aside: Vec<Rejection>,
    /// The sensors that are given up behind it.
    pub(crate) gone: Vec<SensorId>,
}

/// An [`Admission`] in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// By id.
    taken: Mask,
    closed: Option<Beyond>,
    idle: Option<idle::Saved>,
    /// Ids that are nobody's.
    free: Vec<u32>,
}

impl Counted {
    /// Forgets the ids that were nobody's, which stand among the names of a checkpoint.
    pub(crate) fn forget_free(&self, sensors: &SharedSensors) {
        sensors.forget(&self.free.iter().copied().map(SensorId).collect::<Vec<_>>());
    }
}

impl Admission {
    pub(crate) fn new(limits: SensorLimits, idle: Option<Idle>) -> Self {
        let limits = (limits.surplus == Surplus::Aside).then_some(limits);
        let taken = Mask::default();
        Self { limits, all_below: 0, taken, count: 0, bytes: 0, closed: None, idle, gone: Vec::new() }
    }

    /// Divides a piece of the input behind the records with which sensors are given up, and sets records aside as [`Admission::admit`] does.
    /// `aside` has been set aside before.
    pub(crate) fn parts(
        &mut self,
        mut batch: Batch,
        mut rejections: Vec<Rejection>,
        mut aside: Vec<Rejection>,
        sensors: &SharedSensors,
    ) -> Vec<Part> {
        if self.idle.is_none() {
            aside.extend(self.admit(&mut batch, sensors));
            return vec![Part::new(batch, rejections, aside, Vec::new())];
        }
        let (keep, refused, ends) = self.look(&batch, &sensors.read());
        aside.extend(refused);
        let (mut parts, mut first) = (Vec::new(), 0);
        for (end, gone) in ends {
            let trigger = batch.origins.as_ref().map(|origins| origins.trigger(end - 1)).unwrap_or_default();
            let (rejections, aside) = (until(&mut rejections, trigger), until(&mut aside, trigger));
            let rows = (first..end).filter(|&row| keep.get(row)).map(|row| row as u32);
            let part = batch.take(&rows.collect::<Vec<_>>());
            parts.push(Part::new(part, rejections, aside, gone));
            first = end;
        }
        let rest: Mask = (0..batch.len()).map(|row| row >= first && keep.get(row)).collect();
        batch.retain(&rest);
        parts.push(Part::new(batch, rejections, aside, Vec::new()));
        parts
    }

    /// Which records of `batch` go on, the others as rejections, and the rows at which parts end, with those that are given up there.
    fn look(&mut self, batch: &Batch, table: &Sensors) -> (Mask, Vec<Rejection>, Ends) {
        let (mut flow, mut keep, mut ends) = (Flow::default(), Mask::filled(batch.len(), true), Vec::new());
        let Some(limits) = self.limits else { return (keep, Vec::new(), ends) };
        for (row, (&id, &time)) in batch.sensors().iter().zip(batch.times().unwrap_or_default()).enumerate() {
            if let Err(beyond) = self.take(id, &limits, table) {
                flow.reject(batch, row, RejectionKind::Malformed, beyond.reason());
                keep.set(row, false);
                self.gone.push(id);
                continue;
            }
            let gone = self.idle.as_mut().map_or_else(Vec::new, |idle| idle.note(id, time));
            if !gone.is_empty() {
                gone.iter().for_each(|&id| self.let_go(id, table.name(id)));
                ends.push((row + 1, gone));
            }
        }
        name_column(&mut flow, batch);
        (keep, flow.rejections, ends)
    }

    /// Makes room for others in the place of `id`.
    fn let_go(&mut self, id: SensorId, name: &str) {
        self.taken.set(id.index(), false);
        self.all_below = self.all_below.min(id.0);
        (self.count, self.bytes, self.closed) = (self.count - 1, self.bytes - name.len(), None);
        self.gone.push(id);
    }

    /// Those that have been refused or given up since this was last asked, and have not come again: nothing is kept of them.
    pub(crate) fn forgotten(&mut self) -> Vec<SensorId> {
        let mut gone = std::mem::take(&mut self.gone);
        gone.sort_unstable();
        gone.dedup();
        gone.retain(|id| id.index() >= self.taken.len() || !self.taken.get(id.index()));
        gone
    }

    /// How often a sensor has been given up; `None` where none can be.
    pub(crate) fn given_up(&self) -> Option<u64> {
        self.idle.as_ref().map(Idle::given_up)
    }

    /// Sets the records of `batch` aside whose sensors are beyond the limits. To be called in the order of the input.
    pub(crate) fn admit(&mut self, batch: &mut Batch, sensors: &SharedSensors) -> Vec<Rejection> {
        let Some(limits) = self.limits else { return Vec::new() };
        // Nearly always all are known.
        if batch.sensors().iter().max().is_none_or(|most| most.0 < self.all_below) {
            return Vec::new();
        }
        let table = sensors.read();
        let (mut flow, mut keep) = (Flow::default(), Mask::filled(batch.len(), true));
        for (row, &id) in batch.sensors().iter().enumerate() {
            if let Err(beyond) = self.take(id, &limits, &table) {
                flow.reject(batch, row, RejectionKind::Malformed, beyond.reason());
                keep.set(row, false);
            }
        }
        drop(table);
        if !flow.rejections.is_empty() {
            sensors.close();
            name_column(&mut flow, batch);
            batch.retain(&keep);
        }
        flow.rejections
    }

    /// Takes `id`, if it is taken already or there is room.
    fn take(&mut self, id: SensorId, limits: &SensorLimits, table: &Sensors) -> Result<(), Beyond> {
        let at = id.index();
        if id.0 < self.all_below || id != SensorId::SURPLUS && at < self.taken.len() && self.taken.get(at) {
            return Ok(());
        }
        if let Some(beyond) = self.closed {
            return Err(beyond);
        }
        // Only a table that is closed gives that.
        if id == SensorId::SURPLUS {
            return Err(Beyond::Sensors(limits.sensors));
        }
        let name = table.name(id);
        limits.check(self.count, self.bytes, name).inspect_err(|&beyond| self.closed = Some(beyond))?;
        if at >= self.taken.len() {
            self.taken.extend_filled(at + 1 - self.taken.len(), false);
        }
        self.taken.set(at, true);
        (self.count, self.bytes) = (self.count + 1, self.bytes + name.len());
        while (self.all_below as usize) < self.taken.len() && self.taken.get(self.all_below as usize) {
            self.all_below += 1;
        }
        Ok(())
    }

    /// How many sensors have been taken, those that were given up too; `None` where all of the table are.
    pub(crate) fn count(&self) -> Option<usize> {
        self.limits.map(|_| self.count + self.given_up().unwrap_or(0) as usize)
    }

    /// For a checkpoint.
    pub(crate) fn counted(&self, sensors: &SharedSensors) -> Counted {
        let idle = self.idle.as_ref().map(Idle::saved);
        Counted { taken: self.taken.clone(), closed: self.closed, idle, free: sensors.read().free().to_vec() }
    }

    /// Goes on from a checkpoint, whose sensors `sensors` has. Limits that were raised since count.
    ///
    /// # Errors
    /// When that is not of these sensors.
    pub(crate) fn restore(&mut self, counted: Counted, sensors: &SharedSensors) -> Result<()> {
        counted.forget_free(sensors);
        let Counted { taken, closed, idle, .. } = counted;
        let Some(limits) = self.limits else { return Ok(()) };
        let table = sensors.read();
        if taken.len() > table.len() {
            return Err(Error::data("the saved counts are of more sensors than there are"));
        }
        if let Some((mine, saved)) = self.idle.as_mut().zip(idle) {
            mine.restore(saved);
        }
        let names = taken.ones().map(|id| table.name(SensorId(id as u32)).len());
        (self.count, self.bytes) = (taken.count(), names.sum());
        self.all_below = taken.iter().position(|is_taken| !is_taken).unwrap_or(taken.len()) as u32;
        self.taken = taken;
        drop(table);
        self.closed = closed.filter(|closed| closed.holds(&limits));
        if self.closed.is_some() && self.idle.is_none() {
            sensors.close();
        }
        Ok(())
    }
}

impl Part {
    pub(crate) fn new(
        batch: Batch,
        rejections: Vec<Rejection>,
        aside: Vec<Rejection>,
        gone: Vec<SensorId>,
    ) -> Self {
        let records = (batch.len() + rejections.len() + aside.len()) as u64;
        Self { batch, records, rejections, aside, gone }
    }
}

/// Says of records that were refused for their sensor that this is the column at fault.
fn name_column(flow: &mut Flow, batch: &Batch) {
    let column = &batch.schema().fields()[batch.schema().sensor()].name;
    flow.rejections.iter_mut().for_each(|rejection| rejection.column = Some(column.clone()));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::runtime::testing::readings;
    use crate::sensor::{SensorIds, SensorLookup};

    /// The names of those taken, batch by batch, and the reasons of those set aside.
    fn admit(limits: SensorLimits, names: &[&str], first: &[&str]) -> (Vec<String>, Vec<String>) {
        let sensors = Arc::new(SharedSensors::new(limits));
        let mut ids = SensorIds::new(Arc::clone(&sensors));
        // Another worker was faster.
        first.iter().for_each(|name| assert!(ids.id(name).is_ok()));
        let rows: Vec<_> = names.iter().enumerate().map(|(at, &name)| (name, at as i64)).collect();
        let mut admission = Admission::new(limits, None);
        let (mut taken, mut reasons) = (Vec::new(), Vec::new());
        for rows in rows.chunks(2) {
            let mut batch = readings(rows, &mut ids);
            let saved = admission.counted(&sensors);
            admission = Admission::new(limits, None);
            admission.restore(saved, &sensors).expect("as it was");
            let aside = admission.admit(&mut batch, &sensors);
            reasons.extend(aside.into_iter().map(|rejection| rejection.reason));
            let table = sensors.read();
            taken.extend(batch.sensors().iter().map(|&id| table.name(id).to_owned()));
        }
        (taken, reasons)
    }

    fn limits(sensors: usize, bytes: usize) -> SensorLimits {
        SensorLimits { sensors, bytes, surplus: Surplus::Aside }
    }

    #[test]
    fn the_first_sensors_in_the_order_of_the_input_are_taken_whoever_was_given_ids_first() {
        let names = ["a", "b", "a", "c", "d", "b", "c", "a", "e"];
        for first in [&[][..], &["c", "d"], &["d", "c", "b", "a"], &["e"]] {
            let (taken, reasons) = admit(limits(2, 100), &names, first);
            assert_eq!(taken, ["a", "b", "a", "b", "a"], "{first:?}");
            assert_eq!(reasons, vec!["a new sensor, where `max_sensors` = 2 are known"; 4]);
        }
    }

    #[test]
    fn names_are_bounded_in_bytes_and_none_is_taken_behind_one_that_was_refused() {
        let names = ["aaaa", "bb", "ccccc", "d", "bb"];
        for first in [&[][..], &["d", "ccccc"]] {
            let (taken, reasons) = admit(limits(9, 8), &names, first);
            assert_eq!(taken, ["aaaa", "bb", "bb"]);
            assert_eq!(reasons.len(), 2);
            assert!(reasons[0].contains("`max_sensor_bytes` = 8"), "{reasons:?}");
        }
    }

    #[test]
    fn names_that_are_refused_do_not_pile_up() {
        let limits = limits(3, 1000);
        let sensors = Arc::new(SharedSensors::new(limits));
        let mut ids = SensorIds::new(Arc::clone(&sensors));
        let mut admission = Admission::new(limits, None);
        for batch in 0..50 {
            let names: Vec<_> = (0..20).map(|row| format!("s{batch}-{row}")).collect();
            let rows: Vec<_> = names.iter().map(|name| (&**name, 0)).collect();
            admission.admit(&mut readings(&rows, &mut ids), &sensors);
        }
        assert_eq!((sensors.read().len(), admission.count()), (20, Some(3)));
    }
}
