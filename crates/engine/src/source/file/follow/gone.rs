//! Files that are let go: nobody writes to them any more. They are remembered, for they may come back.

use std::collections::HashSet;

use super::Follower;
use crate::source::file::tail::Seen;

/// Files that are let go are remembered, so that they are known if they come back: so many.
const REMEMBERED: usize = 1000;

impl Follower {
    /// Lets files go that have been read to their end, and to which nobody writes any more: all at once, for the others have other ordinals
    /// then, and who has something to read is looked for anew.
    pub(super) fn let_go(&mut self) {
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

    pub(super) fn remember(&mut self, seen: Seen) {
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
