//! One measurement that is watched, and how things stand with it, by sensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::incident::{Change, Incident, Thresholds};
use crate::batch::Schema;
use crate::sensor::{PerSensor, Rules, SensorId, Sensors};
use crate::time::Timestamp;

/// A measurement in the eyes of an alert.
pub(super) struct Watched {
    /// Its index in the schema.
    pub(super) at: usize,
    pub(super) name: Arc<str>,
    incidents: PerSensor<(Thresholds, Incident)>,
    /// Those of before a restart whose sensors have not reported since.
    before: BTreeMap<SensorId, Incident>,
}

/// Sensors that are not quiet, by id.
pub(super) type Incidents = Vec<(u32, Incident)>;

impl Watched {
    /// Column `at` of `schema`, which had these incidents `before`.
    pub(super) fn new(schema: &Schema, at: usize, before: Incidents) -> Self {
        Self {
            at,
            name: Arc::clone(&schema.fields()[at].name),
            incidents: PerSensor::default(),
            before: before.into_iter().map(|(id, incident)| (SensorId(id), incident)).collect(),
        }
    }

    /// Takes note of a value of sensor `id`; gives the thresholds that hold for it, and what has changed, if anything.
    pub(super) fn observe(
        &mut self,
        (id, sensors): (SensorId, &Sensors),
        rules: &Rules<Thresholds>,
        hold: i64,
        time: Option<Timestamp>,
        value: f64,
    ) -> Option<(&Thresholds, Change)> {
        let before = &mut self.before;
        let (thresholds, incident) = self
            .incidents
            .get_or_insert_with(id, || (*rules.of(sensors.name(id)), before.remove(&id).unwrap_or_default()));
        let change = incident.observe(thresholds, hold, time, value)?;
        Some((thresholds, change))
    }

    /// Forgets these sensors.
    pub(super) fn give_up(&mut self, gone: &[SensorId]) {
        for &id in gone {
            self.incidents.remove(id);
            self.before.remove(&id);
        }
    }

    /// The sensors that are not quiet.
    pub(super) fn open(&self) -> impl Iterator<Item = (u32, Incident)> {
        let now = self.incidents.iter().map(|(id, (_, incident))| (id, *incident));
        let before = self.before.iter().map(|(&id, &incident)| (id, incident));
        before
            .chain(now)
            .filter(|(_, incident)| *incident != Incident::Quiet)
            .map(|(id, incident)| (id.0, incident))
    }
}
