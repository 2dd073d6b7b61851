//! The order in which files found together are begun: one after the other, each when those before it have been read up to their length at
//! the time of the scan.

use super::Follower;
use crate::error::Result;
use crate::source::file::tail::Tail;

impl Follower {
    /// Begins files that are due: when all begun files have been read up to their length at the time of the scan.
    pub(super) fn begin_files(&mut self) -> Result<()> {
        while let Some(next) = self.tails.get(self.begun) {
            if next.scan > self.noted {
                self.noted = next.scan;
                self.tails[..self.begun].iter_mut().try_for_each(Tail::set_due)?;
                self.done = 0;
            }
            // Files that are done stay done and are not asked again.
            while self.tails[..self.begun].get(self.done).is_some_and(Tail::is_done_with_due) {
                self.done += 1;
            }
            if self.done < self.begun {
                break;
            }
            self.tails[self.begun].set_due()?;
            self.turns.queue(self.begun);
            self.begun += 1;
        }
        Ok(())
    }
}
