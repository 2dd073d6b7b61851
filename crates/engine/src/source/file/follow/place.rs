//! Where a follower is, for a checkpoint, and how it goes on from one.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Follower;
use super::scan::{Step, meanwhile};
use crate::error::Result;
use crate::source::file::framing::Half;
use crate::source::file::rejoin::Candidates;
use crate::source::file::tail::{Identity, Seen, Tail};

/// Looks for a file that may be getting another name, at most; each reads its folder.
const LOOKS: usize = 2;

/// Where a follower is, for a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) struct Following {
    pub(super) open: Vec<Seen>,
    /// Those that were let go.
    pub(super) gone: Vec<Seen>,
    /// What is still to be set aside of files that are gone.
    pub(super) missed: Vec<Half>,
}

impl Follower {
    /// Where it is in all files.
    pub(in crate::source::file) fn save(&self) -> Following {
        let gone = self.gone_order.iter().filter_map(|gone| self.gone.get(gone));
        Following {
            open: self.tails.iter().map(Tail::seen).collect(),
            gone: gone.cloned().collect(),
            missed: self.missed.iter().cloned().collect(),
        }
    }

    /// Goes on in all files, under whatever names they have now.
    pub(in crate::source::file) fn restore(&mut self, place: Following) -> Result<()> {
        let there = std::mem::take(&mut self.tails);
        let order: Vec<Identity> = there.iter().map(|tail| tail.identity).collect();
        let mut there: HashMap<Identity, Tail> =
            there.into_iter().map(|tail| (tail.identity, tail)).collect();
        let mut candidates = Candidates::default();
        if let Some(homes) = &mut self.homes {
            let known = place.open.iter().chain(&place.gone).filter_map(Seen::home);
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
                        "{}: the file that was read to byte {} is gone; what was appended to it since is missing",
                        path.display(),
                        seen.offset.at
                    ));
                    self.remember(seen.without_half());
                }
            }
        }
        for seen in place.gone {
            // One that was let go may have come back.
            let back = there.get_mut(&seen.identity);
            if !back.map_or(Ok(false), |tail| tail.go_to(&seen, &self.layout))? {
                self.remember(seen);
            }
        }
        // Those that came since are read from their beginning.
        self.tails.extend(order.iter().filter_map(|identity| there.remove(identity)));
        // All begin again, in their order.
        (self.begun, self.done, self.waiting) = (0, 0, 0);
        self.over.clear();
        self.turns.clear();
        self.looks.clear();
        Ok(())
    }

    /// A file of before, wherever it is now, at its place.
    fn find(
        &mut self,
        seen: &Seen,
        there: &mut HashMap<Identity, Tail>,
        candidates: &mut Candidates,
    ) -> Result<Option<Tail>> {
        if let Some(tail) = there.get_mut(&seen.identity) {
            return Ok(match tail.go_to(seen, &self.layout)? {
                true => there.remove(&seen.identity),
                false => None,
            });
        }
        for _ in 0..LOOKS {
            let paths = candidates.of(seen, &self.base);
            if paths.is_empty() {
                break;
            }
            meanwhile(Step::Reopen);
            for path in paths {
                if let Some(mut tail) = self.open_tail(&seen.at(&path), &path)?
                    && tail.go_to(seen, &self.layout)?
                {
                    return Ok(Some(tail));
                }
            }
            // It may have got another name between the look and the opening.
            *candidates = Candidates::default();
        }
        Ok(None)
    }
}
