//! Sorted keys in blocks: insertion and removal take a few dozen steps, however many keys there are.

use super::prefetch::prefetch;

/// The maximum number of keys in a block; a full one is split. Small, since with many long windows each accessed block is a cache miss.
const FULL: usize = 64;
/// Adjacent blocks with at most this many keys together are merged.
const SPARSE: usize = 24;

/// A sorted multiset of keys that tracks its middle: for an even number, the lower one of the two.
#[derive(Clone, Debug)]
pub(super) struct Sorted {
    /// At least one block; none is empty if there are others.
    blocks: Vec<Vec<u64>>,
    /// The first key of each block except the first.
    bounds: Vec<u64>,
    len: usize,
    /// The block with the middle, and the number of keys before it.
    marked: usize,
    before: usize,
}

impl Default for Sorted {
    fn default() -> Self {
        Self { blocks: vec![Vec::new()], bounds: Vec::new(), len: 0, marked: 0, before: 0 }
    }
}

impl Sorted {
    /// Prefetches the positions of `keys`.
    pub(super) fn prefetch(&self, keys: impl Iterator<Item = u64>) {
        keys.for_each(|key| prefetch(&self.blocks[self.block_of(key)]));
    }

    /// Inserts a key.
    pub(super) fn insert(&mut self, key: u64) {
        let at = self.block_of(key);
        let block = &mut self.blocks[at];
        let place = block.partition_point(|&other| other < key);
        block.insert(place, key);
        let is_full = block.len() >= FULL;
        self.len += 1;
        self.before += usize::from(at < self.marked);
        if is_full {
            self.cut(at);
        }
        self.mark();
    }

    /// Removes a key, which must exist.
    pub(super) fn remove(&mut self, key: u64) {
        let at = self.block_of(key);
        let block = &mut self.blocks[at];
        let place = block.partition_point(|&other| other < key);
        debug_assert_eq!(block.get(place), Some(&key));
        block.remove(place);
        self.len -= 1;
        self.before -= usize::from(at < self.marked);
        if place == 0 {
            self.bound(at);
        }
        if self.blocks.len() > 1 {
            self.merge(at);
        }
        self.mark();
    }

    /// The lower and the upper middle key: the same for an odd number. Must not be empty.
    pub(super) fn middle(&self) -> (u64, u64) {
        let place = (self.len - 1) / 2 - self.before;
        let block = &self.blocks[self.marked];
        let upper = match self.len % 2 {
            1 => block[place],
            _ => block.get(place + 1).copied().unwrap_or_else(|| self.bounds[self.marked]),
        };
        (block[place], upper)
    }

    /// The key of a rank from 0; `None` beyond the last.
    pub(super) fn get(&self, rank: usize) -> Option<u64> {
        let mut before = 0;
        for block in &self.blocks {
            if let Some(&key) = block.get(rank - before) {
                return Some(key);
            }
            before += block.len();
        }
        None
    }

    /// The last block whose first key is not greater.
    fn block_of(&self, key: u64) -> usize {
        self.bounds.partition_point(|&bound| bound <= key)
    }

    /// Updates the bound of block `at`.
    fn bound(&mut self, at: usize) {
        if let (1.., Some(&first)) = (at, self.blocks[at].first()) {
            self.bounds[at - 1] = first;
        }
    }

    /// Splits block `at` into halves.
    #[cold]
    fn cut(&mut self, at: usize) {
        let half = self.blocks[at].split_off(FULL / 2);
        self.bounds.insert(at, half[0]);
        self.blocks.insert(at + 1, half);
        self.marked += usize::from(at < self.marked);
    }

    /// Merges block `at` with a neighbour if they have few keys.
    fn merge(&mut self, at: usize) {
        let left = at.min(self.blocks.len() - 2);
        let (first, second) = (self.blocks[left].len(), self.blocks[left + 1].len());
        if first + second > SPARSE && first > 0 && second > 0 {
            return;
        }
        let keys = self.blocks.remove(left + 1);
        self.blocks[left].extend(keys);
        self.bounds.remove(left);
        self.bound(left);
        if self.marked == left + 1 {
            self.before -= first;
        }
        self.marked -= usize::from(self.marked > left);
    }

    /// Moves the mark to the middle.
    fn mark(&mut self) {
        let middle = self.len.saturating_sub(1) / 2;
        while middle < self.before {
            self.marked -= 1;
            self.before -= self.blocks[self.marked].len();
        }
        while middle >= self.before + self.blocks[self.marked].len() && self.marked + 1 < self.blocks.len() {
            self.before += self.blocks[self.marked].len();
            self.marked += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(sorted: &Sorted, plain: &[u64]) -> Result<(), TestCaseError> {
        let keys: Vec<u64> = sorted.blocks.iter().flatten().copied().collect();
        prop_assert_eq!(&keys[..], plain);
        if !plain.is_empty() {
            let middle = (plain[(plain.len() - 1) / 2], plain[plain.len() / 2]);
            prop_assert_eq!(sorted.middle(), middle);
            prop_assert_eq!(sorted.get(plain.len() - 1), plain.last().copied());
        }
        prop_assert_eq!(sorted.get(plain.len()), None);
        sorted.prefetch(plain.iter().copied());
        prop_assert!(sorted.blocks.len() == 1 || sorted.blocks.iter().all(|block| !block.is_empty()));
        for (bound, block) in sorted.bounds.iter().zip(&sorted.blocks[1..]) {
            prop_assert_eq!(*bound, block[0]);
        }
        // Any two adjacent blocks have enough keys to keep the number of blocks small.
        prop_assert!(
            sorted.blocks.len() <= 3 + 4 * plain.len() / 32,
            "{} blocks for {}",
            sorted.blocks.len(),
            plain.len()
        );
        Ok(())
    }

    proptest! {
        #[test]
        fn keys_stay_in_order(
            steps in proptest::collection::vec((0..9u8, 0..200u64, 1..400usize), 1..40), distinct in 1..1000u64,
        ) {
            let (mut sorted, mut plain) = (Sorted::default(), Vec::new());
            for (kind, seed, count) in steps {
                for at in 0..count as u64 {
                    let key = (seed + at * 7919) % distinct;
                    match kind {
                        // More keys are inserted than removed, as long as there are few; some in order, some at random.
                        0..5 => { sorted.insert(key); plain.insert(plain.partition_point(|&other| other < key), key); }
                        5 if !plain.is_empty() => sorted.remove(plain.remove(0)),
                        6 if !plain.is_empty() => sorted.remove(plain.pop().expect("a key")),
                        7.. if !plain.is_empty() => sorted.remove(plain.remove((seed * 31 + at) as usize % plain.len())),
                        _ => {}
                    }
                }
                check(&sorted, &plain)?;
            }
        }
    }
}
