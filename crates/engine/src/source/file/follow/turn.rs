//! The turn of one file: reads what was appended and takes complete records; a truncated file starts anew.

use super::Follower;
use super::notes::TOLD;
use crate::error::{ErrorKind, Result};
use crate::offset::Sequence;
use crate::source::Input;
use crate::source::file::tail::TailCheck;
use crate::source::stream::framing::MAX_WAITING;

/// The result of a turn.
pub(super) struct TurnResult {
    pub(super) input: Option<Input>,
    /// Bytes read.
    pub(super) read: usize,
    /// Whether there may be more.
    pub(super) has_more: bool,
}

impl Follower {
    /// The turn of file `at`, which may read `most` bytes.
    pub(super) fn turn(&mut self, at: usize, most: usize, sequence: Sequence) -> Result<TurnResult> {
        #[cfg(test)]
        super::TURNS.set(super::TURNS.get() + 1);
        if let Some(input) = self.take(at, false, sequence)? {
            return Ok(TurnResult { input: Some(input), read: 0, has_more: true });
        }
        match self.tails[at].look()? {
            TailCheck::Anew => {
                return Ok(TurnResult { input: Some(self.restart(at)?), read: 0, has_more: true });
            }
            TailCheck::Grown if !self.tails[at].is_refused => return self.read_on(at, most, sequence),
            TailCheck::Grown | TailCheck::Same => {}
        }
        // Its last record will never be completed.
        let tail = &self.tails[at];
        let input = match tail.is_left() && tail.framing.waiting() > 0 {
            true => self.take(at, true, sequence)?,
            false => None,
        };
        Ok(TurnResult { has_more: input.is_some(), read: 0, input })
    }

    /// Reads what was appended to file `at`, and takes complete records.
    pub(super) fn read_on(&mut self, at: usize, most: usize, sequence: Sequence) -> Result<TurnResult> {
        let most = most.min(self.scratch.len());
        let tail = &mut self.tails[at];
        self.waiting -= tail.framing.waiting();
        let read = tail.read_on(&mut self.scratch, most)?;
        self.waiting += tail.framing.waiting();
        let Some(read) = read else {
            return Ok(TurnResult { input: Some(self.restart(at)?), read: 0, has_more: true });
        };
        let input = self.take(at, false, sequence)?;
        self.make_room(at);
        // The next check of the file finds out whether there is more.
        Ok(TurnResult { has_more: read > 0, read, input })
    }

    /// Drops the longest incomplete records from memory if all together are too large, except that of file `at`, which is being read.
    fn make_room(&mut self, at: usize) {
        while self.waiting > MAX_WAITING {
            let others = self.tails[..self.begun].iter_mut().enumerate().filter(|(other, _)| *other != at);
            let Some((_, longest)) = others.max_by_key(|(_, tail)| tail.framing.waiting()) else { return };
            if longest.framing.waiting() == 0 {
                return;
            }
            self.waiting -= longest.framing.waiting();
            longest.forget();
        }
    }

    /// Starts file `at` anew after it was truncated or rewritten; its incomplete record is rejected.
    fn restart(&mut self, at: usize) -> Result<Input> {
        let tail = &mut self.tails[at];
        self.waiting -= tail.framing.waiting();
        let rest = tail.is_unfinished().then(|| {
            tail.framing.reject_last("the file was truncated before the record was complete", &self.layout)
        });
        self.cut.extend(tail.fingerprint().map(|beginning| (beginning, tail.path.clone())));
        self.cut.truncate(TOLD);
        tail.restart();
        let note = format!("{}: was truncated, and is read from its beginning", tail.path.display());
        self.note(note);
        Ok(rest.unwrap_or(Input::Nothing))
    }

    /// The complete records that were read from file `at`. A file with other columns is rejected and not read any further.
    pub(super) fn take(&mut self, at: usize, at_end: bool, sequence: Sequence) -> Result<Option<Input>> {
        let tail = &mut self.tails[at];
        if tail.is_refused {
            return Ok(None);
        }
        let is_new = !tail.framing.has_begun() && tail.framing.waiting() > 0;
        let home = self.homes.as_mut().filter(|_| is_new).map_or(Ok(()), |homes| tail.check_home(homes));
        self.waiting -= tail.framing.waiting();
        let taken = home.and_then(|()| tail.framing.take(&self.layout, at_end, sequence));
        self.waiting += tail.framing.waiting();
        match taken {
            Err(error) if matches!(error.kind(), ErrorKind::Data | ErrorKind::Config) => {
                tail.is_refused = true;
                self.waiting -= tail.framing.waiting();
                let rejected = tail.framing.reject_last(error.message(), &self.layout);
                let note = format!("{}: is not read: {}", tail.path.display(), error.message());
                self.note(note);
                Ok(Some(rejected))
            }
            taken => taken,
        }
    }
}
