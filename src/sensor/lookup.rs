//! From names to ids: the protocol, and a worker's way to a table that it shares with others.

use std::hash::BuildHasher;
use std::sync::{Arc, RwLock, RwLockReadGuard};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{SensorId, Sensors};
use crate::error::Result;
use crate::kernel::prefetch::prefetch;

/// Gives ids to sensors' names.
pub trait SensorLookup {
    /// The id of `name`, new or known.
    ///
    /// # Errors
    /// A data error when `name` would be one sensor too many.
    fn id(&mut self, name: &str) -> Result<SensorId>;

    /// Appends the id of each name in `names`, given as start and length in `text`, to `ids`;
    /// [`SensorId::UNKNOWN`] where it is not at hand and [`SensorLookup::id`] has to be asked.
    fn known_ids(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut Vec<SensorId>);
}

/// The table itself, for whoever has it alone.
impl SensorLookup for Sensors {
    fn id(&mut self, name: &str) -> Result<SensorId> {
        Self::id(self, name)
    }

    fn known_ids(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut Vec<SensorId>) {
        let known = |&(start, len): &(u32, u32)| {
            let name = std::str::from_utf8(&text[start as usize..][..len as usize]).ok()?;
            self.find(name)
        };
        ids.extend(names.iter().map(|name| known(name).unwrap_or(SensorId::UNKNOWN)));
    }
}

/// A table of sensors that several workers share. Ids are given as names come, so with several workers their order
/// differs from run to run: nothing that leaves a run may depend on it.
#[derive(Debug, Default)]
pub struct SharedSensors(RwLock<Sensors>);

impl SharedSensors {
    /// An empty table that refuses more than `limit` sensors.
    pub fn with_limit(limit: usize) -> Self {
        Self(RwLock::new(Sensors::with_limit(limit)))
    }

    /// The table, as it is. New sensors wait until the guard is gone.
    pub fn read(&self) -> RwLockReadGuard<'_, Sensors> {
        // The table is whole after every call, also after a panic elsewhere.
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn insert(&self, name: &str) -> Result<SensorId> {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner).id(name)
    }
}

/// A worker's way to the shared table: it remembers what it has looked up, and asks with a lock held only for the rest.
#[derive(Debug)]
pub struct SensorIds {
    shared: Arc<SharedSensors>,
    short: ShortNames,
    long: LongNames,
}

impl SensorIds {
    /// A way to `shared` that remembers nothing yet.
    pub fn new(shared: Arc<SharedSensors>) -> Self {
        Self { shared, short: ShortNames::new(), long: LongNames::default() }
    }
}

impl SensorLookup for SensorIds {
    fn id(&mut self, name: &str) -> Result<SensorId> {
        let key = short_key(name.as_bytes(), 0, name.len());
        let known = match key {
            Some(key) => self.short.get(key),
            None => self.long.get(name.as_bytes()),
        };
        if known != SensorId::UNKNOWN {
            return Ok(known);
        }
        let found = self.shared.read().find(name);
        let id = found.map_or_else(|| self.shared.insert(name), Ok)?;
        match key {
            Some(key) => self.short.insert(key, id),
            None => self.long.insert(name.as_bytes(), id),
        }
        Ok(id)
    }

    fn known_ids(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut Vec<SensorId>) {
        if self.short.keys.len() < FAR {
            ids.extend(names.iter().map(|&name| self.known_id(text, name)));
            return;
        }
        // A table in no cache near: all slots of some names are asked for before the first is looked at.
        for names in names.chunks(AHEAD) {
            names.iter().for_each(|&(start, len)| {
                if let Some(key) = short_key(text, start as usize, len as usize) {
                    self.short.prefetch(key);
                }
            });
            ids.extend(names.iter().map(|&name| self.known_id(text, name)));
        }
    }
}

impl SensorIds {
    /// The id of the name at this start and of this length in `text`, if it is remembered.
    #[inline]
    fn known_id(&self, text: &[u8], (start, len): (u32, u32)) -> SensorId {
        let (start, len) = (start as usize, len as usize);
        match short_key(text, start, len) {
            Some(key) => self.short.get(key),
            None => self.long.get(&text[start..start + len]),
        }
    }
}

/// Slots of a table that is in no cache near the processor.
const FAR: usize = 1 << 14;

/// Names whose slots are asked for at once.
const AHEAD: usize = 32;

/// Names up to this many bytes are one number, compared at once.
const SHORT: usize = 15;

/// A worker remembers this many names at most of either kind.
const REMEMBERED: usize = 1 << 17;

/// A short name as a number: its bytes, then zeros, its length in the highest byte. Never 0 unless empty.
#[inline]
fn short_key(text: &[u8], start: usize, len: usize) -> Option<u128> {
    if len > SHORT {
        return None;
    }
    let bytes = match text.get(start..start + 16) {
        Some(bytes) => u128::from_le_bytes(bytes.try_into().ok()?),
        None => {
            let mut bytes = [0; 16];
            bytes[..len].copy_from_slice(&text[start..start + len]);
            u128::from_le_bytes(bytes)
        }
    };
    Some(bytes & ((1 << (8 * len)) - 1) | (len as u128) << 120)
}

/// Short names in a table with open addressing, at most three quarters full: for many sensors it should still fit a cache. Key 0 is a free slot: the empty name is never remembered.
#[derive(Debug)]
struct ShortNames {
    keys: Vec<u128>,
    ids: Vec<SensorId>,
    count: usize,
    /// Random, so that nobody can choose names that collide.
    seed: [u64; 2],
}

impl ShortNames {
    fn new() -> Self {
        let random = RandomState::default();
        let seed = [random.hash_one(1), random.hash_one(2)];
        Self { keys: vec![0; 64], ids: vec![SensorId::UNKNOWN; 64], count: 0, seed }
    }

    #[inline]
    fn slot(&self, key: u128) -> usize {
        let [low, high] = [key as u64 ^ self.seed[0], (key >> 64) as u64 ^ self.seed[1]];
        let product = u128::from(low) * u128::from(high);
        (product as u64 ^ (product >> 64) as u64) as usize & (self.keys.len() - 1)
    }

    #[inline]
    fn get(&self, key: u128) -> SensorId {
        let mut slot = self.slot(key);
        loop {
            match self.keys[slot] {
                0 => return SensorId::UNKNOWN,
                known if known == key => return self.ids[slot],
                _ => slot = (slot + 1) & (self.keys.len() - 1),
            }
        }
    }

    /// Asks for where `key` should be.
    #[inline]
    fn prefetch(&self, key: u128) {
        let slot = self.slot(key);
        prefetch(&self.keys[slot..=slot]);
        prefetch(&self.ids[slot..=slot]);
    }

    fn insert(&mut self, key: u128, id: SensorId) {
        if key == 0 || self.count >= REMEMBERED {
            return;
        }
        if 4 * self.count >= 3 * self.keys.len() {
            self.grow();
        }
        self.place(key, id);
        self.count += 1;
    }

    fn place(&mut self, key: u128, id: SensorId) {
        let mut slot = self.slot(key);
        while self.keys[slot] != 0 {
            slot = (slot + 1) & (self.keys.len() - 1);
        }
        (self.keys[slot], self.ids[slot]) = (key, id);
    }

    fn grow(&mut self) {
        let slots = self.keys.len() * 2;
        let keys = std::mem::replace(&mut self.keys, vec![0; slots]);
        let ids = std::mem::replace(&mut self.ids, vec![SensorId::UNKNOWN; slots]);
        for (key, id) in keys.into_iter().zip(ids).filter(|&(key, _)| key != 0) {
            self.place(key, id);
        }
    }
}

/// Longer names, copied into one buffer.
#[derive(Debug, Default)]
struct LongNames {
    bytes: Vec<u8>,
    /// Start, length, id.
    table: HashTable<(u32, u32, SensorId)>,
    hasher: RandomState,
}

impl LongNames {
    fn get(&self, name: &[u8]) -> SensorId {
        let hash = self.hasher.hash_one(name);
        let found = self.table.find(hash, |entry| bytes_of(&self.bytes, entry) == name);
        found.map_or(SensorId::UNKNOWN, |&(_, _, id)| id)
    }

    fn insert(&mut self, name: &[u8], id: SensorId) {
        let Self { bytes, table, hasher } = self;
        if table.len() >= REMEMBERED || bytes.len() + name.len() > u32::MAX as usize {
            return;
        }
        let entry = (bytes.len() as u32, name.len() as u32, id);
        bytes.extend_from_slice(name);
        let hash = hasher.hash_one(name);
        table.insert_unique(hash, entry, |entry| hasher.hash_one(bytes_of(bytes, entry)));
    }
}

fn bytes_of<'a>(bytes: &'a [u8], &(start, len, _): &(u32, u32, SensorId)) -> &'a [u8] {
    &bytes[start as usize..][..len as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_remembered_is_what_the_table_says(names in proptest::collection::vec("[ab\0é]{0,5}|[a-d]{14,18}", 1..200)) {
            let shared = Arc::new(SharedSensors::with_limit(1000));
            let mut workers = [SensorIds::new(Arc::clone(&shared)), SensorIds::new(Arc::clone(&shared))];
            let text = names.concat();
            let mut start = 0;
            for (at, name) in names.iter().enumerate() {
                let id = workers[at % 2].id(name).expect("room");
                prop_assert!(shared.read().name(id) == name);
                let mut known = Vec::new();
                workers[at % 2].known_ids(text.as_bytes(), &[(start, name.len() as u32)], &mut known);
                prop_assert!(known == [id] || name.is_empty());
                start += name.len() as u32;
            }
        }
    }

    #[test]
    fn a_worker_remembers_many_names_and_looks_up_the_rest() {
        let shared = Arc::new(SharedSensors::with_limit(REMEMBERED + 100));
        let mut ids = SensorIds::new(Arc::clone(&shared));
        for _ in 0..2 {
            for at in 0..REMEMBERED + 50 {
                assert_eq!(ids.id(&format!("s{at}")).expect("room").index(), at);
            }
        }
        assert_eq!(shared.read().len(), REMEMBERED + 50);
    }
}
