//! The ring buffer behind every window.

use serde::{Deserialize, Serialize};

/// A queue in one piece of memory: pushes at the back, pops at the front.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Vec<T>", into = "Vec<T>", bound = "T: Copy + Serialize + serde::de::DeserializeOwned")]
pub struct Ring<T: Copy> {
    /// Slots in use: from `front` on, wrapping at the end. Until the first wrap it only grows.
    slots: Vec<T>,
    front: u32,
    len: u32,
}

impl<T: Copy> Default for Ring<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> From<Vec<T>> for Ring<T> {
    fn from(slots: Vec<T>) -> Self {
        Self { front: 0, len: slots.len() as u32, slots }
    }
}

impl<T: Copy> From<Ring<T>> for Vec<T> {
    fn from(ring: Ring<T>) -> Self {
        ring.iter().collect()
    }
}

impl<T: Copy> Ring<T> {
    /// An empty ring; takes no memory yet.
    pub const fn new() -> Self {
        Self { slots: Vec::new(), front: 0, len: 0 }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The oldest value.
    pub fn front(&self) -> Option<T> {
        (self.len > 0).then(|| self.slots[self.front as usize])
    }

    /// Appends a value to a ring of at most `capacity` values; gives the oldest if it had to leave.
    pub fn push_within(&mut self, value: T, capacity: usize) -> Option<T> {
        if self.len() < capacity || self.len() < self.slots.len() {
            let oldest = if self.len() < capacity { None } else { self.pop_front() };
            self.push(value, capacity);
            return oldest;
        }
        // Full to the brim: the oldest value's slot is the new one's.
        let slot = &mut self.slots[self.front as usize];
        let oldest = std::mem::replace(slot, value);
        self.front = self.wrapped(1);
        Some(oldest)
    }

    /// Appends a value, however many there are.
    pub fn push_back(&mut self, value: T) {
        self.push(value, usize::MAX);
    }

    /// Removes the oldest value.
    pub fn pop_front(&mut self) -> Option<T> {
        let oldest = self.front()?;
        self.front = self.wrapped(1);
        self.len -= 1;
        Some(oldest)
    }

    /// All values, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = T> + Clone + '_ {
        let to_end = self.slots.len() - self.front as usize;
        let (first, second) = (self.len().min(to_end), self.len().saturating_sub(to_end));
        let front = self.front as usize;
        self.slots[front..front + first].iter().chain(&self.slots[..second]).copied()
    }

    fn push(&mut self, value: T, capacity: usize) {
        if self.len() == self.slots.len() {
            self.grow(capacity);
            self.slots.push(value);
        } else {
            let back = self.wrapped(self.len);
            self.slots[back as usize] = value;
        }
        self.len += 1;
    }

    /// Makes room at the end of a full ring: puts it in order, doubles it, but never beyond `capacity`.
    fn grow(&mut self, capacity: usize) {
        self.slots.rotate_left(self.front as usize);
        self.front = 0;
        if self.slots.len() == self.slots.capacity() {
            let target = (self.slots.len() * 2).max(4).min(capacity).max(self.slots.len() + 1);
            self.slots.reserve_exact(target - self.slots.len());
        }
    }

    fn wrapped(&self, steps: u32) -> u32 {
        let place = self.front as usize + steps as usize;
        (if place >= self.slots.len() { place - self.slots.len() } else { place }) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn a_ring_is_small_and_takes_no_more_than_its_capacity() {
        assert!(size_of::<Ring<f64>>() <= 40);
        let mut ring = Ring::new();
        (0..100).for_each(|value| {
            ring.push_within(value, 20);
        });
        assert_eq!(ring.iter().collect::<Vec<_>>(), (80..100).collect::<Vec<_>>());
        assert!(ring.slots.capacity() <= 20, "{}", ring.slots.capacity());
    }

    proptest! {
        #[test]
        fn a_ring_is_a_queue(steps in proptest::collection::vec(0..5u8, 0..300), capacity in 1..12usize) {
            let (mut ring, mut queue) = (Ring::new(), VecDeque::new());
            for (at, step) in steps.into_iter().enumerate() {
                match step {
                    0 => prop_assert_eq!(ring.pop_front(), queue.pop_front()),
                    1 => { ring.push_back(at); queue.push_back(at); }
                    _ if queue.len() <= capacity => {
                        let evicted = if queue.len() == capacity { queue.pop_front() } else { None };
                        queue.push_back(at);
                        prop_assert_eq!(ring.push_within(at, capacity), evicted);
                    }
                    _ => {}
                }
                prop_assert_eq!(ring.iter().collect::<Vec<_>>(), queue.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!((ring.len(), ring.front()), (queue.len(), queue.front().copied()));
                let copy: Ring<usize> = postcard::from_bytes(&postcard::to_stdvec(&ring).expect("saved")).expect("restored");
                prop_assert_eq!(copy.iter().collect::<Vec<_>>(), ring.iter().collect::<Vec<_>>());
            }
        }
    }
}
