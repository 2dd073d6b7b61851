//! Whose turn it is to be read, among inputs that come together: connections, datagrams, files that grow.
//!
//! Deficit round robin by bytes. Whoever has something to read queues, once; at its turn it is read up to a number of bytes that is the same
//! for all, and queues again behind all others if there is more. What it took beyond its share, because a datagram cannot be read in part, it is short of the next
//! time. So nobody waits for longer than a turn of each of the others, in whatever order the system names those that are ready.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Those that have something to read, by turns.
pub(super) struct Turns<K> {
    /// Bytes that are read of one input before the next one has its turn.
    turn: usize,
    queue: VecDeque<K>,
    /// By who queues: the bytes that it is short of.
    short: HashMap<K, usize>,
}

impl<K: Copy + Eq + Hash> Turns<K> {
    /// Turns of `turn` bytes.
    pub(super) fn of(turn: usize) -> Self {
        Self { turn, queue: VecDeque::new(), short: HashMap::new() }
    }

    /// All have gone.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.short.clear();
    }

    /// `who` has something to read.
    pub(super) fn queue(&mut self, who: K) {
        self.queue_short_of(who, 0);
    }

    fn queue_short_of(&mut self, who: K, short: usize) {
        if let Entry::Vacant(place) = self.short.entry(who) {
            place.insert(short);
            self.queue.push_back(who);
        }
    }

    /// Whether nobody queues.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whose turn it is, and how many bytes may be read of it. Whatever it does with its turn is told to [`Turns::end`].
    pub(super) fn begin(&mut self) -> Option<(K, usize)> {
        loop {
            let who = self.queue.pop_front()?;
            // It may have gone.
            let Some(short) = self.short.remove(&who) else { continue };
            if short < self.turn {
                return Some((who, self.turn - short));
            }
            self.queue_short_of(who, short - self.turn);
        }
    }

    /// The turn of `who`, who might have been read up to `most` bytes, was used for `read`; whether there is more.
    pub(super) fn end(&mut self, who: K, most: usize, read: usize, has_more: bool) {
        if has_more {
            self.queue_short_of(who, read.saturating_sub(most));
        }
    }

    /// `who` has gone.
    pub(super) fn leave(&mut self, who: K) {
        self.short.remove(&who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TURN: usize = 64 << 10;

    #[test]
    fn those_who_queue_have_turns_in_the_order_in_which_they_came() {
        let mut turns = Turns::of(TURN);
        [7, 3, 7, 5].iter().for_each(|&who| turns.queue(who));
        turns.leave(3);
        let mut seen = Vec::new();
        for round in 0..4 {
            let (who, most) = turns.begin().expect("somebody");
            seen.push(who);
            turns.end(who, most, most, round < 2);
        }
        assert_eq!((seen, turns.is_empty()), (vec![7, 5, 7, 5], true));
    }

    #[test]
    fn one_who_left_and_came_back_has_one_place() {
        let mut turns = Turns::of(TURN);
        turns.queue('a');
        turns.leave('a');
        turns.queue('b');
        turns.queue('a');
        let order: Vec<_> = std::iter::from_fn(|| turns.begin().map(|(who, _)| who)).collect();
        assert_eq!(order.iter().filter(|&&who| who == 'a').count(), 1, "{order:?}");
    }

    proptest! {
        /// Inputs that always have more: each is read in pieces of its own size, which may go beyond a turn; at every round the system
        /// names some of them, in any order.
        #[test]
        fn the_least_served_gets_at_least_half_of_the_mean(
            pieces in proptest::collection::vec(1024..=TURN, 2..80),
            named in proptest::collection::vec(proptest::collection::vec(any::<prop::sample::Index>(), 0..20), 1..30),
        ) {
            let mut turns = Turns::of(TURN);
            let mut read = vec![0_usize; pieces.len()];
            (0..pieces.len()).for_each(|who| turns.queue(who));
            for round in 0..200 {
                for who in &named[round % named.len()] {
                    turns.queue(who.index(pieces.len()));
                }
                // About a megabyte a round, as the sockets are read.
                for _ in 0..16 {
                    let Some((who, most)) = turns.begin() else { break };
                    let mut taken = 0;
                    while taken < most {
                        taken += pieces[who];
                    }
                    read[who] += taken;
                    turns.end(who, most, taken, true);
                }
            }
            let mean = read.iter().sum::<usize>() / read.len();
            let least = read.iter().min().copied().unwrap_or(0);
            prop_assert!(2 * least >= mean, "{least} of {mean}: {read:?}");
        }
    }
}
