//! The end of following: data that was read is returned, and incomplete records are rejected, unless the run resumes later and reads them
//! again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Follower, TURN};
use crate::error::Result;
use crate::offset::Sequence;
use crate::source::Input;
use crate::source::file::position::Following;
use crate::source::stream::StreamLayout;
use crate::source::stream::rejected::STOPPED;

/// Reason for rejecting an incomplete record when the run resumes without its file.
const GONE: &str = "the file was removed or rewritten before the record was complete";

/// What remains in files when following ends.
#[derive(Default)]
pub(super) struct Leftovers {
    /// The number of begun files that are finished.
    done: usize,
    /// Unread bytes, and the files that have them.
    unread: u64,
    files: BTreeSet<PathBuf>,
}

impl Follower {
    /// Returns, item by item, what was read and not returned yet: complete records, then incomplete ones. If the run `can_resume` later,
    /// incomplete records are left in their files.
    pub(super) fn drain_tails(&mut self, sequence: Sequence, can_resume: bool) -> Result<Option<Input>> {
        if let Some(missed) = self.next_missed() {
            return Ok(Some(missed));
        }
        while self.left.done < self.begun {
            let at = self.left.done;
            self.last = at;
            if !can_resume {
                self.tails[at].framing.expect_no_more();
            }
            if let Some(input) = self.take(at, false, sequence)? {
                return Ok(Some(input));
            }
            // An incomplete record may have been dropped from memory to make room for others.
            if self.tails[at].at < self.tails[at].read_to && !self.tails[at].is_refused {
                let turn = self.read_on(at, TURN, sequence)?;
                match turn.input {
                    Some(input) => return Ok(Some(input)),
                    None if turn.read > 0 => continue,
                    None => {}
                }
            }
            self.left.done += 1;
            if let Some(input) = self.leave(at, can_resume) {
                return Ok(Some(input));
            }
        }
        self.look_at_the_rest();
        Ok(None)
    }

    /// Ends the incomplete record of file `at`.
    fn leave(&mut self, at: usize, can_resume: bool) -> Option<Input> {
        let tail = &mut self.tails[at];
        if tail.is_refused {
            return None;
        }
        if can_resume {
            let half = tail.half()?;
            let (path, byte) = (tail.path.display(), half.offset.at);
            let note = format!(
                "{path}: the record at byte {byte} is incomplete: the same command reads it again, --finish rejects it"
            );
            self.note(note);
            return None;
        }
        self.waiting -= tail.framing.waiting();
        tail.framing.leave(&self.layout)
    }

    /// Rejects an incomplete record whose file was removed or rewritten.
    pub(super) fn next_missed(&mut self) -> Option<Input> {
        Some(self.missed.pop_front()?.reject(GONE, &self.layout))
    }

    /// Counts data that exists but has not been read.
    fn look_at_the_rest(&mut self) {
        for tail in self.tails.iter().filter(|tail| !tail.is_refused) {
            let unread = tail.unread();
            if unread > 0 {
                self.left.unread += unread;
                self.left.files.insert(tail.path.clone());
            }
        }
    }

    /// The remark about unread data.
    pub(super) fn remark_of_rest(&self) -> Option<String> {
        let Leftovers { unread, files, .. } = &self.left;
        let first = files.first()?.display();
        let more = files.len() - 1;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("stopped with {unread} bytes unread: of {first}{more}"))
    }
}

impl Following {
    /// The incomplete records, which a run that only finishes earlier input rejects.
    pub(in crate::source::file) fn unfinished(&self, layout: &StreamLayout) -> Vec<Input> {
        let missed = self.missed.iter().map(|half| half.reject(GONE, layout));
        let open = self.open.iter().filter_map(|seen| seen.half.as_ref());
        missed.chain(open.map(|half| half.reject(STOPPED, layout))).collect()
    }
}
