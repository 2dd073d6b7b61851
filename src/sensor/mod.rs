//! Sensor names and the dense ids that stand for them, in order of first appearance.

mod limits;
mod lookup;
mod names;
mod rules;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(crate) use limits::{Beyond, long_name};
pub use limits::{DEFAULT_MAX_SENSOR_BYTES, DEFAULT_MAX_SENSORS, MAX_NAME, SensorLimits, Surplus};
pub use lookup::{SensorIds, SensorLookup, SharedSensors};
pub use names::SensorNames;
pub use rules::{OfSensors, PerSensor, Rules, matcher};

/// A sensor's ordinal by first appearance: an index into whatever is kept per sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SensorId(pub u32);

impl SensorId {
    /// No sensor.
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// A sensor beyond the limits of a run that sets the records of such sensors aside ([`Surplus::Aside`]).
    pub const SURPLUS: Self = Self(u32::MAX - 1);

    /// The id as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// All sensors seen so far. Names lie in one buffer; the table is seeded at random, since names
/// come from outside.
#[derive(Debug)]
pub struct Sensors {
    names: SensorNames,
    table: HashTable<u32>,
    hasher: RandomState,
    limits: SensorLimits,
    is_closed: bool,
}

impl Default for Sensors {
    fn default() -> Self {
        Self::new(SensorLimits::default())
    }
}

impl Sensors {
    /// An empty table that takes sensors up to `limits`.
    pub fn new(limits: SensorLimits) -> Self {
        Self {
            names: SensorNames::default(),
            table: HashTable::new(),
            hasher: RandomState::default(),
            limits,
            is_closed: false,
        }
    }

    /// An empty table that refuses more than `limit` sensors.
    pub fn with_limit(limit: usize) -> Self {
        Self::new(SensorLimits { sensors: limit, ..SensorLimits::default() })
    }

    /// What it takes.
    pub fn limits(&self) -> SensorLimits {
        self.limits
    }

    /// Takes no new sensors any more: they are [`SensorId::SURPLUS`].
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether it takes no new sensors any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The id of `name`, new or known.
    ///
    /// # Errors
    /// A data error when `name` would be one sensor too many, unless such sensors are set aside.
    pub fn id(&mut self, name: &str) -> Result<SensorId> {
        let hash = self.hasher.hash_one(name);
        if let Some(&id) = self.table.find(hash, |&id| self.names.get(id as usize) == name) {
            return Ok(SensorId(id));
        }
        self.insert(hash, name)
    }

    #[cold]
    fn insert(&mut self, hash: u64, name: &str) -> Result<SensorId> {
        if self.is_closed {
            return Ok(SensorId::SURPLUS);
        }
        // Where surplus sensors are set aside, that is decided in the order of the input, which is not known here.
        if self.limits.surplus == Surplus::Error {
            self.limits
                .check(self.names.len(), self.names.bytes(), name)
                .map_err(|why| why.into_error(name))?;
        }
        let id = self.names.len() as u32;
        if id == SensorId::SURPLUS.0 {
            return Err(Error::data("more sensors than can be numbered"));
        }
        self.names.push(name);
        let (names, hasher) = (&self.names, &self.hasher);
        self.table.insert_unique(hash, id, |&id| hasher.hash_one(names.get(id as usize)));
        Ok(SensorId(id))
    }

    /// The id of `name` if it has been seen.
    pub fn find(&self, name: &str) -> Option<SensorId> {
        let hash = self.hasher.hash_one(name);
        self.table.find(hash, |&id| self.names.get(id as usize) == name).map(|&id| SensorId(id))
    }

    /// The name behind an id of this table.
    pub fn name(&self, id: SensorId) -> &str {
        self.names.get(id.index())
    }

    /// How many sensors have been seen.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether none has been seen.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All names, in order of first appearance.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter()
    }

    /// The same, to be kept.
    pub fn all_names(&self) -> &SensorNames {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dense_and_stable() {
        let mut sensors = Sensors::default();
        let ids: Vec<_> = ["b", "a", "b", ""].iter().map(|name| sensors.id(name).expect("room").0).collect();
        assert_eq!(ids, [0, 1, 0, 2]);
        assert_eq!(sensors.names().collect::<Vec<_>>(), ["b", "a", ""]);
        assert_eq!(sensors.find("a"), Some(SensorId(1)));
        assert_eq!(sensors.find("c"), None);
    }

    #[test]
    fn one_sensor_too_many_is_an_error_that_names_it() {
        let mut sensors = Sensors::with_limit(1);
        sensors.id("a").expect("room");
        let error = sensors.id("b").expect_err("full");
        assert!(error.to_string().contains("`b`"), "{error}");
        assert!(sensors.id("a").is_ok());
    }
}
