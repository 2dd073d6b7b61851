//! Sensor names and the dense ids that stand for them, in order of first appearance. Where sensors are given up, their ids are given to
//! others.

mod limits;
mod lookup;
mod names;
mod rules;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use limits::{Beyond, long_name};
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

/// All sensors seen so far. Names lie in few buffers; the table is seeded at random, since names
/// come from outside.
#[derive(Debug)]
pub struct Sensors {
    names: SensorNames,
    table: HashTable<u32>,
    hasher: RandomState,
    limits: SensorLimits,
    is_closed: bool,
    /// Ids of sensors that were forgotten, to be given to others.
    free: Vec<u32>,
    /// Those that have been given to others since, in that order, behind so many before.
    reused: Vec<u32>,
    reused_before: u64,
    /// How often anything has changed.
    changes: u64,
    /// Whether it is a [snapshot](Self::snapshot), which has no table.
    is_snapshot: bool,
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
            free: Vec::new(),
            reused: Vec::new(),
            reused_before: 0,
            changes: 0,
            is_snapshot: false,
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
        if let Some(id) = self.free.pop() {
            self.names.set(id as usize, name);
            self.reused.push(id);
            return Ok(self.enter(hash, id));
        }
        let id = self.names.len() as u32;
        if id == SensorId::SURPLUS.0 {
            return Err(Error::data("more sensors than can be numbered"));
        }
        self.names.push(name);
        Ok(self.enter(hash, id))
    }

    /// Puts `id`, whose name has that `hash`, into the table.
    fn enter(&mut self, hash: u64, id: u32) -> SensorId {
        let (names, hasher) = (&self.names, &self.hasher);
        self.table.insert_unique(hash, id, |&id| hasher.hash_one(names.get(id as usize)));
        self.changes += 1;
        SensorId(id)
    }

    /// Takes over the names of an empty table's checkpoint under their ids; those that were free there are to be [forgotten](Self::forget)
    /// before anything is looked up.
    pub(crate) fn restore(&mut self, names: &SensorNames) {
        self.names = names.clone();
        for (id, name) in (0..).zip(names.iter()) {
            self.enter(self.hasher.hash_one(name), id);
        }
    }

    /// Forgets the names of `ids`, each of which is known: others will be given them. Nobody may have kept anything under them.
    pub(crate) fn forget(&mut self, ids: &[SensorId]) {
        for id in ids {
            let hash = self.hasher.hash_one(self.names.get(id.index()));
            if let Ok(entry) = self.table.find_entry(hash, |&known| known == id.0) {
                entry.remove();
                self.names.set(id.index(), "");
                self.free.push(id.0);
            }
        }
        self.reused_before += self.reused.len() as u64;
        self.reused.clear();
        self.changes += 1;
    }

    /// The same sensors, as they are now: they stay so for whoever looks at them later, when new ones have come and ids have been given to
    /// others. The names are shared, so it costs little; it takes no new ones, and [`find`](Self::find) goes through all of them.
    pub fn snapshot(&self) -> Self {
        Self {
            names: self.names.clone(),
            table: HashTable::new(),
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

    /// How often they have changed: the snapshot of as many changes is the same.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How often an id has been given to another sensor.
    pub(super) fn reused(&self) -> u64 {
        self.reused_before + self.reused.len() as u64
    }

    /// The ids that have been, behind the first `before` times; `None` where that is too long ago.
    pub(super) fn reused_since(&self, before: u64) -> Option<&[u32]> {
        self.reused.get(usize::try_from(before.checked_sub(self.reused_before)?).ok()?..)
    }

    /// The ids that are nobody's.
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
        self.table.find(hash, |&id| self.names.get(id as usize) == name).map(|&id| SensorId(id))
    }

    /// The name behind an id of this table.
    pub fn name(&self, id: SensorId) -> &str {
        self.names.get(id.index())
    }

    /// How many ids there are: one more than the highest.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether none has been seen.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All names, in order of first appearance.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let free: std::collections::HashSet<u32> = self.free.iter().copied().collect();
        let names = self.names.iter().enumerate();
        names.filter(move |(id, _)| free.is_empty() || !free.contains(&(*id as u32))).map(|(_, name)| name)
    }

    /// The names by id, to be kept; those of ids that are free mean nothing.
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
        // As a checkpoint has them.
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
        // Whoever has not looked for a while knows it too.
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
