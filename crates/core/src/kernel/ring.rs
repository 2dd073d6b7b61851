//! The ring buffer of every window.

use serde::{Deserialize, Serialize};

use super::prefetch::prefetch;

/// A ring of at most this many values is allocated in full at once: growing it would fragment the heap.
const SHORT: usize = 32;

/// A queue in contiguous memory: pushes at the back, pops at the front.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    from = "Vec<T>",
    into = "Vec<T>",
    bound = "T: Copy + Default + Serialize + serde::de::DeserializeOwned"
)]
pub struct Ring<T: Copy + Default> {
    /// The allocated memory; slots in use begin at `front` and wrap around.
    slots: Box<[T]>,
    front: u32,
    len: u32,
}

impl<T: Copy + Default> Default for Ring<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy + Default> From<Vec<T>> for Ring<T> {
    fn from(slots: Vec<T>) -> Self {
        Self { front: 0, len: slots.len() as u32, slots: slots.into() }
    }
}

impl<T: Copy + Default> From<Ring<T>> for Vec<T> {
    fn from(ring: Ring<T>) -> Self {
        ring.iter().collect()
    }
}

impl<T: Copy + Default> Ring<T> {
    /// An empty ring; does not allocate.
    pub fn new() -> Self {
        Self { slots: Box::default(), front: 0, len: 0 }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value at index `at` from the oldest.
    pub fn get(&self, at: usize) -> Option<T> {
        (at < self.len()).then(|| self.slots[self.place(at)])
    }

    /// The oldest value.
    pub fn front(&self) -> Option<T> {
        self.get(0)
    }

    /// The newest value.
    pub fn back(&self) -> Option<T> {
        self.get(self.len().wrapping_sub(1))
    }

    /// Appends a value, and removes and returns the oldest; does nothing and returns `None` if the ring is empty.
    #[inline]
    pub fn exchange(&mut self, value: T) -> Option<T> {
        let oldest = self.front()?;
        let back = self.place(self.len());
        self.slots[back] = value;
        self.front = self.place(1) as u32;
        Some(oldest)
    }

    /// Appends a value. `most` is the expected maximum number of values: no more memory than that is allocated.
    pub fn push(&mut self, value: T, most: usize) {
        if self.len() == self.slots.len() {
            self.grow(self.len() + 1, most);
        }
        let place = self.place(self.len());
        self.slots[place] = value;
        self.len += 1;
    }

    /// Removes the oldest value.
    pub fn pop(&mut self) -> Option<T> {
        let oldest = self.front()?;
        self.front = self.place(1) as u32;
        self.len -= 1;
        Some(oldest)
    }

    /// Appends values, as [`Ring::push`] does.
    pub fn extend(&mut self, values: &[T], most: usize) {
        if self.slots.len() - self.len() < values.len() {
            self.grow(self.len() + values.len(), most);
        }
        self.write(values);
        self.len += values.len() as u32;
    }

    /// Appends values and removes the same number of oldest ones.
    pub fn slide(&mut self, values: &[T]) {
        // If there are more values than slots, only the last ones remain.
        let lasting = &values[values.len().saturating_sub(self.len())..];
        self.write(lasting);
        self.front = self.place(lasting.len()) as u32;
    }

    /// The effect of [`Ring::slide`]: parts of `values`, each with the values that it replaces (which may be followed by more).
    pub fn exchanges<'a>(&'a self, values: &'a [T]) -> [(&'a [T], &'a [T]); 3] {
        let (first, second) = self.as_slices();
        let (for_first, rest) = values.split_at(values.len().min(first.len()));
        let (for_second, rest) = rest.split_at(rest.len().min(second.len()));
        // Once all original values have left, the new ones are the oldest.
        [(for_first, first), (for_second, second), (rest, values)]
    }

    /// Prefetches the slots that change when `count` values are pushed and as many popped.
    pub fn prefetch(&self, count: usize) {
        let back = self.place(self.len());
        if back != self.front as usize {
            self.prefetch_from(self.front as usize, count);
        }
        self.prefetch_from(back, count);
    }

    /// Prefetches `count` slots from `place` on.
    fn prefetch_from(&self, place: usize, count: usize) {
        let (before, behind) = self.slots.split_at(place);
        prefetch(&behind[..count.min(behind.len())]);
        if count > behind.len() {
            prefetch(&before[..(count - behind.len()).min(before.len())]);
        }
    }

    /// All values, the oldest first, in two slices.
    pub fn as_slices(&self) -> (&[T], &[T]) {
        let (first, second) = self.pieces();
        (&self.slots[self.front as usize..][..first], &self.slots[..second])
    }

    /// The same, mutable.
    pub fn as_mut_slices(&mut self) -> (&mut [T], &mut [T]) {
        let (first, second) = self.pieces();
        let (low, high) = self.slots.split_at_mut(self.front as usize);
        (&mut high[..first], &mut low[..second])
    }

    /// All values, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = T> + Clone + '_ {
        let (first, second) = self.as_slices();
        first.iter().chain(second).copied()
    }

    /// The number of values before and after the wrap.
    fn pieces(&self) -> (usize, usize) {
        let first = self.len().min(self.slots.len() - self.front as usize);
        (first, self.len() - first)
    }

    /// Writes values after the newest, overwriting the oldest if the ring is full.
    fn write(&mut self, values: &[T]) {
        let back = self.place(self.len());
        if let [value] = *values {
            // Cheaper than two copies.
            self.slots[back] = value;
            return;
        }
        let (first, second) = values.split_at(values.len().min(self.slots.len() - back));
        self.slots[back..][..first.len()].copy_from_slice(first);
        self.slots[..second.len()].copy_from_slice(second);
    }

    /// Makes room for `len` values: from 16 on, doubling each time, but never more than for `most`, and all of that if it is small.
    #[cold]
    fn grow(&mut self, len: usize, most: usize) {
        let target = if most <= SHORT { most } else { (self.slots.len() * 2).max(16) };
        let target = target.min(most).max(len);
        let mut slots = Vec::with_capacity(target);
        slots.extend(self.iter());
        slots.resize(target, T::default());
        self.slots = slots.into();
        self.front = 0;
    }

    /// The slot of the value at index `at` from the oldest, at most one lap away.
    fn place(&self, at: usize) -> usize {
        let place = self.front as usize + at;
        if place >= self.slots.len() { place - self.slots.len() } else { place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn a_ring_is_small_and_takes_no_more_than_it_will_ever_need() {
        assert_eq!(size_of::<Ring<f64>>(), 24);
        let mut ring = Ring::new();
        (0..20).for_each(|value| ring.push(value, 20));
        assert_eq!(ring.slots.len(), 20);
        ring.slide(&[20, 21]);
        assert_eq!(ring.iter().collect::<Vec<_>>(), (2..22).collect::<Vec<_>>());
        assert_eq!(ring.slots.len(), 20);
        let mut small = Ring::new();
        small.push(1, 3);
        assert_eq!(small.slots.len(), 3);
    }

    proptest! {
        #[test]
        fn a_ring_is_a_queue(steps in proptest::collection::vec((0..5u8, 0..30usize), 0..300), most in 1..40usize) {
            let (mut ring, mut queue) = (Ring::new(), VecDeque::new());
            for (at, (step, count)) in steps.into_iter().enumerate() {
                let values: Vec<usize> = (at * 100..at * 100 + count).collect();
                match step {
                    0 => prop_assert_eq!(ring.pop(), queue.pop_front()),
                    3 => {
                        queue.push_back(at);
                        let oldest = queue.pop_front().filter(|_| !queue.is_empty());
                        prop_assert_eq!(ring.exchange(at), oldest);
                    }
                    1 => { ring.push(at, most); queue.push_back(at); }
                    2 => { ring.extend(&values, most); queue.extend(values); }
                    _ => {
                        let len = queue.len();
                        let leaving: Vec<usize> = queue.iter().chain(&values).copied().collect();
                        if len > 0 {
                            let pairs = ring.exchanges(&values);
                            let pairs = pairs.iter().flat_map(|(new, old)| new.iter().copied().zip(old.iter().copied()));
                            let expected = values.iter().copied().zip(leaving);
                            prop_assert_eq!(pairs.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                        }
                        ring.slide(&values);
                        queue.extend(values);
                        queue.drain(..queue.len() - len);
                    }
                }
                prop_assert_eq!(ring.iter().collect::<Vec<_>>(), queue.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!((ring.front(), ring.back()), (queue.front().copied(), queue.back().copied()));
                ring.prefetch(count);
                prop_assert_eq!((ring.len(), ring.get(2)), (queue.len(), queue.get(2).copied()));
                let (first, second) = ring.as_mut_slices();
                prop_assert_eq!(first.len() + second.len(), queue.len());
                let copy: Ring<usize> = postcard::from_bytes(&postcard::to_stdvec(&ring).expect("saved")).expect("restored");
                prop_assert_eq!(copy.iter().collect::<Vec<_>>(), ring.iter().collect::<Vec<_>>());
            }
        }
    }
}
