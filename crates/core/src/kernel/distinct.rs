//! Deduplicates numbers.

/// Numbers deduplicated by their bits, in order of first occurrence.
#[derive(Debug)]
pub struct Distinct {
    numbers: Vec<u64>,
    /// Open addressing, at most a quarter full, so that most searches end at the first slot, as the processor expects: the index of a number plus one, or 0 for a free slot.
    slots: Vec<u32>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { numbers: Vec::new(), slots: vec![0; 1 << 10] }
    }
}

impl Distinct {
    /// The index of the number with these bits; a new one is added.
    #[inline]
    pub fn index(&mut self, bits: u64) -> u32 {
        let mask = self.slots.len() - 1;
        let mut slot = Self::hash(bits) & mask;
        loop {
            match self.slots[slot] {
                0 => break,
                known if self.numbers[known as usize - 1] == bits => return known - 1,
                _ => slot = (slot + 1) & mask,
            }
        }
        self.add(bits, slot)
    }

    /// Adds a number that belongs into `slot`. Not in line: it is rare.
    #[cold]
    #[inline(never)]
    fn add(&mut self, bits: u64, slot: usize) -> u32 {
        self.numbers.push(bits);
        self.slots[slot] = self.numbers.len() as u32;
        if 4 * self.numbers.len() > self.slots.len() {
            self.grow();
        }
        self.numbers.len() as u32 - 1
    }

    /// The bits of the numbers, by index.
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// Sensor readings differ in few bits, at any position: all bits affect the hash.
    #[inline]
    fn hash(bits: u64) -> usize {
        /// 2^64 divided by the golden ratio, made odd (Knuth, "The Art of Computer Programming", 6.4).
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(bits) * u128::from(FACTOR);
        (product as u64 ^ (product >> 64) as u64) as usize >> 7
    }

    fn grow(&mut self) {
        let mask = 2 * self.slots.len() - 1;
        self.slots.clear();
        self.slots.resize(mask + 1, 0);
        for (at, &bits) in self.numbers.iter().enumerate() {
            let mut slot = Self::hash(bits) & mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = at as u32 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_has_one_index(numbers in proptest::collection::vec(
            prop_oneof![0..50_u64, any::<u64>(), (0..5000_i32).prop_map(|at| (f64::from(at) / 1000.0).to_bits())], 0..3000,
        )) {
            let (mut distinct, mut expected) = (Distinct::default(), indexmap::IndexSet::new());
            for &bits in &numbers {
                let (index, _) = expected.insert_full(bits);
                prop_assert_eq!(distinct.index(bits), index as u32);
            }
            prop_assert!(distinct.numbers().iter().eq(expected.iter()));
        }
    }
}
