//! Limits on sensors where anyone may send: a run accepts the first ones, in the order of the input, up to its limits. Records of other
//! sensors are rejected.
//!
//! Ids are assigned while chunks are decoded, by several workers concurrently, so they say nothing about the order of the input, and some
//! are assigned beyond the limits. The decision is made in the turn of the chunk: a sensor is accepted with its first record, as long as
//! there is room. Once one has been refused no other is accepted, and the table of sensors is closed, so that names do not accumulate.
//!
//! With `idle_sensors` there is one worker, and idle sensors make room for others: a piece of the input is split after each record that
//! makes sensors idle for long enough. The table is not closed then: names that were refused or given up are freed after each piece.

use serde::{Deserialize, Serialize};

use super::chunks::take_until;
use super::idle::{self, Idle};
use crate::batch::{Batch, Mask};
use crate::error::{Error, Masks, Rejection, RejectionKind, Result};
use crate::notes::Event;
use crate::sensor::{Beyond, SensorId, SensorLimits, Sensors, SharedSensors, Surplus};
use crate::stage::Flow;

/// Accepts sensors in the order of the input.
pub(crate) struct Admission {
    /// `None` if the table itself enforces the limits.
    limits: Option<SensorLimits>,
    /// All sensors with smaller ids are accepted.
    all_below: u32,
    /// By id.
    taken: Mask,
    count: usize,
    /// Total length of the names of accepted sensors.
    bytes: usize,
    /// The limit that the first refused sensor exceeded.
    closed: Option<Beyond>,
    /// Whether an event has said that a limit is reached.
    is_said: bool,
    /// Detects idle sensors.
    idle: Option<Idle>,
    /// Sensors that were refused or given up and are still in the table.
    gone: Vec<SensorId>,
}

/// The rows at which parts end, and the sensors given up there.
type Ends = Vec<(usize, Vec<SensorId>)>;

/// A part of a piece of the input.
pub(crate) struct InputPart {
    pub(crate) batch: Batch,
    /// The number of records, including rejected ones.
    pub(crate) records: u64,
    /// Records that could not be decoded.
    pub(crate) rejections: Vec<Rejection>,
    /// Records that were rejected for another reason.
    pub(crate) aside: Vec<Rejection>,
    /// The sensors given up after it.
    pub(crate) gone: Vec<SensorId>,
}

/// An [`Admission`] in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AdmissionState {
    /// By id.
    taken: Mask,
    closed: Option<Beyond>,
    idle: Option<idle::IdleState>,
    /// Unused ids.
    free: Vec<u32>,
}

impl AdmissionState {
    /// Frees the unused ids, which are in the table of names of a checkpoint.
    pub(crate) fn forget_free(&self, sensors: &SharedSensors) {
        sensors.forget(&self.free.iter().copied().map(SensorId).collect::<Vec<_>>());
    }
}

impl Admission {
    pub(crate) fn new(limits: SensorLimits, idle: Option<Idle>) -> Self {
        let limits = (limits.surplus == Surplus::Aside).then_some(limits);
        let taken = Mask::default();
        Self {
            limits,
            all_below: 0,
            taken,
            count: 0,
            bytes: 0,
            closed: None,
            is_said: false,
            idle,
            gone: Vec::new(),
        }
    }

    /// Splits a piece of the input after the records at which sensors are given up, and rejects records as [`Admission::admit`] does.
    /// `aside` was rejected before.
    pub(crate) fn parts(
        &mut self,
        mut batch: Batch,
        mut rejections: Vec<Rejection>,
        mut aside: Vec<Rejection>,
        sensors: &SharedSensors,
    ) -> Vec<InputPart> {
        if self.idle.is_none() {
            aside.extend(self.admit(std::slice::from_mut(&mut batch), sensors).into_iter().flatten());
            return vec![InputPart::new(batch, rejections, aside, Vec::new())];
        }
        let (keep, refused, ends) = self.look(&batch, &sensors.read());
        aside.extend(refused);
        let (mut parts, mut first) = (Vec::new(), 0);
        for (end, gone) in ends {
            let trigger = batch.origins.as_ref().map(|origins| origins.trigger(end - 1)).unwrap_or_default();
            let (rejections, aside) = (take_until(&mut rejections, trigger), take_until(&mut aside, trigger));
            let rows = (first..end).filter(|&row| keep.get(row)).map(|row| row as u32);
            let part = batch.take(&rows.collect::<Vec<_>>());
            parts.push(InputPart::new(part, rejections, aside, gone));
            first = end;
        }
        let rest: Mask = (0..batch.len()).map(|row| row >= first && keep.get(row)).collect();
        batch.retain(&rest);
        parts.push(InputPart::new(batch, rejections, aside, Vec::new()));
        parts
    }

    /// A mask of the accepted records of `batch`, rejections of the others, and the rows at which parts end, with the sensors given up
    /// there.
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
                gone.iter().for_each(|&id| self.evict(id, table.name(id)));
                ends.push((row + 1, gone));
            }
        }
        name_column(&mut flow, batch);
        (keep, flow.rejections, ends)
    }

    /// Makes room for another sensor in place of `id`.
    fn evict(&mut self, id: SensorId, name: &str) {
        self.taken.set(id.index(), false);
        self.all_below = self.all_below.min(id.0);
        (self.count, self.bytes, self.closed) = (self.count - 1, self.bytes - name.len(), None);
        self.gone.push(id);
    }

    /// The sensors refused or given up since the last call that have not come back: no state is kept for them.
    pub(crate) fn forgotten(&mut self) -> Vec<SensorId> {
        let mut gone = std::mem::take(&mut self.gone);
        gone.sort_unstable();
        gone.dedup();
        gone.retain(|id| id.index() >= self.taken.len() || !self.taken.get(id.index()));
        gone
    }

    /// How often sensors were given up; `None` if the run does not do that.
    pub(crate) fn given_up(&self) -> Option<u64> {
        self.idle.as_ref().map(Idle::given_up)
    }

    /// Sets the records of `batches` aside whose sensors are beyond the limits: by batch. To be called in the order of the input; of several batches, the
    /// origins say which record comes first.
    pub(crate) fn admit(&mut self, batches: &mut [Batch], sensors: &SharedSensors) -> Vec<Vec<Rejection>> {
        let Some(limits) = self.limits else { return Vec::new() };
        // Nearly always all are known.
        let ids = batches.iter().flat_map(|batch| batch.sensors());
        if ids.max().is_none_or(|most| most.0 < self.all_below) {
            return Vec::new();
        }
        let table = sensors.read();
        let of_batch = |batch: &Batch| (Flow::default(), Mask::filled(batch.len(), true));
        let mut looked_at: Vec<_> = batches.iter().map(of_batch).collect();
        for (at, row) in in_order(batches) {
            if let Err(beyond) = self.take(batches[at].sensors()[row], &limits, &table) {
                let (flow, keep) = &mut looked_at[at];
                flow.reject(&batches[at], row, RejectionKind::Malformed, beyond.reason());
                keep.set(row, false);
            }
        }
        drop(table);
        let refused = batches.iter_mut().zip(looked_at).map(|(batch, (mut flow, keep))| {
            if !flow.rejections.is_empty() {
                sensors.close();
                name_column(&mut flow, batch);
                batch.retain(&keep);
            }
            flow.rejections
        });
        refused.collect()
    }

    /// Accepts `id`, if it was accepted before or there is room.
    fn take(&mut self, id: SensorId, limits: &SensorLimits, table: &Sensors) -> Result<(), Beyond> {
        let at = id.index();
        if id.0 < self.all_below || id != SensorId::SURPLUS && at < self.taken.len() && self.taken.get(at) {
            return Ok(());
        }
        if let Some(beyond) = self.closed {
            return Err(beyond);
        }
        // Only a closed table returns this id.
        if id == SensorId::SURPLUS {
            return Err(Beyond::Sensors(limits.sensors));
        }
        let name = table.name(id);
        limits.check(self.count, self.bytes, name).inspect_err(|&beyond| self.close(beyond, name))?;
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

    /// No other sensor is accepted; the first one that was refused is `name`.
    fn close(&mut self, beyond: Beyond, name: &str) {
        self.closed = Some(beyond);
        if !std::mem::replace(&mut self.is_said, true) {
            let said = format!("a limit of sensors is reached: `{name}` is rejected as {}", beyond.reason());
            Event::warn("sensor_limit").sensor(name).say(&Masks::default(), &said);
        }
    }

    /// The number of accepted sensors, including those given up; `None` if all in the table are accepted.
    pub(crate) fn count(&self) -> Option<usize> {
        self.limits.map(|_| self.count + self.given_up().unwrap_or(0) as usize)
    }

    /// Its state for a checkpoint.
    pub(crate) fn counted(&self, sensors: &SharedSensors) -> AdmissionState {
        let idle = self.idle.as_ref().map(Idle::saved);
        AdmissionState {
            taken: self.taken.clone(),
            closed: self.closed,
            idle,
            free: sensors.read().free().to_vec(),
        }
    }

    /// Resumes from a checkpoint whose sensors are in `sensors`. Raised limits apply at once.
    ///
    /// # Errors
    /// If the state does not fit these sensors.
    pub(crate) fn restore(&mut self, counted: AdmissionState, sensors: &SharedSensors) -> Result<()> {
        counted.forget_free(sensors);
        let AdmissionState { taken, closed, idle, .. } = counted;
        let Some(limits) = self.limits else { return Ok(()) };
        let table = sensors.read();
        if taken.len() > table.len() {
            return Err(Error::data("the saved counts refer to more sensors than exist"));
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

impl InputPart {
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

/// The batch and the row of each record, in the order of the input.
fn in_order(batches: &[Batch]) -> Vec<(usize, usize)> {
    let rows = |(at, batch): (usize, &Batch)| (0..batch.len()).map(move |row| (at, row));
    let mut all: Vec<_> = batches.iter().enumerate().flat_map(rows).collect();
    if batches.len() > 1 {
        all.sort_by_key(|&(at, row)| batches[at].origins.as_ref().map(|origins| origins.trigger(row)));
    }
    all
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

    /// The names of accepted sensors, batch by batch, and the reasons of rejections.
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
            let aside = admission.admit(std::slice::from_mut(&mut batch), &sensors);
            reasons.extend(aside.into_iter().flatten().map(|rejection| rejection.reason));
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
            assert_eq!(reasons, vec!["a new sensor beyond `max_sensors` = 2"; 4]);
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
            admission.admit(&mut [readings(&rows, &mut ids)], &sensors);
        }
        assert_eq!((sensors.read().len(), admission.count()), (20, Some(3)));
    }
}
