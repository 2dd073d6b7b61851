//! The incidents of one watched measurement, by sensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::Schema;
use crate::sensor::{PerSensor, Rules, SensorId, Sensors};
use crate::stage::{Incident, IncidentChange, Thresholds};
use crate::time::Timestamp;

/// A watched measurement.
pub(super) struct Watched {
    /// Its index in the schema.
    pub(super) at: usize,
    pub(super) name: Arc<str>,
    incidents: PerSensor<(Thresholds, Incident)>,
    /// Incidents from before a restart, of sensors that have not reported since.
    before: BTreeMap<SensorId, Incident>,
}

/// Sensors that are pending or raised, by id.
pub(super) type Incidents = Vec<(u32, Incident)>;

impl Watched {
    /// Watches column `at` of `schema`, with the incidents from `before` a restart.
    pub(super) fn new(schema: &Schema, at: usize, before: Incidents) -> Self {
        Self {
            at,
            name: Arc::clone(&schema.fields()[at].name),
            incidents: PerSensor::default(),
            before: before.into_iter().map(|(id, incident)| (SensorId(id), incident)).collect(),
        }
    }

    /// Observes a value of sensor `id`; returns the thresholds that apply to it and the transition, if any.
    pub(super) fn observe(
        &mut self,
        (id, sensors): (SensorId, &Sensors),
        rules: &Rules<Thresholds>,
        hold: i64,
        time: Option<Timestamp>,
        value: f64,
    ) -> Option<(&Thresholds, IncidentChange)> {
        let before = &mut self.before;
        let (thresholds, incident) = self
            .incidents
            .get_or_insert_with(id, || (*rules.of(sensors.name(id)), before.remove(&id).unwrap_or_default()));
        let change = incident.observe(thresholds, hold, time, value)?;
        Some((thresholds, change))
    }

    /// Other thresholds hold from now on: incidents go on, as behind a restart.
    pub(super) fn reload(&mut self) {
        self.before = self.open().map(|(id, incident)| (SensorId(id), incident)).collect();
        self.incidents = PerSensor::default();
    }

    /// Discards the state of these sensors.
    pub(super) fn give_up(&mut self, gone: &[SensorId]) {
        for &id in gone {
            self.incidents.remove(id);
            self.before.remove(&id);
        }
    }

    /// The sensors that are pending or raised.
    pub(super) fn open(&self) -> impl Iterator<Item = (u32, Incident)> {
        let now = self.incidents.iter().map(|(id, (_, incident))| (id, *incident));
        let before = self.before.iter().map(|(&id, &incident)| (id, incident));
        before
            .chain(now)
            .filter(|(_, incident)| *incident != Incident::Quiet)
            .map(|(id, incident)| (id.0, incident))
    }
}
