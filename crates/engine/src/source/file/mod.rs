//! Records from files (clause 6): one, many, globs, directories, standard input; plain or compressed.

mod address;
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
mod descriptors;
mod find;
mod fingerprint;
mod follow;
#[cfg(test)]
mod follow_tests;
mod framing;
#[cfg(test)]
mod framing_tests;
mod input_file;
mod looks;
mod map;
mod naming;
#[cfg(test)]
mod odd_text;
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
mod sockets;
mod tail;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod turns;
mod wait;
mod wildcards;

use std::collections::VecDeque;
use std::sync::Arc;

pub use self::address::Address;
pub(super) use self::ahead::Ahead;
pub use self::archive::Member;
pub use self::beginning::beginning;
use self::blocks::Blocks;
use self::follow::Follower;
use self::framing::Layout;
pub use self::input_file::InputFile;
pub use self::map::{MappedFile, is_local};
use self::open_file::{Next, OpenFile};
pub use self::options::{FileOptions, OneOrMany};
pub use self::packing::packed_extensions;
use self::recording::{Played, Recording};
pub use self::recording::{Recorder, is_recording};
pub(super) use self::resume::{InFiles, Place, Reading, place};
pub(super) use self::seen::Seen;
use self::sockets::Sockets;
use super::{Input, OpenOptions, Progress, Source};
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::notes::say;
use crate::offset::{Offset, Sequence};
use crate::sensor::SensorLookup;
use crate::time::Timestamp;

/// Bytes of a file that its format may look at before the first record is read.
const HEAD: usize = 1 << 20;

/// A record may keep a reader waiting for its end for this many bytes; then it is no record.
const MAX_WAIT: usize = 16 << 20;

/// Reads files of one format, one after the other.
pub struct FileSource {
    format: Arc<dyn Format>,
    files: Vec<InputFile>,
    schema: Arc<Schema>,
    options: OpenOptions,
    /// The ordinal of the file that is open, or of the one after the last.
    at: usize,
    open: Option<Open>,
    sequence: Sequence,
    /// When the last piece came in, if it was live.
    received: Option<Timestamp>,
    /// Bytes of the files that are done, as they lie there.
    done: u64,
    total: Option<u64>,
    /// The files that are done, for a checkpoint.
    read: Vec<Seen>,
    /// The files that had not been begun when the run started, where checkpoints are kept.
    ahead: Option<Ahead>,
    /// The place of a run that only finishes what it has read.
    finishes: Option<Vec<u8>>,
    /// What that run had not set aside, because it could have been read again.
    unfinished: VecDeque<Input>,
    /// What is worth knowing about how it goes on after a restart.
    remarks: Vec<String>,
}

/// What is being read.
enum Open {
    File(Box<OpenFile>),
    /// An address that nobody listens at before the run begins: looking at a pipeline must not take its port.
    Unbound,
    Sockets(Box<Sockets>),
    Growing(Box<Follower>),
    Recording(Box<Recording>),
}

impl Open {
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

    /// How many bytes, as they lie there or came in, have been read.
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
    /// The next piece, of whatever is open.
    fn step(&mut self) -> Result<Option<Input>> {
        while let Some(open) = &mut self.open {
            let next = match open {
                Open::File(file) => file.chunk(self.options.chunk_size, self.sequence)?,
                Open::Unbound => {
                    self.begin()?;
                    continue;
                }
                Open::Sockets(sockets) => {
                    self.sequence += 1;
                    return sockets.next(self.sequence - 1).map(Some);
                }
                Open::Growing(follower) => {
                    self.sequence += 1;
                    return follower.next(self.sequence - 1).map(Some);
                }
                Open::Recording(recording) => {
                    self.sequence += 1;
                    return recording.next(self.sequence - 1);
                }
            };
            match next {
                Next::Nothing => return Ok(Some(Input::Nothing)),
                Next::Chunk(chunk) => {
                    self.sequence += 1;
                    return Ok(Some(Input::Chunk(chunk)));
                }
                Next::End => {}
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

    fn open_at(&self, at: usize) -> Result<Open> {
        let file = &self.files[at];
        let Some(address) = &file.address else {
            return self.bind(at, Blocks::open(file, &self.options)?);
        };
        Ok(Open::Sockets(Box::new(Sockets::open(address, at as u64, self.layout())?)))
    }

    /// Makes the opened file `at` ready to be read from its first record.
    fn bind(&self, at: usize, blocks: Blocks) -> Result<Open> {
        let file = OpenFile::bind(&self.files[at], at, blocks, &self.layout())?;
        Ok(Open::File(Box::new(file)))
    }

    /// What is remembered of what is open, when everything before `at` has been read; all of it where `None`.
    fn seen(&self, at: Option<u64>) -> Result<Seen> {
        let name = self.files.get(self.at).map_or("", |file| &file.name);
        match &self.open {
            Some(Open::File(file)) => file.blocks.seen(at),
            Some(Open::Recording(recording)) => recording.seen(name),
            _ => Ok(Seen::stream(name)),
        }
    }

    /// Goes to byte `at` of file `file`.
    fn go_to(&mut self, file: usize, offset: Offset) -> Result<()> {
        if let Some(Open::Recording(recording)) = &mut self.open {
            recording.go_to(Played::of_byte(offset.at));
            return Ok(());
        }
        // An input that cannot be read twice is as it was opened: it begins anew.
        if file == self.at && self.open.as_ref().is_some_and(Open::is_live) {
            return Ok(());
        }
        (self.at, self.open) = (file, None);
        if file >= self.files.len() {
            return Ok(());
        }
        let mut open = self.open_at(file)?;
        if let Open::File(open) = &mut open
            && offset.at > open.offset.at
            && !open.blocks.is_live()
        {
            open.blocks.skip(offset.at - open.offset.at)?;
            open.offset = Offset { file: file as u64, ..offset };
        }
        self.open = Some(open);
        Ok(())
    }

    /// Goes to the place of a checkpoint, in the same input.
    fn go_on(&mut self, reading: Reading) -> Result<()> {
        let (format, changes) = (Arc::clone(&self.format), self.options.changes);
        match (reading, &mut self.open) {
            (Reading::Played(place, played), Some(Open::Recording(recording))) => {
                place.find(&self.files, Some(&*format), changes)?;
                recording.go_to(played);
                Ok(())
            }
            (Reading::Growing(place), Some(Open::Growing(follower))) => follower.restore(place),
            (Reading::Columns(_) | Reading::Made(_), _) => Err(another_kind()),
            (Reading::Files(_), Some(Open::Growing(_))) | (Reading::Growing(_) | Reading::Played(..), _) => Err(Error::config(
                "what was read of the input cannot be found again: at the checkpoint, `follow` was another",
            )
            .with_help("undo that, or start anew with another --state")),
            (Reading::Files(place), _) => {
                let found = place.find(&self.files, Some(&*format), changes)?;
                (self.files, self.read, self.ahead) = (found.files, found.read, found.ahead);
                self.remarks.extend(found.remarks);
                self.go_to(found.at, found.offset)
            }
        }
    }

    fn layout(&self) -> Layout {
        let (format, schema) = (Arc::clone(&self.format), Arc::clone(&self.schema));
        Layout { format, schema, chunk_size: self.options.chunk_size }
    }

    /// Takes note of when a piece came in, in the recording too, if there is one.
    fn note(&mut self, mut input: Option<&mut Input>) -> Result<()> {
        self.received = match &self.open {
            Some(Open::Recording(recording)) => recording.received(),
            // History is believed as it is.
            Some(Open::File(file)) if !file.blocks.is_live() || self.options.shred.is_some() => None,
            _ => Some(self.options.clock.read()),
        };
        if let Some(Input::Chunk(chunk)) = &mut input {
            chunk.received = self.received;
        }
        if let (Some(recorder), Some(input)) = (&self.options.record, input.as_deref()) {
            recorder.begin(&self.schema)?;
            // Every stream may have a header of its own.
            let head = if let Input::Chunk(chunk) = input { chunk.decoder.beginning() } else { &[] };
            recorder.add(input, self.received, self.open.as_ref().map_or("", Open::stem), head)?;
        }
        Ok(())
    }
}

/// That a place is that of a source of another kind.
pub(super) fn another_kind() -> Error {
    Error::config(
        "what was read of the input cannot be found again: at the checkpoint, another kind of source read it",
    )
    .with_help("undo that, or start anew with another --state")
}

impl Source for FileSource {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn begin(&mut self) -> Result<()> {
        if matches!(self.open, Some(Open::Unbound)) {
            self.open = Some(self.open_at(self.at)?);
        }
        if let Some(Open::Growing(follower)) = &self.open
            && follower.is_empty()
        {
            say("no file is there yet that could be followed: those that fit are read when they come");
        }
        Ok(())
    }

    fn next(&mut self, _sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.options.record.as_ref().map_or(Ok(()), |recorder| recorder.begin(&self.schema))?;
        let mut input = self.step()?;
        self.note(input.as_mut())?;
        Ok(input)
    }

    fn drain(&mut self, goes_on: bool) -> Result<Option<Input>> {
        let layout = self.layout();
        let mut left = match &mut self.open {
            Some(Open::Sockets(sockets)) => sockets.drain(self.sequence),
            Some(Open::File(file)) => file.drain(&layout, self.sequence)?,
            Some(Open::Growing(follower)) => follower.drain(self.sequence, goes_on)?,
            None => self.unfinished.pop_front(),
            _ => None,
        };
        self.sequence += 1;
        self.note(left.as_mut())?;
        Ok(left)
    }

    fn arrival(&mut self) -> Result<Option<u64>> {
        match &mut self.open {
            Some(Open::Recording(recording)) => recording.arrival(),
            _ => Ok(None),
        }
    }

    fn received(&self) -> Option<Timestamp> {
        self.received
    }

    fn offset(&self) -> Offset {
        match &self.open {
            Some(Open::File(open)) => open.offset,
            Some(Open::Recording(recording)) => Offset { file: 0, at: recording.played(), line: 1 },
            _ => Offset { file: self.at as u64, at: 0, line: 1 },
        }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.go_to(offset.file as usize, offset)
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.remarks.clone();
        remarks.extend(self.format.columns().remarks());
        match &self.open {
            Some(Open::Sockets(sockets)) => remarks.push(sockets.remark()),
            Some(Open::Growing(follower)) => remarks.extend(follower.remarks()),
            _ => {}
        }
        remarks
    }

    fn missing(&self) -> Option<String> {
        match &self.open {
            Some(Open::Recording(recording)) => recording.missing(),
            _ => None,
        }
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        if self.finishes.is_some() {
            return Ok(self.finishes.clone());
        }
        let reading = match &self.open {
            Some(Open::Growing(follower)) => Reading::Growing(follower.save()),
            open => {
                let offset = Offset { file: self.read.len() as u64, ..self.offset() };
                let mut files = self.read.clone();
                if self.at < self.files.len() {
                    files.push(self.seen(Some(offset.at))?);
                }
                let ahead = self.ahead.as_ref().map(|ahead| ahead.behind(self.at));
                let files = InFiles { offset, files, ahead };
                match open {
                    Some(Open::Recording(recording)) => Reading::Played(files, recording.place()),
                    _ => Reading::Files(files),
                }
            }
        };
        let mut place = Place::new(&self.schema, reading);
        if let Some(recorder) = &self.options.record {
            recorder.begin(&self.schema)?;
            place.recorded = Some(recorder.reached()?);
        }
        place.to_bytes().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let Place { reading, recorded, .. } = Place::from_bytes(state)?;
        if self.finishes.is_none() {
            self.go_on(reading)?;
        }
        // A run that is refused has cut nothing off.
        match (&self.options.record, &recorded) {
            (Some(recorder), Some(reached)) => recorder.resume(reached),
            _ => Ok(()),
        }
    }

    fn progress(&self) -> Progress {
        let open = self.open.as_ref().map_or(0, Open::consumed);
        Progress { done: self.done + open, total: self.total }
    }

    fn bytes(&self) -> u64 {
        self.progress().done
    }
}
