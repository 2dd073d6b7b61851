//! Which sensors a run takes where anybody may send: the first ones, in the order of the input, up to its limits. Records of others are
//! set aside.
//!
//! Ids are given while chunks are decoded, by several workers at once, so they say nothing about the order of the input, and some are
//! given beyond the limits. What decides is the turn of the chunk: a sensor is taken with its first record, as long as there is room.
//! Once one has been refused none is taken any more, and the table of sensors is closed, so that names do not pile up there.

use serde::{Deserialize, Serialize};

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
}

/// An [`Admission`] in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// By id.
    taken: Mask,
    closed: Option<Beyond>,
}

impl Admission {
    pub(crate) fn new(limits: SensorLimits) -> Self {
        let limits = (limits.surplus == Surplus::Aside).then_some(limits);
        Self { limits, all_below: 0, taken: Mask::default(), count: 0, bytes: 0, closed: None }
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
            let column = &batch.schema().fields()[batch.schema().sensor()].name;
            flow.rejections.iter_mut().for_each(|rejection| rejection.column = Some(column.clone()));
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

    /// How many sensors have been taken; `None` where all of the table are.
    pub(crate) fn count(&self) -> Option<usize> {
        self.limits.map(|_| self.count)
    }

    /// For a checkpoint.
    pub(crate) fn counted(&self) -> Counted {
        Counted { taken: self.taken.clone(), closed: self.closed }
    }

    /// Goes on from a checkpoint, whose sensors `sensors` has. Limits that were raised since count.
    ///
    /// # Errors
    /// When that is not of these sensors.
    pub(crate) fn restore(&mut self, counted: Counted, sensors: &SharedSensors) -> Result<()> {
        let Some(limits) = self.limits else { return Ok(()) };
        let table = sensors.read();
        let Counted { taken, closed } = counted;
        if taken.len() > table.len() {
            return Err(Error::data("the saved counts are of more sensors than there are"));
        }
        let names = taken.ones().map(|id| table.name(SensorId(id as u32)).len());
        (self.count, self.bytes) = (taken.count(), names.sum());
        self.all_below = taken.iter().position(|is_taken| !is_taken).unwrap_or(taken.len()) as u32;
        self.taken = taken;
        drop(table);
        self.closed = closed.filter(|closed| closed.holds(&limits));
        if self.closed.is_some() {
            sensors.close();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sensor::{SensorIds, SensorLookup};
    use crate::stage::testing::Table;

    /// The names of those taken, batch by batch, and the reasons of those set aside.
    fn admit(limits: SensorLimits, names: &[&str], first: &[&str]) -> (Vec<String>, Vec<String>) {
        let sensors = Arc::new(SharedSensors::new(limits));
        let mut ids = SensorIds::new(Arc::clone(&sensors));
        // Another worker was faster.
        first.iter().for_each(|name| assert!(ids.id(name).is_ok()));
        let table = names
            .iter()
            .enumerate()
            .fold(Table::new(&["v"]), |table, (at, name)| table.row(name, at as i64, &[Some(1.0)]));
        let mut admission = Admission::new(limits);
        let (mut taken, mut reasons) = (Vec::new(), Vec::new());
        for mut batch in table.batches(2, &mut ids) {
            let saved = admission.counted();
            admission = Admission::new(limits);
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
        let mut admission = Admission::new(limits);
        for batch in 0..50 {
            let table = (0..20)
                .fold(Table::new(&["v"]), |table, row| table.row(&format!("s{batch}-{row}"), row, &[None]));
            for mut batch in table.batches(20, &mut ids) {
                admission.admit(&mut batch, &sensors);
            }
        }
        assert_eq!((sensors.read().len(), admission.count()), (20, Some(3)));
    }
}
