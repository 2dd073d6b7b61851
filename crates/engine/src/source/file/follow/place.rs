//! Saving the position of a follower in a checkpoint, and resuming from it.

use std::collections::HashMap;

use super::Follower;
use super::scan::{ScanStep, meanwhile};
use crate::error::Result;
use crate::source::file::position::Following;
use crate::source::file::rejoin::Candidates;
use crate::source::file::tail::{Identity, SeenTail, Tail};

/// Maximum number of searches for a file that may be being renamed; each search reads its folder.
const LOOKS: usize = 2;

impl Follower {
    /// The position in all files.
    pub(in crate::source::file) fn position(&self) -> Following {
        let gone = self.gone_order.iter().filter_map(|gone| self.gone.get(gone));
        Following {
            open: self.tails.iter().map(Tail::seen).collect(),
            gone: gone.cloned().collect(),
            missed: self.missed.iter().cloned().collect(),
        }
    }

    /// Resumes all files, under whatever names they have now.
    pub(in crate::source::file) fn resume(&mut self, place: Following) -> Result<()> {
        let there = std::mem::take(&mut self.tails);
        let order: Vec<Identity> = there.iter().map(|tail| tail.identity).collect();
        let mut there: HashMap<Identity, Tail> =
            there.into_iter().map(|tail| (tail.identity, tail)).collect();
        let mut candidates = Candidates::default();
        if let Some(homes) = &mut self.homes {
            let known = place.open.iter().chain(&place.gone).filter_map(SeenTail::home);
            homes.extend(known);
        }
        self.missed.extend(place.missed);
        for seen in place.open {
            match self.find(&seen, &mut there, &mut candidates)? {
                Some(tail) => {
                    if let Some(half) = seen.half
                        && !tail.has(&half)?
                    {
                        self.missed.push_back(half);
                    }
                    self.tails.push(tail);
                }
                None => {
                    self.missed.extend(seen.half.clone());
                    let path = seen.written();
                    self.note(format!(
                        "{}: the file was removed after it was read to byte {}; data appended since then is missing",
                        path.display(),
                        seen.offset.at
                    ));
                    self.remember(seen.without_half());
                }
            }
        }
        for seen in place.gone {
            // A released file may have come back.
            let back = there.get_mut(&seen.identity);
            if !back.map_or(Ok(false), |tail| tail.seek(&seen, &self.layout))? {
                self.remember(seen);
            }
        }
        // New files are read from their beginning.
        self.tails.extend(order.iter().filter_map(|identity| there.remove(identity)));
        // All files begin again in their order.
        (self.begun, self.done, self.waiting) = (0, 0, 0);
        self.over.clear();
        self.turns.clear();
        self.looks.clear();
        Ok(())
    }

    /// Finds a file of the checkpoint wherever it is now, and seeks to its offset.
    fn find(
        &mut self,
        seen: &SeenTail,
        there: &mut HashMap<Identity, Tail>,
        candidates: &mut Candidates,
    ) -> Result<Option<Tail>> {
        if let Some(tail) = there.get_mut(&seen.identity) {
            return Ok(match tail.seek(seen, &self.layout)? {
                true => there.remove(&seen.identity),
                false => None,
            });
        }
        for _ in 0..LOOKS {
            let paths = candidates.of(seen, &self.base);
            if paths.is_empty() {
                break;
            }
            meanwhile(ScanStep::Reopen);
            for path in paths {
                if let Some(mut tail) = self.open_tail(&seen.at(&path), &path)?
                    && tail.seek(seen, &self.layout)?
                {
                    return Ok(Some(tail));
                }
            }
            // It may have been renamed between the search and the opening.
            *candidates = Candidates::default();
        }
        Ok(None)
    }
}
