//! Sources of text (clause 6): files, globs, folders, archives, standard input, pipes and addresses; plain or compressed; followed or recorded.
//!
//! [`FileSource`] reads one [`TextInput`], of one of three kinds: [`Concatenated`], a list of files, pipes and addresses, one after another; a
//! [`Follower`](follow::Follower), files that grow, all at the same time; a [`Recording`](recording::Recording), which is replayed. It adds what all of them need: arrival times, ticks,
//! the recording of what they read, and the position for a checkpoint.

mod ahead;
mod archive;
#[cfg(test)]
mod archive_tests;
#[cfg(test)]
mod awaited_tests;
mod beginning;
mod blocks;
mod changes;
mod columns;
mod concatenated;
mod decompress;
mod extents;
mod find;
mod follow;
#[cfg(test)]
mod follow_tests;
mod input;
mod input_file;
mod looks;
mod map;
mod naming;
mod open;
mod open_file;
mod options;
mod packing;
mod parallel;
mod parts;
mod paths;
mod position;
mod recording;
mod rejoin;
mod remote;
mod remote_paths;
mod resume;
mod seen;
mod tail;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wildcards;

use std::collections::VecDeque;
use std::sync::Arc;

pub(super) use self::ahead::Ahead;
pub use self::archive::Member;
pub use self::beginning::beginning;
use self::concatenated::Concatenated;
use self::input::TextInput;
pub use self::input_file::InputFile;
pub use self::map::{MappedFile, is_local};
pub use self::options::{FileOptions, OneOrMany};
pub use self::packing::packed_extensions;
pub(super) use self::position::{InFiles, ReadPosition, another_kind};
pub use self::recording::{Recorder, is_recording};
pub(super) use self::remote::{RemoteFile, read_error, read_exact_at};
pub(super) use self::resume::{ResumePosition, place};
pub(super) use self::seen::Seen;
use super::stream::StreamLayout;
use super::{Input, OpenOptions, Progress, Source};
use crate::batch::{Batch, Schema};
use crate::error::Result;
use crate::format::Decoded;
use crate::offset::{Offset, Sequence};
use crate::sensor::SensorLookup;
use crate::time::Timestamp;

/// Maximum length of a record; longer input without a record end is rejected.
const MAX_WAIT: usize = 16 << 20;

/// Reads text of one format.
pub struct FileSource {
    layout: StreamLayout,
    options: OpenOptions,
    input: Box<dyn TextInput>,
    sequence: Sequence,
    /// Arrival time of the last item, if it was live.
    received: Option<Timestamp>,
    /// Arrival time of the last piece or tick.
    given: Option<Timestamp>,
    /// The position of a run that only finishes earlier input.
    finishes: Option<Vec<u8>>,
    /// Incomplete records that the earlier run had not rejected, because they could be read again.
    unfinished: VecDeque<Input>,
    /// Remarks about the files that were found, and about resuming.
    remarks: Vec<String>,
}

impl FileSource {
    /// A tick of the clock, if one is due because nothing arrived since the last piece or tick.
    fn tick(&self) -> Option<Input> {
        let every = i64::try_from(self.options.ticks?.as_nanos()).ok()?;
        if self.input.has_ticks() {
            return None;
        }
        let now = self.input.received(&self.options.clock)?;
        let is_due =
            |given: Timestamp| now.checked_since(given).is_none_or(|since| !(0..every).contains(&since));
        self.given.is_none_or(is_due).then(|| Batch::empty(Arc::clone(&self.layout.schema)).into())
    }

    /// Sets the arrival time of a piece, and records it if the run makes a recording.
    fn note(&mut self, mut input: Option<&mut Input>) -> Result<()> {
        self.received = self.input.received(&self.options.clock);
        match &mut input {
            Some(Input::Chunk(chunk)) => chunk.received = self.received,
            Some(Input::Records(Decoded { batch, .. })) => {
                batch.received = self.received;
                // Records that a stage makes by a tick have origins.
                if self.options.origins && batch.is_empty() {
                    batch.origins.get_or_insert_default();
                }
            }
            _ => {}
        }
        if !matches!(input, None | Some(Input::Nothing)) {
            self.given = self.received;
        }
        if let (Some(recorder), Some(input)) = (&self.options.record, input.as_deref()) {
            recorder.begin(&self.layout.schema)?;
            // Every stream may have its own header.
            let head = if let Input::Chunk(chunk) = input { chunk.decoder.beginning() } else { &[] };
            recorder.add(input, self.received, self.input.stem(), head)?;
        }
        Ok(())
    }
}

impl Source for FileSource {
    fn schema(&self) -> &Arc<Schema> {
        &self.layout.schema
    }

    fn begin(&mut self) -> Result<()> {
        self.input.begin()
    }

    fn next(&mut self, _sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.options.record.as_ref().map_or(Ok(()), |recorder| recorder.begin(&self.layout.schema))?;
        let mut input = self.input.next(self.sequence)?;
        if matches!(input, Some(Input::Nothing)) {
            input = self.tick().or(input);
        }
        self.sequence += 1;
        self.note(input.as_mut())?;
        Ok(input)
    }

    fn drain(&mut self, can_resume: bool, _sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let mut left = match self.unfinished.pop_front() {
            Some(unfinished) => Some(unfinished),
            None => self.input.drain(self.sequence, can_resume)?,
        };
        self.sequence += 1;
        self.note(left.as_mut())?;
        Ok(left)
    }

    fn arrival(&mut self) -> Result<Option<u64>> {
        self.input.arrival()
    }

    fn received(&self) -> Option<Timestamp> {
        self.received
    }

    fn offset(&self) -> Offset {
        self.input.offset()
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.input.seek(offset)
    }

    fn remarks(&self) -> Vec<String> {
        [self.remarks.clone(), self.layout.format.columns().remarks(), self.input.remarks()].concat()
    }

    fn missing(&self) -> Option<String> {
        self.input.missing()
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        if self.finishes.is_some() {
            return Ok(self.finishes.clone());
        }
        let mut position = ResumePosition::new(&self.layout.schema, self.input.save()?);
        if let Some(recorder) = &self.options.record {
            recorder.begin(&self.layout.schema)?;
            position.recorded = Some(recorder.reached()?);
        }
        position.to_bytes().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let ResumePosition { reading, recorded, .. } = ResumePosition::from_bytes(state)?;
        if self.finishes.is_none() {
            self.remarks.extend(self.input.restore(reading)?);
        }
        // A run that is refused must not have truncated the recording.
        match (&self.options.record, &recorded) {
            (Some(recorder), Some(reached)) => recorder.resume(reached),
            _ => Ok(()),
        }
    }

    fn progress(&self) -> Progress {
        self.input.progress()
    }

    fn bytes(&self) -> u64 {
        self.progress().done
    }
}
