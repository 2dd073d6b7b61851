//! Fair scheduling of reads among concurrent inputs: connections, datagrams, followed files.
//!
//! Deficit round robin by bytes. An input with data queues once; in its turn it may read a number of bytes that is the same for all, and
//! queues again at the end if there is more. What it reads in excess of its share, because a datagram cannot be split, is subtracted from
//! its next turn. So no input waits for longer than one turn of each of the others, in whatever order the system lists the ready ones.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// The queue of inputs that have something to read.
pub(in crate::source) struct Turns<K> {
    /// Bytes per turn.
    turn: usize,
    queue: VecDeque<K>,
    /// For each queued input, the bytes that its next turn is reduced by.
    short: HashMap<K, usize>,
}

impl<K: Copy + Eq + Hash> Turns<K> {
    /// A queue with turns of `turn` bytes.
    pub(in crate::source) fn of(turn: usize) -> Self {
        Self { turn, queue: VecDeque::new(), short: HashMap::new() }
    }

    /// Removes all inputs.
    pub(in crate::source) fn clear(&mut self) {
        self.queue.clear();
        self.short.clear();
    }

    /// `who` has something to read.
    pub(in crate::source) fn queue(&mut self, who: K) {
        self.queue_short_of(who, 0);
    }

    fn queue_short_of(&mut self, who: K, short: usize) {
        if let Entry::Vacant(place) = self.short.entry(who) {
            place.insert(short);
            self.queue.push_back(who);
        }
    }

    /// Whether the queue is empty.
    pub(in crate::source) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next input, and how many bytes it may read. Its turn must be ended by [`Turns::end`].
    pub(in crate::source) fn begin(&mut self) -> Option<(K, usize)> {
        loop {
            let who = self.queue.pop_front()?;
            // It may have been removed.
            let Some(short) = self.short.remove(&who) else { continue };
            if short < self.turn {
                return Some((who, self.turn - short));
            }
            self.queue_short_of(who, short - self.turn);
        }
    }

    /// Ends the turn of `who`, which could read `most` bytes and read `read`; `has_more` queues it again.
    pub(in crate::source) fn end(&mut self, who: K, most: usize, read: usize, has_more: bool) {
        if has_more {
            self.queue_short_of(who, read.saturating_sub(most));
        }
    }

    /// Removes `who`.
    pub(in crate::source) fn leave(&mut self, who: K) {
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
        /// Inputs that always have data: each is read in pieces of its own size, which may exceed a turn; in every round the system lists
        /// some of them, in any order.
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
                // About a megabyte per round, as for sockets.
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
