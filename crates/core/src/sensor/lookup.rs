//! Lookup of sensor ids by name: the protocol, and each worker's cache of the shared table.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{SensorId, SensorLimits, SensorNames, Sensors};
use crate::error::Result;
use crate::kernel::prefetch::prefetch;

/// Assigns ids to sensor names. Each worker has its own instance, so calls are not concurrent.
pub trait SensorLookup {
    /// The id of `name`; a new name gets a new id.
    ///
    /// # Errors
    /// A data error if `name` exceeds the limits on sensors.
    fn id(&mut self, name: &str) -> Result<SensorId>;

    /// Appends the id of each name in `names`, given as start and length in `text`, to `ids`; [`SensorId::UNKNOWN`] if it is not cached and
    /// [`SensorLookup::id`] has to be called.
    fn known_ids(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut Vec<SensorId>);
}

/// The table itself, with exclusive access.
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

/// A table of sensors shared by several workers. Ids are assigned in the order of lookups, so with several workers they differ from run to
/// run: no output may depend on them.
#[derive(Debug, Default)]
pub struct SharedSensors {
    table: RwLock<Sensors>,
    /// Whether ids must not be reused, because buffered records carry some.
    keeps_ids: AtomicBool,
}

impl SharedSensors {
    /// An empty table with these limits.
    pub fn new(limits: SensorLimits) -> Self {
        Self { table: RwLock::new(Sensors::new(limits)), keeps_ids: AtomicBool::new(false) }
    }

    /// An empty table for at most `limit` sensors.
    pub fn with_limit(limit: usize) -> Self {
        Self::new(SensorLimits { sensors: limit, ..SensorLimits::default() })
    }

    /// Read access to the table. New sensors wait until the guard is dropped.
    pub fn read(&self) -> RwLockReadGuard<'_, Sensors> {
        // The table is consistent after every call, also after a panic in another thread.
        self.table.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, name: &str) -> Result<SensorId> {
        self.table.write().unwrap_or_else(std::sync::PoisonError::into_inner).id(name)
    }

    /// Restores the names of a checkpoint; see `Sensors::restore`.
    pub fn restore(&self, names: &SensorNames) {
        self.table.write().unwrap_or_else(std::sync::PoisonError::into_inner).restore(names);
    }

    /// Frees `ids`, see `Sensors::forget`, unless ids must not be reused; returns whether it did. Then every [`SensorIds`] that may have
    /// cached them must be replaced.
    pub fn forget(&self, ids: &[SensorId]) -> bool {
        let mut table = self.table.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The flag is set before a name is looked up in advance, which locks the table too: either it is visible here, or that lookup does
        // not find these ids.
        let is_free = !self.keeps_ids.load(Ordering::Relaxed);
        if is_free {
            table.forget(ids);
        }
        is_free
    }

    /// Stops accepting new sensors.
    pub fn close(&self) {
        self.table.write().unwrap_or_else(std::sync::PoisonError::into_inner).close();
    }

    /// The id of `name`, if it is known or cannot be added.
    fn find(&self, name: &str) -> Option<SensorId> {
        let sensors = self.read();
        sensors.find(name).or_else(|| sensors.is_closed().then_some(SensorId::SURPLUS))
    }
}

/// A worker's cache of the shared table: locks the table only for names that are not cached.
#[derive(Debug)]
pub struct SensorIds {
    shared: Arc<SharedSensors>,
    /// Whether records with its ids may be buffered while other ids are freed.
    is_ahead: bool,
    short: ShortNames,
    long: LongNames,
}

impl SensorIds {
    /// An empty cache of `shared`.
    pub fn new(shared: Arc<SharedSensors>) -> Self {
        Self { shared, is_ahead: false, short: ShortNames::new(), long: LongNames::default() }
    }

    /// The same for records that are buffered before they are processed: once one of them has an id, no id is reused.
    pub fn ahead(shared: Arc<SharedSensors>) -> Self {
        Self { is_ahead: true, ..Self::new(shared) }
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
        if self.is_ahead {
            self.shared.keeps_ids.store(true, Ordering::Relaxed);
        }
        let id = self.shared.find(name).map_or_else(|| self.shared.insert(name), Ok)?;
        match key {
            _ if id == SensorId::SURPLUS => {}
            Some(key) => self.short.insert(key, id),
            None => self.long.insert(name.as_bytes(), id),
        }
        Ok(id)
    }

    fn known_ids(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut Vec<SensorId>) {
        let first = ids.len();
        ids.resize(first + names.len(), SensorId::UNKNOWN);
        for (names, ids) in names.chunks(AHEAD).zip(ids[first..].chunks_mut(AHEAD)) {
            let following = self.short.follow(text, names, ids);
            self.search(text, &names[following..], &mut ids[following..]);
        }
    }
}

impl SensorIds {
    /// Writes the cached ids of `names`.
    fn search(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut [SensorId]) {
        if names.len() > 1 && self.short.is_far() {
            self.prefetch(text, names);
        }
        let Self { short, long, .. } = self;
        let (finder, mut last) = (short.finder(), None);
        for (id, &(start, len)) in ids.iter_mut().zip(names) {
            let (start, len) = (start as usize, len as usize);
            let Some(key) = short_key(text, start, len) else {
                *id = long.get(&text[start..start + len]);
                continue;
            };
            let place = finder.find(key);
            *id = place.map_or(SensorId::UNKNOWN, |place| short.ids[place]);
            last = place.or(last);
        }
        if let Some(last) = last {
            short.next = last + 1;
        }
    }

    /// Prefetches the memory for looking up `names`: first all slots, then all keys.
    fn prefetch(&self, text: &[u8], names: &[(u32, u32)]) {
        let keys = || names.iter().filter_map(|&(start, len)| short_key(text, start as usize, len as usize));
        keys().for_each(|key| self.short.slots.prefetch(key));
        keys().for_each(|key| self.short.prefetch(key));
    }
}

/// The number of names from which they exceed the processor's near caches.
const FAR: usize = 1 << 12;

/// The number of names looked up together: either they are in the previous order, or their memory is prefetched at once.
const AHEAD: usize = 32;

/// Names of up to this many bytes are compared as one integer.
const SHORT: usize = 15;

/// The maximum number of cached names of either kind.
const REMEMBERED: usize = 1 << 17;

/// The maximum total length of cached long names, in bytes.
const LONG_BYTES: usize = 8 << 20;

/// The bits of a slot with the index of the key: enough for [`REMEMBERED`], counted from 1.
const PLACE: u32 = (1 << 18) - 1;

/// The key of the empty name, which is never cached.
const EMPTY: u128 = 0;

/// A short name as an integer: its bytes, then zeros, its length in the highest byte. 0 only for the empty name.
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
    Some(bytes & FIRST[len] | (len as u128) << 120)
}

/// Masks of the first bytes, by their number: a look-up is faster than shifts of 128 bits.
static FIRST: [u128; SHORT + 1] = {
    let (mut masks, mut len) = ([0; SHORT + 1], 0);
    while len <= SHORT {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

/// Short names, in order of first occurrence. Sensors tend to report in turn, so the next name is usually the same as in the last round: it
/// is compared first, and a search is only needed if it differs. With many sensors, this makes memory access sequential instead of random.
#[derive(Debug)]
struct ShortNames {
    keys: Vec<u128>,
    ids: Vec<SensorId>,
    /// The index of the name after the last one found.
    next: usize,
    slots: Slots,
}

impl ShortNames {
    fn new() -> Self {
        Self { keys: Vec::new(), ids: Vec::new(), next: 0, slots: Slots::new() }
    }

    /// Whether prefetching pays off for a lookup.
    fn is_far(&self) -> bool {
        self.keys.len() >= FAR
    }

    /// Writes the ids of `names` as long as they are in the previous order; returns how many were.
    fn follow(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut [SensorId]) -> usize {
        let known = self.keys[self.next..].iter().zip(&self.ids[self.next..]);
        let mut count = 0;
        for ((&(start, len), id), (&key, &known)) in names.iter().zip(ids).zip(known) {
            if short_key(text, start as usize, len as usize) != Some(key) {
                break;
            }
            *id = known;
            count += 1;
        }
        self.next += count;
        count
    }

    /// The id of `key`.
    fn get(&mut self, key: u128) -> SensorId {
        match self.finder().find(key) {
            None => SensorId::UNKNOWN,
            Some(place) => {
                self.next = place + 1;
                self.ids[place]
            }
        }
    }

    fn finder(&self) -> Finder<'_> {
        Finder { slots: &self.slots, keys: &self.keys }
    }

    fn insert(&mut self, key: u128, id: SensorId) {
        if key == EMPTY || self.keys.len() >= REMEMBERED {
            return;
        }
        self.keys.push(key);
        self.ids.push(id);
        self.next = self.keys.len();
        self.slots.insert(&self.keys);
    }

    /// Prefetches the likely position of `key`.
    fn prefetch(&self, key: u128) {
        if let Some(place) = self.slots.likely(key) {
            prefetch(&self.keys[place..=place]);
            prefetch(&self.ids[place..=place]);
        }
    }
}

/// The positions of keys in a list: open addressing, at most half full; at most a quarter while that fits the near caches, so that nearly every key is in
/// its first slot. A slot is 0, or the index of a key, counted from 1, with some bits
/// of the key's hash above it, so that other keys are rarely compared.
#[derive(Debug)]
struct Slots {
    slots: Vec<u32>,
    /// Random, so that nobody can choose names that collide.
    seed: [u64; 2],
}

impl Slots {
    fn new() -> Self {
        let random = RandomState::default();
        Self { slots: vec![0; 64], seed: [random.hash_one(1), random.hash_one(2)] }
    }

    #[inline]
    fn hash(&self, key: u128) -> u64 {
        let [low, high] = [key as u64 ^ self.seed[0], (key >> 64) as u64 ^ self.seed[1]];
        let product = u128::from(low) * u128::from(high);
        product as u64 ^ (product >> 64) as u64
    }

    /// The first slot to probe, and the hash bits of a slot.
    #[inline]
    fn begin(&self, key: u128) -> (usize, u32) {
        let hash = self.hash(key);
        (hash as usize & (self.slots.len() - 1), (hash >> 32) as u32 & !PLACE)
    }

    /// Inserts the last of `keys`.
    fn insert(&mut self, keys: &[u128]) {
        let sparse = if keys.len() <= FAR { 4 } else { 2 };
        if sparse * keys.len() <= self.slots.len() {
            return self.put(keys.len(), keys);
        }
        self.slots = vec![0; self.slots.len() * 2];
        (1..=keys.len()).for_each(|count| self.put(count, keys));
    }

    /// Inserts the key number `count`, counted from 1, into a free slot.
    fn put(&mut self, count: usize, keys: &[u128]) {
        let (mut at, mark) = self.begin(keys[count - 1]);
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = mark | count as u32;
    }

    /// The likely index of `key`.
    fn likely(&self, key: u128) -> Option<usize> {
        let (at, mark) = self.begin(key);
        let slot = self.slots[at];
        (slot != 0 && slot & !PLACE == mark).then(|| (slot & PLACE) as usize - 1)
    }

    /// Prefetches the first slot of `key`.
    fn prefetch(&self, key: u128) {
        let (at, _) = self.begin(key);
        prefetch(&self.slots[at..=at]);
    }
}

/// Finds keys.
#[derive(Clone, Copy)]
struct Finder<'n> {
    slots: &'n Slots,
    keys: &'n [u128],
}

impl Finder<'_> {
    /// The index of `key`.
    #[inline(always)]
    fn find(self, key: u128) -> Option<usize> {
        let (at, mark) = self.slots.begin(key);
        let place = (self.slots.slots[at] & PLACE) as usize;
        // Mostly it is in its first slot: the only branch of a look-up.
        match self.keys.get(place.wrapping_sub(1)) {
            Some(&found) if found == key => Some(place - 1),
            _ => self.probe(key, at, mark),
        }
    }

    #[cold]
    #[inline(never)]
    fn probe(self, key: u128, mut at: usize, mark: u32) -> Option<usize> {
        let Slots { slots, .. } = self.slots;
        loop {
            let slot = slots[at];
            if slot == 0 {
                return None;
            }
            let place = (slot & PLACE) as usize - 1;
            if slot & !PLACE == mark && self.keys[place] == key {
                return Some(place);
            }
            at = (at + 1) & (slots.len() - 1);
        }
    }
}

/// Longer names, in order of first occurrence, copied into one buffer. As with short ones, the next name is compared first.
#[derive(Debug, Default)]
struct LongNames {
    bytes: Vec<u8>,
    /// Start, length, id.
    entries: Vec<(u32, u32, SensorId)>,
    /// The index of the name after the last one found.
    next: usize,
    /// Indices of entries.
    table: HashTable<u32>,
    hasher: RandomState,
}

impl LongNames {
    fn get(&mut self, name: &[u8]) -> SensorId {
        let is_next = self.entries.get(self.next).is_some_and(|entry| bytes_of(&self.bytes, entry) == name);
        if !is_next {
            let hash = self.hasher.hash_one(name);
            let is_it = |&at: &u32| bytes_of(&self.bytes, &self.entries[at as usize]) == name;
            let Some(&at) = self.table.find(hash, is_it) else { return SensorId::UNKNOWN };
            self.next = at as usize;
        }
        self.next += 1;
        self.entries[self.next - 1].2
    }

    fn insert(&mut self, name: &[u8], id: SensorId) {
        let Self { bytes, entries, next, table, hasher } = self;
        if entries.len() >= REMEMBERED || bytes.len() + name.len() > LONG_BYTES {
            return;
        }
        entries.push((bytes.len() as u32, name.len() as u32, id));
        bytes.extend_from_slice(name);
        *next = entries.len();
        let hash_of = |&at: &u32| hasher.hash_one(bytes_of(bytes, &entries[at as usize]));
        table.insert_unique(hasher.hash_one(name), *next as u32 - 1, hash_of);
    }
}

fn bytes_of<'a>(bytes: &'a [u8], &(start, len, _): &(u32, u32, SensorId)) -> &'a [u8] {
    &bytes[start as usize..][..len as usize]
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
