//! File sources (clause 6): one file, several, globs, folders, standard input; plain or compressed.

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
mod decompress;
mod find;
mod follow;
#[cfg(test)]
mod follow_tests;
mod input_file;
mod looks;
mod map;
mod naming;
mod open;
mod open_file;
mod options;
mod packing;
mod parts;
mod paths;
mod recording;
mod rejoin;
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
use self::blocks::Blocks;
use self::follow::Follower;
pub use self::input_file::InputFile;
pub use self::map::{MappedFile, is_local};
use self::open_file::{NextChunk, OpenFile};
pub use self::options::{FileOptions, OneOrMany};
pub use self::packing::packed_extensions;
use self::recording::{Played, Recording};
pub use self::recording::{Recorder, is_recording};
pub(super) use self::resume::{InFiles, ReadPosition, ResumePosition, place};
pub(super) use self::seen::Seen;
use super::sockets::Sockets;
use super::stream::StreamLayout;
use super::{Input, OpenOptions, Progress, Source};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::format::{Decoded, Format};
use crate::notes::say;
use crate::offset::{Offset, Sequence};
use crate::sensor::SensorLookup;
use crate::time::Timestamp;

/// Maximum length of a record; longer input without a record end is rejected.
const MAX_WAIT: usize = 16 << 20;

/// Reads files of one format, one after the other.
pub struct FileSource {
    format: Arc<dyn Format>,
    files: Vec<InputFile>,
    schema: Arc<Schema>,
    options: OpenOptions,
    /// The ordinal of the open file; after the last one, the number of files.
    at: usize,
    open: Option<OpenInput>,
    sequence: Sequence,
    /// Arrival time of the last item, if it was live.
    received: Option<Timestamp>,
    /// When it gave a piece last, or a tick.
    given: Option<Timestamp>,
    /// Bytes of finished files, as stored.
    done: u64,
    total: Option<u64>,
    /// The finished files, for a checkpoint.
    read: Vec<Seen>,
    /// The files not begun when the run started, if the run has checkpoints.
    ahead: Option<Ahead>,
    /// The position of a run that only finishes earlier input.
    finishes: Option<Vec<u8>>,
    /// Incomplete records that the earlier run had not rejected, because they could be read again.
    unfinished: VecDeque<Input>,
    /// Remarks about resuming.
    remarks: Vec<String>,
}

/// The input being read.
enum OpenInput {
    File(Box<OpenFile>),
    /// An address before the run begins: inspecting a pipeline must not take its port.
    Unbound,
    Sockets(Box<Sockets>),
    Growing(Box<Follower>),
    Recording(Box<Recording>),
}

impl OpenInput {
    /// Whether it is an input that cannot be read twice.
    fn is_live(&self) -> bool {
        match self {
            Self::File(file) => file.blocks.is_live(),
            Self::Unbound | Self::Sockets(_) => true,
            Self::Growing(_) | Self::Recording(_) => false,
        }
    }

    /// The stem of the stream that was read last.
    fn stem(&self) -> &str {
        match self {
            Self::File(file) => &file.stem,
            Self::Growing(follower) => follower.stream().0,
            Self::Sockets(sockets) => sockets.stem(),
            Self::Unbound | Self::Recording(_) => "",
        }
    }

    /// Bytes read, as stored or received.
    fn consumed(&self) -> u64 {
        match self {
            Self::File(file) => file.blocks.consumed(),
            Self::Unbound => 0,
            Self::Sockets(sockets) => sockets.bytes(),
            Self::Growing(follower) => follower.bytes(),
            Self::Recording(recording) => recording.bytes(),
        }
    }
}

impl FileSource {
    /// The next item of the open input.
    fn step(&mut self) -> Result<Option<Input>> {
        while let Some(open) = &mut self.open {
            let next = match open {
                OpenInput::File(file) => file.chunk(self.options.chunk_size, self.sequence)?,
                OpenInput::Unbound => {
                    self.begin()?;
                    continue;
                }
                OpenInput::Sockets(sockets) => {
                    self.sequence += 1;
                    return sockets.next(self.sequence - 1).map(Some);
                }
                OpenInput::Growing(follower) => {
                    self.sequence += 1;
                    return follower.next(self.sequence - 1).map(Some);
                }
                OpenInput::Recording(recording) => {
                    self.sequence += 1;
                    return recording.next(self.sequence - 1);
                }
            };
            match next {
                NextChunk::Nothing => return Ok(Some(Input::Nothing)),
                NextChunk::Chunk(chunk) => {
                    self.sequence += 1;
                    return Ok(Some(Input::Chunk(chunk)));
                }
                NextChunk::End => {}
            }
            self.done += open.consumed();
            self.read.push(self.seen(None)?);
            self.open = None;
            self.open_next()?;
        }
        Ok(None)
    }

    fn open_next(&mut self) -> Result<()> {
        self.at += 1;
        if self.at < self.files.len() {
            self.open = Some(self.open_at(self.at)?);
        }
        Ok(())
    }

    fn open_at(&self, at: usize) -> Result<OpenInput> {
        let file = &self.files[at];
        let Some(address) = &file.address else {
            return self.bind(at, Blocks::open(file, &self.options)?);
        };
        Ok(OpenInput::Sockets(Box::new(Sockets::open(address, at as u64, self.layout())?)))
    }

    /// Prepares the opened file `at` to be read from its first record.
    fn bind(&self, at: usize, blocks: Blocks) -> Result<OpenInput> {
        let file = OpenFile::bind(&self.files[at], at, blocks, &self.layout())?;
        Ok(OpenInput::File(Box::new(file)))
    }

    /// The state of the open input for a checkpoint, once everything before `at` has been read; all of it if `None`.
    fn seen(&self, at: Option<u64>) -> Result<Seen> {
        let name = self.files.get(self.at).map_or("", |file| &file.name);
        match &self.open {
            Some(OpenInput::File(file)) => file.blocks.seen(at),
            Some(OpenInput::Recording(recording)) => recording.seen(name),
            _ => Ok(Seen::stream(name)),
        }
    }

    /// Seeks to byte `at` of file `file`.
    fn seek_to(&mut self, file: usize, offset: Offset) -> Result<()> {
        if let Some(OpenInput::Recording(recording)) = &mut self.open {
            recording.seek(Played::of_byte(offset.at));
            return Ok(());
        }
        // An input that cannot be read twice starts as it was opened.
        if file == self.at && self.open.as_ref().is_some_and(OpenInput::is_live) {
            return Ok(());
        }
        (self.at, self.open) = (file, None);
        if file >= self.files.len() {
            return Ok(());
        }
        let mut open = self.open_at(file)?;
        if let OpenInput::File(open) = &mut open
            && offset.at > open.offset.at
            && !open.blocks.is_live()
        {
            open.blocks.skip(offset.at - open.offset.at)?;
            open.offset = Offset { file: file as u64, ..offset };
        }
        self.open = Some(open);
        Ok(())
    }

    /// Seeks to the position of a checkpoint in the same input.
    fn resume(&mut self, reading: ReadPosition) -> Result<()> {
        let (format, changes) = (Arc::clone(&self.format), self.options.changes);
        match (reading, &mut self.open) {
            (ReadPosition::Played(place, played), Some(OpenInput::Recording(recording))) => {
                place.find(&self.files, Some(&*format), changes)?;
                recording.seek(played);
                Ok(())
            }
            (ReadPosition::Growing(place), Some(OpenInput::Growing(follower))) => follower.restore(place),
            (ReadPosition::Columns(_) | ReadPosition::Made(_), _) => Err(another_kind()),
            (ReadPosition::Files(_), Some(OpenInput::Growing(_)))
            | (ReadPosition::Growing(_) | ReadPosition::Played(..), _) => {
                Err(Error::config("the input cannot be resumed: `follow` was different at the checkpoint")
                    .with_help("undo that, or start anew with another --state"))
            }
            (ReadPosition::Files(place), _) => {
                let found = place.find(&self.files, Some(&*format), changes)?;
                (self.files, self.read, self.ahead) = (found.files, found.read, found.ahead);
                self.remarks.extend(found.remarks);
                self.seek_to(found.at, found.offset)
            }
        }
    }

    fn layout(&self) -> StreamLayout {
        let (format, schema) = (Arc::clone(&self.format), Arc::clone(&self.schema));
        StreamLayout { format, schema, chunk_size: self.options.chunk_size }
    }

    /// When the piece in hand came in, where it is live, or was.
    fn receives(&self) -> Option<Timestamp> {
        match &self.open {
            Some(OpenInput::Recording(recording)) => recording.received(),
            // History is believed as it is.
            Some(OpenInput::File(file)) if !file.blocks.is_live() || self.options.shred.is_some() => None,
            _ => Some(self.options.clock.read()),
        }
    }

    /// A tick of the clock, where one is due: nothing has come for so long.
    fn tick(&self) -> Option<Input> {
        let every = i64::try_from(self.options.ticks?.as_nanos()).ok()?;
        if matches!(self.open, None | Some(OpenInput::Recording(_))) {
            return None;
        }
        let now = self.receives()?;
        let is_due =
            |given: Timestamp| now.checked_since(given).is_none_or(|since| !(0..every).contains(&since));
        self.given.is_none_or(is_due).then(|| Batch::empty(Arc::clone(&self.schema)).into())
    }

    /// Takes note of when a piece came in, in the recording too, if there is one.
    fn note(&mut self, mut input: Option<&mut Input>) -> Result<()> {
        self.received = self.receives();
        match &mut input {
            Some(Input::Chunk(chunk)) => chunk.received = self.received,
            Some(Input::Records(Decoded { batch, .. })) => {
                batch.received = self.received;
                // What a stage makes by a tick has them.
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
            recorder.begin(&self.schema)?;
            // Every stream may have its own header.
            let head = if let Input::Chunk(chunk) = input { chunk.decoder.beginning() } else { &[] };
            recorder.add(input, self.received, self.open.as_ref().map_or("", OpenInput::stem), head)?;
        }
        Ok(())
    }
}

/// The error for a position of another kind of source.
pub(super) fn another_kind() -> Error {
    Error::config("the input cannot be resumed: at the checkpoint, a different kind of source read it")
        .with_help("undo that, or start anew with another --state")
}

impl Source for FileSource {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn begin(&mut self) -> Result<()> {
        if matches!(self.open, Some(OpenInput::Unbound)) {
            self.open = Some(self.open_at(self.at)?);
        }
        if let Some(OpenInput::Growing(follower)) = &self.open
            && follower.is_empty()
        {
            say("there is no file to follow yet: matching files are read when they appear");
        }
        Ok(())
    }

    fn next(&mut self, _sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.options.record.as_ref().map_or(Ok(()), |recorder| recorder.begin(&self.schema))?;
        let mut input = self.step()?;
        if matches!(input, Some(Input::Nothing)) {
            input = self.tick().or(input);
        }
        self.note(input.as_mut())?;
        Ok(input)
    }

    fn drain(&mut self, can_resume: bool, _sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let layout = self.layout();
        let mut left = match &mut self.open {
            Some(OpenInput::Sockets(sockets)) => sockets.drain(self.sequence),
            Some(OpenInput::File(file)) => file.drain(&layout, self.sequence)?,
            Some(OpenInput::Growing(follower)) => follower.drain(self.sequence, can_resume)?,
            None => self.unfinished.pop_front(),
            _ => None,
        };
        self.sequence += 1;
        self.note(left.as_mut())?;
        Ok(left)
    }

    fn arrival(&mut self) -> Result<Option<u64>> {
        match &mut self.open {
            Some(OpenInput::Recording(recording)) => recording.arrival(),
            _ => Ok(None),
        }
    }

    fn received(&self) -> Option<Timestamp> {
        self.received
    }

    fn offset(&self) -> Offset {
        match &self.open {
            Some(OpenInput::File(open)) => open.offset,
            Some(OpenInput::Recording(recording)) => Offset { file: 0, at: recording.played(), line: 1 },
            _ => Offset { file: self.at as u64, at: 0, line: 1 },
        }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.seek_to(offset.file as usize, offset)
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.remarks.clone();
        remarks.extend(self.format.columns().remarks());
        match &self.open {
            Some(OpenInput::Sockets(sockets)) => remarks.push(sockets.remark()),
            Some(OpenInput::Growing(follower)) => remarks.extend(follower.remarks()),
            _ => {}
        }
        remarks
    }

    fn missing(&self) -> Option<String> {
        match &self.open {
            Some(OpenInput::Recording(recording)) => recording.missing(),
            _ => None,
        }
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        if self.finishes.is_some() {
            return Ok(self.finishes.clone());
        }
        let reading = match &self.open {
            Some(OpenInput::Growing(follower)) => ReadPosition::Growing(follower.save()),
            open => {
                let offset = Offset { file: self.read.len() as u64, ..self.offset() };
                let mut files = self.read.clone();
                if self.at < self.files.len() {
                    files.push(self.seen(Some(offset.at))?);
                }
                let ahead = self.ahead.as_ref().map(|ahead| ahead.behind(self.at));
                let files = InFiles { offset, files, ahead };
                match open {
                    Some(OpenInput::Recording(recording)) => ReadPosition::Played(files, recording.place()),
                    _ => ReadPosition::Files(files),
                }
            }
        };
        let mut place = ResumePosition::new(&self.schema, reading);
        if let Some(recorder) = &self.options.record {
            recorder.begin(&self.schema)?;
            place.recorded = Some(recorder.reached()?);
        }
        place.to_bytes().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let ResumePosition { reading, recorded, .. } = ResumePosition::from_bytes(state)?;
        if self.finishes.is_none() {
            self.resume(reading)?;
        }
        // A run that is refused must not have truncated the recording.
        match (&self.options.record, &recorded) {
            (Some(recorder), Some(reached)) => recorder.resume(reached),
            _ => Ok(()),
        }
    }

    fn progress(&self) -> Progress {
        let open = self.open.as_ref().map_or(0, OpenInput::consumed);
        Progress { done: self.done + open, total: self.total }
    }

    fn bytes(&self) -> u64 {
        self.progress().done
    }
}
