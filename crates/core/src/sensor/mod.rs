//! Sensor names and their dense ids, in order of first occurrence. The ids of forgotten sensors are reused.

mod index;
mod limits;
mod lookup;
mod names;
mod rules;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use index::NameIndex;
pub use limits::{Beyond, long_name};
pub use limits::{DEFAULT_MAX_SENSOR_BYTES, DEFAULT_MAX_SENSORS, MAX_NAME, SensorLimits, Surplus};
pub use lookup::{SensorIds, SensorLookup, SharedSensors};
pub use names::SensorNames;
pub use rules::{OfSensors, PerSensor, Rules, matcher};

/// A sensor's ordinal by first occurrence: an index into state per sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SensorId(pub u32);

impl SensorId {
    /// No sensor.
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// A sensor beyond the limits of a run that rejects the records of such sensors ([`Surplus::Aside`]).
    pub const SURPLUS: Self = Self(u32::MAX - 1);

    /// The id as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// All sensors seen so far. Names are stored in few buffers; the hash table has a random seed, since names are external input.
#[derive(Debug)]
pub struct Sensors {
    names: SensorNames,
    index: NameIndex,
    hasher: RandomState,
    limits: SensorLimits,
    is_closed: bool,
    /// Ids of forgotten sensors, to be reused.
    free: Vec<u32>,
    /// The ids reused since, in order, after earlier ones that were dropped from this list.
    reused: Vec<u32>,
    reused_before: u64,
    /// The number of changes.
    changes: u64,
    /// Whether it is a [snapshot](Self::snapshot), which has no hash table.
    is_snapshot: bool,
}

impl Default for Sensors {
    fn default() -> Self {
        Self::new(SensorLimits::default())
    }
}

impl Sensors {
    /// An empty table with these limits.
    pub fn new(limits: SensorLimits) -> Self {
        Self {
            names: SensorNames::default(),
            index: NameIndex::default(),
            hasher: RandomState::default(),
            limits,
            is_closed: false,
            free: Vec::new(),
            reused: Vec::new(),
            reused_before: 0,
            changes: 0,
            is_snapshot: false,
        }
    }

    /// An empty table for at most `limit` sensors.
    pub fn with_limit(limit: usize) -> Self {
        Self::new(SensorLimits { sensors: limit, ..SensorLimits::default() })
    }

    /// Its limits.
    pub fn limits(&self) -> SensorLimits {
        self.limits
    }

    /// Stops accepting new sensors: they become [`SensorId::SURPLUS`].
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether it no longer accepts new sensors.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The id of `name`; a new name gets a new id.
    ///
    /// # Errors
    /// A data error if `name` exceeds the limits, unless the records of such sensors are rejected.
    pub fn id(&mut self, name: &str) -> Result<SensorId> {
        let hash = self.hasher.hash_one(name);
        if let Some(id) = self.index.find(hash, |id| self.names.get(id as usize) == name) {
            return Ok(SensorId(id));
        }
        self.insert(hash, name)
    }

    #[cold]
    fn insert(&mut self, hash: u64, name: &str) -> Result<SensorId> {
        if self.is_closed {
            return Ok(SensorId::SURPLUS);
        }
        // If surplus sensors are rejected, that is decided in input order, which is unknown here.
        if self.limits.surplus == Surplus::Error {
            self.limits
                .check(self.names.len(), self.names.bytes(), name)
                .map_err(|why| why.into_error(name))?;
        }
        if let Some(id) = self.free.pop() {
            self.names.set(id as usize, name);
            self.reused.push(id);
            return Ok(self.enter(hash, id));
        }
        let id = self.names.len() as u32;
        if id == SensorId::SURPLUS.0 {
            return Err(Error::data("more sensors than ids"));
        }
        self.names.push(name);
        Ok(self.enter(hash, id))
    }

    /// Inserts `id`, whose name has this `hash`, into the table.
    fn enter(&mut self, hash: u64, id: u32) -> SensorId {
        let (names, hasher) = (&self.names, &self.hasher);
        self.index.insert(hash, id, |id| hasher.hash_one(names.get(id as usize)));
        self.changes += 1;
        SensorId(id)
    }

    /// Restores the names of a checkpoint with their ids into an empty table; ids that were free then have to be [forgotten](Self::forget)
    /// before the first lookup.
    pub(crate) fn restore(&mut self, names: &SensorNames) {
        self.names = names.clone();
        for (id, name) in (0..).zip(names.iter()) {
            self.enter(self.hasher.hash_one(name), id);
        }
    }

    /// Frees `ids`, each of which is in use: they will be reused. No state may be left under them.
    pub(crate) fn forget(&mut self, ids: &[SensorId]) {
        for id in ids {
            let hash = self.hasher.hash_one(self.names.get(id.index()));
            if self.index.remove(hash, id.0) {
                self.names.set(id.index(), "");
                self.free.push(id.0);
            }
        }
        self.reused_before += self.reused.len() as u64;
        self.reused.clear();
        self.changes += 1;
    }

    /// An immutable copy: it stays the same while new sensors are added and ids reused. The names are shared, so it is cheap; it accepts no
    /// new sensors, and [`find`](Self::find) is a linear search.
    pub fn snapshot(&self) -> Self {
        Self {
            names: self.names.clone(),
            index: NameIndex::default(),
            hasher: self.hasher.clone(),
            limits: self.limits,
            is_closed: true,
            free: self.free.clone(),
            reused: self.reused.clone(),
            reused_before: self.reused_before,
            changes: self.changes,
            is_snapshot: true,
        }
    }

    /// The number of changes: snapshots with the same number are equal.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How many times an id has been reused.
    pub(super) fn reused(&self) -> u64 {
        self.reused_before + self.reused.len() as u64
    }

    /// The ids reused since the first `before` times; `None` if that is too long ago.
    pub(super) fn reused_since(&self, before: u64) -> Option<&[u32]> {
        self.reused.get(usize::try_from(before.checked_sub(self.reused_before)?).ok()?..)
    }

    /// The free ids.
    pub fn free(&self) -> &[u32] {
        &self.free
    }

    /// The id of `name` if it has been seen.
    pub fn find(&self, name: &str) -> Option<SensorId> {
        if self.is_snapshot {
            let mut ids = (0..self.names.len() as u32).filter(|id| !self.free.contains(id));
            return ids.find(|&id| self.names.get(id as usize) == name).map(SensorId);
        }
        let hash = self.hasher.hash_one(name);
        self.index.find(hash, |id| self.names.get(id as usize) == name).map(SensorId)
    }

    /// The name of an id of this table.
    pub fn name(&self, id: SensorId) -> &str {
        self.names.get(id.index())
    }

    /// The number of ids: one more than the highest.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no sensors.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All names, in order of first occurrence.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let free: std::collections::HashSet<u32> = self.free.iter().copied().collect();
        let names = self.names.iter().enumerate();
        names.filter(move |(id, _)| free.is_empty() || !free.contains(&(*id as u32))).map(|(_, name)| name)
    }

    /// The names by id, for checkpoints; those of free ids are meaningless.
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
    fn ids_of_forgotten_sensors_are_given_to_others() {
        let mut sensors = Sensors::default();
        for name in ["a", "", "c"] {
            sensors.id(name).expect("room");
        }
        let mut known = OfSensors::default();
        assert_eq!(known.of(&sensors, str::to_owned), ["a", "", "c"]);
        sensors.forget(&[SensorId(2), SensorId(0)]);
        assert_eq!((sensors.find("a"), sensors.find(""), sensors.len()), (None, Some(SensorId(1)), 3));
        assert_eq!(sensors.names().collect::<Vec<_>>(), [""]);
        // As in a checkpoint.
        let mut restored = Sensors::default();
        restored.restore(sensors.all_names());
        restored.forget(&sensors.free().iter().map(|&id| SensorId(id)).collect::<Vec<_>>());
        for sensors in [&mut sensors, &mut restored] {
            let ids: Vec<_> =
                ["d", "", "a", "e"].iter().map(|name| sensors.id(name).expect("room").0).collect();
            let mut sorted = ids.clone();
            sorted.sort_unstable();
            assert_eq!((ids[1], ids[3], sorted), (1, 3, vec![0, 1, 2, 3]));
        }
        let names: Vec<_> = (0..4).map(|id| sensors.name(SensorId(id)).to_owned()).collect();
        assert_eq!(known.of(&sensors, str::to_owned), names);
        // A cache that was not used for a while sees it too.
        let other = sensors.find("d").expect("known");
        sensors.forget(&[other]);
        sensors.id("f").expect("room");
        sensors.forget(&[]);
        assert_eq!(known.of(&sensors, str::to_owned)[other.index()], "f");
    }

    #[test]
    fn a_snapshot_stays_as_it_was_made() {
        let mut sensors = Sensors::default();
        for name in ["a", "b"] {
            sensors.id(name).expect("room");
        }
        let (before, changes) = (sensors.snapshot(), sensors.changes());
        assert_eq!(before.changes(), changes);
        sensors.forget(&[SensorId(0)]);
        let between = sensors.snapshot();
        sensors.id("c").expect("room");
        assert!(sensors.changes() > changes, "something has changed");
        assert_eq!((before.name(SensorId(0)), sensors.name(SensorId(0))), ("a", "c"));
        assert_eq!((before.find("a"), before.find("c")), (Some(SensorId(0)), None));
        assert_eq!((between.find("a"), between.find("b")), (None, Some(SensorId(1))));
        assert_eq!(between.names().collect::<Vec<_>>(), ["b"]);
        let mut known = OfSensors::default();
        assert_eq!(known.of(&before, str::to_owned), ["a", "b"]);
        assert_eq!(known.of(&sensors.snapshot(), str::to_owned), ["c", "b"]);
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
