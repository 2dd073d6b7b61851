//! How following ends: what has been read goes on its way, and what has come of a record that has not ended is set aside, unless the run
//! goes on later and reads it again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Follower, Following, TURN};
use crate::error::Result;
use crate::offset::Sequence;
use crate::source::Input;
use crate::source::file::framing::{Layout, STOPPED};

/// Why what had come of a record is set aside when the run goes on without its file.
const GONE: &str = "the file was removed or written anew before the record ended";

/// What is left in files when following ends.
#[derive(Default)]
pub(super) struct Left {
    /// The first so many that have begun are done with.
    done: usize,
    /// Bytes that nobody has read, and in which files.
    unread: u64,
    files: BTreeSet<PathBuf>,
}

impl Follower {
    /// What has been read and not been given out, piece by piece: whole records, then what has come of others. Where the run `goes_on`
    /// later, that is left where it is.
    pub(in crate::source::file) fn drain(
        &mut self,
        sequence: Sequence,
        goes_on: bool,
    ) -> Result<Option<Input>> {
        if let Some(missed) = self.next_missed() {
            return Ok(Some(missed));
        }
        while self.left.done < self.begun {
            let at = self.left.done;
            self.last = at;
            if !goes_on {
                self.tails[at].framing.expect_no_more();
            }
            if let Some(input) = self.take(at, false, sequence)? {
                return Ok(Some(input));
            }
            // What was forgotten to make room for others.
            if self.tails[at].at < self.tails[at].read_to && !self.tails[at].is_refused {
                let turn = self.read_on(at, TURN, sequence)?;
                match turn.input {
                    Some(input) => return Ok(Some(input)),
                    None if turn.read > 0 => continue,
                    None => {}
                }
            }
            self.left.done += 1;
            if let Some(input) = self.leave(at, goes_on) {
                return Ok(Some(input));
            }
        }
        self.look_at_the_rest();
        Ok(None)
    }

    /// Leaves the record of file `at` that has not ended.
    fn leave(&mut self, at: usize, goes_on: bool) -> Option<Input> {
        let tail = &mut self.tails[at];
        if tail.is_refused {
            return None;
        }
        if goes_on {
            let half = tail.half()?;
            let (path, byte) = (tail.path.display(), half.offset.at);
            let note = format!(
                "{path}: the record at byte {byte} has not ended: the same command reads it again, and --finish sets it aside"
            );
            self.note(note);
            return None;
        }
        self.waiting -= tail.framing.waiting();
        tail.framing.leave(&self.layout)
    }

    /// Sets aside what had come of a record that nobody will end: its file is gone, or is another.
    pub(super) fn next_missed(&mut self) -> Option<Input> {
        Some(self.missed.pop_front()?.set_aside(GONE, &self.layout))
    }

    /// What nobody has read is said: it was there when the run was stopped.
    fn look_at_the_rest(&mut self) {
        for tail in self.tails.iter().filter(|tail| !tail.is_refused) {
            let unread = tail.unread();
            if unread > 0 {
                self.left.unread += unread;
                self.left.files.insert(tail.path.clone());
            }
        }
    }

    /// What is worth knowing of the rest.
    pub(super) fn remark_of_rest(&self) -> Option<String> {
        let Left { unread, files, .. } = &self.left;
        let first = files.first()?.display();
        let more = files.len() - 1;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("stopped before {unread} bytes were read that are there: of {first}{more}"))
    }
}

impl Following {
    /// The records that had not ended: the run that only finishes what was read sets them aside.
    pub(in crate::source::file) fn unfinished(&self, layout: &Layout) -> Vec<Input> {
        let missed = self.missed.iter().map(|half| half.set_aside(GONE, layout));
        let open = self.open.iter().filter_map(|seen| seen.half.as_ref());
        missed.chain(open.map(|half| half.set_aside(STOPPED, layout))).collect()
    }
}
