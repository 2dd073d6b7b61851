//! The turn of one file: what was appended to it is read, and whole records are taken; what was cut off begins anew.

use super::Follower;
use super::notes::TOLD;
use crate::error::{ErrorKind, Result};
use crate::offset::Sequence;
use crate::source::Input;
use crate::source::file::framing::MAX_WAITING;
use crate::source::file::tail::Look;

/// What became of a turn.
pub(super) struct Turn {
    pub(super) input: Option<Input>,
    /// Bytes that were read.
    pub(super) read: usize,
    /// Whether there may be more.
    pub(super) has_more: bool,
}

impl Follower {
    /// The turn of file `at`, of which `most` bytes may be read.
    pub(super) fn turn(&mut self, at: usize, most: usize, sequence: Sequence) -> Result<Turn> {
        #[cfg(test)]
        super::TURNS.set(super::TURNS.get() + 1);
        if let Some(input) = self.take(at, false, sequence)? {
            return Ok(Turn { input: Some(input), read: 0, has_more: true });
        }
        match self.tails[at].look()? {
            Look::Anew => {
                return Ok(Turn { input: Some(self.begin_anew(at)?), read: 0, has_more: true });
            }
            Look::Grown if !self.tails[at].is_refused => return self.read_on(at, most, sequence),
            Look::Grown | Look::Same => {}
        }
        // Nobody will end its last record any more.
        let tail = &self.tails[at];
        let input = match tail.is_left() && tail.framing.waiting() > 0 {
            true => self.take(at, true, sequence)?,
            false => None,
        };
        Ok(Turn { has_more: input.is_some(), read: 0, input })
    }

    /// Reads what was appended to file `at`, and takes whole records.
    pub(super) fn read_on(&mut self, at: usize, most: usize, sequence: Sequence) -> Result<Turn> {
        let most = most.min(self.scratch.len());
        let tail = &mut self.tails[at];
        self.waiting -= tail.framing.waiting();
        let read = tail.read_on(&mut self.scratch, most)?;
        self.waiting += tail.framing.waiting();
        let Some(read) = read else {
            return Ok(Turn { input: Some(self.begin_anew(at)?), read: 0, has_more: true });
        };
        let input = self.take(at, false, sequence)?;
        self.make_room(at);
        // A look at the file will say that there is no more.
        Ok(Turn { has_more: read > 0, read, input })
    }

    /// Forgets the longest unfinished records where all together are too much, but not that of file `at`, which is being read.
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

    /// Begins file `at` anew, which was cut off or written anew; what had come of a record that never ended is set aside.
    fn begin_anew(&mut self, at: usize) -> Result<Input> {
        let tail = &mut self.tails[at];
        self.waiting -= tail.framing.waiting();
        let rest = tail
            .is_unfinished()
            .then(|| tail.framing.refuse_last("the file was cut off before the record ended", &self.layout));
        self.cut.extend(tail.fingerprint().map(|beginning| (beginning, tail.path.clone())));
        self.cut.truncate(TOLD);
        tail.begin_anew();
        let note = format!("{}: was cut off, and is read from its beginning", tail.path.display());
        self.note(note);
        Ok(rest.unwrap_or(Input::Nothing))
    }

    /// The whole records of file `at` that have been read. One with other columns is set aside, and not read any more.
    pub(super) fn take(&mut self, at: usize, at_end: bool, sequence: Sequence) -> Result<Option<Input>> {
        let tail = &mut self.tails[at];
        if tail.is_refused {
            return Ok(None);
        }
        let is_new = !tail.framing.has_begun() && tail.framing.waiting() > 0;
        let home = self.homes.as_mut().filter(|_| is_new).map_or(Ok(()), |homes| tail.take_home(homes));
        self.waiting -= tail.framing.waiting();
        let taken = home.and_then(|()| tail.framing.take(&self.layout, at_end, sequence));
        self.waiting += tail.framing.waiting();
        match taken {
            Err(error) if matches!(error.kind(), ErrorKind::Data | ErrorKind::Config) => {
                tail.is_refused = true;
                self.waiting -= tail.framing.waiting();
                let aside = tail.framing.refuse_last(error.message(), &self.layout);
                let note = format!("{}: is not read: {}", tail.path.display(), error.message());
                self.note(note);
                Ok(Some(aside))
            }
            taken => taken,
        }
    }
}
