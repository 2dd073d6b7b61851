//! Releasing files that are no longer written to. They are remembered, since they may come back.

use std::collections::HashSet;

use super::Follower;
use crate::source::file::tail::SeenTail;

/// Number of released files remembered.
const REMEMBERED: usize = 1000;

impl Follower {
    /// Releases files that were read to their end and are no longer written to. All at once, since it changes the ordinals of the others,
    /// so that all must be checked for growth again.
    pub(super) fn release(&mut self) {
        let over: HashSet<usize> = std::mem::take(&mut self.over).into_iter().collect();
        if over.is_empty() {
            return;
        }
        for (at, tail) in std::mem::take(&mut self.tails).into_iter().enumerate() {
            if over.contains(&at) {
                self.remember(tail.seen());
            } else {
                self.tails.push(tail);
            }
        }
        self.begun -= over.len();
        self.done = 0;
        self.turns.clear();
        self.looks.clear();
    }

    pub(super) fn remember(&mut self, seen: SeenTail) {
        self.gone_order.retain(|gone| *gone != seen.identity);
        self.gone_order.push_back(seen.identity);
        self.gone.insert(seen.identity, seen);
        if self.gone_order.len() > REMEMBERED
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }
}
