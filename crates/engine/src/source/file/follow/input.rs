//! Followed files as the input of a source.

use super::Follower;
use crate::error::{Error, Masks, Result};
use crate::notes::Event;
use crate::offset::{Offset, Sequence};
use crate::source::file::input::TextInput;
use crate::source::file::position::ReadPosition;
use crate::source::{Input, Progress};
use crate::time::{Clock, Timestamp};

impl TextInput for Follower {
    fn begin(&mut self) -> Result<()> {
        if self.tails.is_empty() {
            Event::info("waiting_for_input").say(
                &Masks::default(),
                "there is no file to follow yet: matching files are read when they appear",
            );
        }
        Ok(())
    }

    fn next(&mut self, sequence: Sequence) -> Result<Option<Input>> {
        self.poll(sequence).map(Some)
    }

    fn drain(&mut self, sequence: Sequence, can_resume: bool) -> Result<Option<Input>> {
        self.drain_tails(sequence, can_resume)
    }

    fn received(&self, clock: &Clock) -> Option<Timestamp> {
        Some(clock.read())
    }

    fn stem(&self) -> &str {
        self.tails.get(self.last).map_or("", |tail| tail.framing.stream().0)
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: 0, line: 1 }
    }

    fn seek(&mut self, _offset: Offset) -> Result<()> {
        Err(Error::internal("followed files have no common offset"))
    }

    fn save(&self) -> Result<ReadPosition> {
        Ok(ReadPosition::Growing(self.position()))
    }

    fn restore(&mut self, position: ReadPosition) -> Result<Vec<String>> {
        let ReadPosition::Growing(position) = position else { return Err(position.of_another_input()) };
        self.resume(position)?;
        Ok(Vec::new())
    }

    fn progress(&self) -> Progress {
        Progress { done: self.bytes(), total: None }
    }

    fn remarks(&self) -> Vec<String> {
        self.summary()
    }

    #[cfg(test)]
    fn look_for_files_now(&mut self) {
        self.next_scan = std::time::Instant::now();
    }
}
