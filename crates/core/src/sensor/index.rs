//! From names to ids, for many names: an index that grows in small steps.

use hashbrown::HashTable;

/// Tables of an index with many names. One that grows computes the hashes of its entries anew, for which it reads their names; all of a million at
/// once would delay every record. The tables grow at different moments, since the hash divides names unevenly.
const TABLES: usize = 256;

/// Names up to which there is one table.
const FEW: usize = 1 << 12;

/// Ids by the hash of their names: one table, or [`TABLES`].
#[derive(Debug)]
pub(super) struct NameIndex(Vec<HashTable<u32>>);

impl Default for NameIndex {
    fn default() -> Self {
        Self(vec![HashTable::new()])
    }
}

impl NameIndex {
    /// The table of names with this hash. Neither its lowest nor its highest bits: a table uses those itself.
    fn table(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.0.len() - 1)
    }

    /// The id with this hash for which `is_it`.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.0[self.table(hash)].find(hash, |&id| is_it(id)).copied()
    }

    /// Adds an id that is not there, whose name has this hash; `hash_of` gives those of others.
    pub(super) fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(u32) -> u64) {
        if self.0.len() == 1 && self.0[0].len() >= FEW {
            self.spread(&hash_of);
        }
        let table = self.table(hash);
        self.0[table].insert_unique(hash, id, |&id| hash_of(id));
    }

    /// Moves the ids of the one table to many.
    fn spread(&mut self, hash_of: impl Fn(u32) -> u64) {
        let few = std::mem::replace(
            &mut self.0,
            (0..TABLES).map(|_| HashTable::with_capacity(2 * FEW / TABLES)).collect(),
        );
        for id in few.into_iter().flatten() {
            let hash = hash_of(id);
            let table = self.table(hash);
            self.0[table].insert_unique(hash, id, |&id| hash_of(id));
        }
    }

    /// Removes an id, whose name has this hash; whether it was there.
    pub(super) fn remove(&mut self, hash: u64, id: u32) -> bool {
        let table = self.table(hash);
        let entry = self.0[table].find_entry(hash, |&known| known == id);
        entry.is_ok_and(|entry| {
            entry.remove();
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use foldhash::fast::RandomState;

    use super::*;

    #[test]
    fn ids_are_found_until_they_are_removed() {
        let hasher = RandomState::default();
        let hash = |id: u32| hasher.hash_one(id);
        let mut index = NameIndex::default();
        let find = |index: &NameIndex, id: u32| index.find(hash(id), |known| known == id);
        for id in 0..10_000 {
            assert_eq!(find(&index, id), None);
            index.insert(hash(id), id, hash);
        }
        for id in (0..10_000).step_by(3) {
            assert!(index.remove(hash(id), id) && !index.remove(hash(id), id));
        }
        assert!((0..10_000).all(|id| find(&index, id) == (id % 3 != 0).then_some(id)));
    }

    #[test]
    fn no_step_of_its_growth_reads_many_names() {
        let hasher = RandomState::default();
        let mut index = NameIndex::default();
        let mut most = 0;
        for id in 0..200_000 {
            let read = std::cell::Cell::new(0);
            index.insert(hasher.hash_one(id), id, |id| {
                read.set(read.get() + 1);
                hasher.hash_one(id)
            });
            most = most.max(read.get());
        }
        assert!(most > 0 && most <= 2 * FEW, "{most}");
    }
}
