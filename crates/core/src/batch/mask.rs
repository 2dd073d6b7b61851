//! One bit per record: validity, flags, the records kept by a filter.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Buffer;

/// A list of bits, 64 per word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(usize, Vec<u64>)", into = "(usize, Vec<u64>)")]
pub struct Mask {
    /// Bits behind the last are 0.
    words: Buffer<u64>,
    len: usize,
}

impl From<Mask> for (usize, Vec<u64>) {
    fn from(mask: Mask) -> Self {
        (mask.len, mask.words.into_vec())
    }
}

impl TryFrom<(usize, Vec<u64>)> for Mask {
    type Error = &'static str;

    fn try_from((len, words): (usize, Vec<u64>)) -> Result<Self, Self::Error> {
        if words.len() != len.div_ceil(64) {
            return Err("the number of words of a mask does not match its bits");
        }
        let mut mask = Self { words: words.into(), len };
        mask.clear_tail();
        Ok(mask)
    }
}

impl Mask {
    /// `len` bits, all set to `bit`.
    pub fn filled(len: usize, bit: bool) -> Self {
        let words = vec![if bit { u64::MAX } else { 0 }; len.div_ceil(64)];
        let mut mask = Self { words: words.into(), len };
        mask.clear_tail();
        mask
    }

    /// The bits `bit(0)` to `bit(len - 1)`.
    #[inline]
    pub fn from_fn(len: usize, mut bit: impl FnMut(usize) -> bool) -> Self {
        let word = |at: usize| {
            let bits = 64 * at..len.min(64 * at + 64);
            bits.fold(0, |word, index| word | u64::from(bit(index)) << (index % 64))
        };
        Self { words: (0..len.div_ceil(64)).map(word).collect(), len }
    }

    /// One bit per value, computed by `bit`.
    #[inline]
    pub fn of<T: Copy>(values: &[T], mut bit: impl FnMut(T) -> bool) -> Self {
        let mut word = |values: &[T]| {
            let bits = values.iter().enumerate();
            bits.fold(0, |word, (at, &value)| word | u64::from(bit(value)) << at)
        };
        Self { words: values.chunks(64).map(&mut word).collect(), len: values.len() }
    }

    /// `len` bits, 64 per word, the first one lowest.
    ///
    /// # Panics
    /// If the number of words does not match `len`.
    pub fn from_words(words: impl Into<Buffer<u64>>, len: usize) -> Self {
        let mut words = words.into();
        if words.len() > len.div_ceil(64) {
            words.to_mut().truncate(len.div_ceil(64));
        }
        assert_eq!(words.len(), len.div_ceil(64), "as many words as {len} bits fill");
        let mut mask = Self { words, len };
        mask.clear_tail();
        mask
    }

    /// The bits, 64 per word, the first one lowest; bits after the last are 0.
    pub fn words(&self) -> &Buffer<u64> {
        &self.words
    }

    /// The number of bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bit at `index`.
    pub fn get(&self, index: usize) -> bool {
        assert!(index < self.len, "bit {index} of {}", self.len);
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// Sets the bit at `index`.
    pub fn set(&mut self, index: usize, bit: bool) {
        assert!(index < self.len, "bit {index} of {}", self.len);
        let word = &mut self.words.to_mut()[index / 64];
        *word = *word & !(1 << (index % 64)) | u64::from(bit) << (index % 64);
    }

    /// Appends a bit.
    pub fn push(&mut self, bit: bool) {
        let words = self.words.to_mut();
        if self.len.is_multiple_of(64) {
            words.push(0);
        }
        words[self.len / 64] |= u64::from(bit) << (self.len % 64);
        self.len += 1;
    }

    /// Truncates it to `len` bits, if it is longer.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.words.to_mut().truncate(len.div_ceil(64));
            self.clear_tail();
        }
    }

    /// Appends `count` bits, all of them `bit`.
    pub fn extend_filled(&mut self, count: usize, bit: bool) {
        let used = self.len % 64;
        let words = self.words.to_mut();
        if let (Some(last), 1.., true) = (words.last_mut(), used, bit) {
            *last |= u64::MAX << used;
        }
        self.len += count;
        words.resize(self.len.div_ceil(64), if bit { u64::MAX } else { 0 });
        self.clear_tail();
    }

    /// Removes the bits from `at` on, and returns them.
    pub fn split_off(&mut self, at: usize) -> Self {
        let rest = (at..self.len).map(|index| self.get(index)).collect();
        self.truncate(at);
        rest
    }

    /// The number of set bits.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether all bits are set.
    pub fn is_all_set(&self) -> bool {
        self.count() == self.len
    }

    /// Whether all bits in `range` are set.
    pub fn is_all_set_in(&self, range: Range<usize>) -> bool {
        assert!(range.end <= self.len, "bits {range:?} of {}", self.len);
        let (first, last) = (range.start / 64, range.end.div_ceil(64));
        range.is_empty()
            || self.words[first..last].iter().zip(first..).all(|(word, at)| {
                let before = range.start.saturating_sub(64 * at);
                let behind = (64 * at + 64).saturating_sub(range.end);
                word | !(u64::MAX << before) | !(u64::MAX >> behind) == u64::MAX
            })
    }

    /// Clears every bit that is clear in `other`, which has the same length.
    pub fn and(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "masks of one length");
        // Nothing is copied where nothing changes.
        if self.words.iter().zip(&other.words).any(|(word, other)| word & !other != 0) {
            self.words.to_mut().iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
        }
    }

    /// Sets every bit that is clear in `other`, which has the same length.
    pub fn or_not(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "masks of one length");
        self.words.to_mut().iter_mut().zip(&other.words).for_each(|(word, other)| *word |= !other);
        self.clear_tail();
    }

    /// The runs of set bits, ascending, split at multiples of 64.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.words.iter().enumerate().flat_map(|(base, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let start = rest.trailing_zeros();
                let ones = rest.checked_shr(start)?.trailing_ones();
                rest &= u64::MAX.checked_shl(start + ones).unwrap_or(0);
                let start = base * 64 + start as usize;
                Some(start..start + ones as usize)
            })
        })
    }

    /// All bits in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        let words = &*self.words;
        (0..self.len).map(move |index| words[index / 64] >> (index % 64) & 1 == 1)
    }

    /// The indices of the set bits, ascending.
    pub fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(base, &word)| {
            std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|&rest| rest != 0)
                .map(move |rest| base * 64 + rest.trailing_zeros() as usize)
        })
    }

    pub(super) fn share(&mut self) {
        self.words.share();
    }

    /// Changes nothing, and so copies nothing, where the bits behind the last are 0.
    fn clear_tail(&mut self) {
        let used = self.len % 64;
        if used > 0 && self.words.last().is_some_and(|last| last >> used != 0) {
            self.words.to_mut().last_mut().into_iter().for_each(|last| *last &= (1 << used) - 1);
        }
    }
}

impl FromIterator<bool> for Mask {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut mask = Self::default();
        mask.extend(bits);
        mask
    }
}

impl Extend<bool> for Mask {
    fn extend<I: IntoIterator<Item = bool>>(&mut self, bits: I) {
        bits.into_iter().for_each(|bit| self.push(bit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_mask_is_a_list_of_bools(bits in proptest::collection::vec(any::<bool>(), 0..200)) {
            let mask: Mask = bits.iter().copied().collect();
            prop_assert_eq!(mask.iter().collect::<Vec<_>>(), bits.clone());
            prop_assert_eq!(mask.count(), bits.iter().filter(|&&bit| bit).count());
            let ones: Vec<_> = (0..bits.len()).filter(|&i| bits[i]).collect();
            prop_assert_eq!(mask.ones().collect::<Vec<_>>(), ones);
            prop_assert_eq!(&Mask::from_fn(bits.len(), |at| bits[at]), &mask);
            prop_assert_eq!(mask.runs().flatten().collect::<Vec<_>>(), mask.ones().collect::<Vec<_>>());
            for (start, end) in [(0, bits.len()), (bits.len() / 3, bits.len() / 2), (bits.len() / 2, bits.len()), (1.min(bits.len()), bits.len())] {
                prop_assert_eq!(mask.is_all_set_in(start..end), bits[start..end].iter().all(|&bit| bit));
                prop_assert!(Mask::filled(bits.len(), true).is_all_set_in(start..end));
            }
            let mut all = mask.clone();
            all.or_not(&mask);
            prop_assert!(all.is_all_set());
            let mut filled = Mask::filled(bits.len(), true);
            prop_assert!(filled.is_all_set());
            filled.and(&mask);
            prop_assert_eq!(&filled, &mask);
            filled.truncate(bits.len() / 2);
            prop_assert_eq!(&filled, &bits[..bits.len() / 2].iter().copied().collect::<Mask>());
            let rest = filled.split_off(bits.len() / 3);
            prop_assert_eq!(rest, bits[bits.len() / 3..bits.len() / 2].iter().copied().collect::<Mask>());
            for bit in [true, false, true] {
                filled.extend_filled(bits.len(), bit);
            }
            let mut expected = bits[..bits.len() / 3].to_vec();
            [true, false, true].iter().for_each(|&bit| expected.extend(vec![bit; bits.len()]));
            prop_assert_eq!(filled.iter().collect::<Vec<_>>(), expected);
        }
    }
}
