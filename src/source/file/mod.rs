//! Records from files (clause 6): one, many, globs, directories, standard input; plain or compressed.

mod address;
mod beginning;
mod blocks;
mod decompress;
mod descriptors;
mod follow;
mod framing;
mod gunzip;
mod map;
mod open_file;
mod options;
mod paths;
mod recording;
mod resume;
mod sockets;
mod tail;
#[cfg(test)]
mod tests;
mod wait;

use std::path::Path;
use std::sync::Arc;

pub use self::address::Address;
pub use self::beginning::beginning;
use self::blocks::Blocks;
use self::follow::Follower;
use self::framing::Layout;
pub(crate) use self::map::{MappedFile, is_local};
use self::open_file::{Next, OpenFile, await_head, head};
pub use self::options::{FileOptions, OneOrMany};
pub use self::paths::InputFile;
use self::recording::Recording;
pub use self::recording::{Recorder, is_recording};
use self::resume::Place;
pub(super) use self::resume::place;
use self::sockets::Sockets;
use super::{Input, OpenOptions, Progress, Source};
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::format::{Format, Head};
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

    /// The stem of the stream that was read last, and what stood before its first record. Whoever sends over a socket sends
    /// columns that the options name, so that nothing before them matters.
    fn stream(&self) -> (&str, &[u8]) {
        match self {
            Self::File(file) => (&file.stem, &file.head),
            Self::Growing(follower) => follower.stream(),
            Self::Sockets(sockets) => (sockets.stem(), &[]),
            Self::Unbound | Self::Recording(_) => ("", &[]),
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
    /// Opens the first of `files`, whose columns are those of the whole input.
    ///
    /// # Errors
    /// When the file cannot be read, or is not of the format.
    pub fn open(format: Arc<dyn Format>, files: Vec<InputFile>, options: &OpenOptions) -> Result<Self> {
        let first = files.first().ok_or_else(|| Error::config("`path` names no file"))?;
        if let Some(path) = first.path.as_ref().filter(|path| recording::is_recording(path)) {
            return Self::play(format, first, path, options);
        }
        let total = files.iter().map(InputFile::len).sum();
        let (schema, blocks) = match &first.address {
            None => {
                let mut blocks = Blocks::open(first, options)?;
                await_head(first, &mut blocks, options, |head| format.knows_columns(head))?;
                let (bytes, is_whole) = blocks.head()?;
                (format.schema(head(first, bytes, is_whole)?)?, Some(blocks))
            }
            // Nobody has sent anything yet: the options have to say it all.
            Some(_) => (format.schema(head(first, &[], true)?).map_err(unnamed)?, None),
        };
        let options = options.clone();
        let schema = Arc::new(schema);
        let mut source = Self {
            format,
            files,
            schema,
            options,
            at: 0,
            open: None,
            sequence: 0,
            received: None,
            done: 0,
            total,
        };
        source.open = Some(match blocks {
            Some(blocks) => source.bind(0, blocks)?,
            None => Open::Unbound,
        });
        Ok(source)
    }

    /// Plays a recording.
    fn play(format: Arc<dyn Format>, file: &InputFile, path: &Path, options: &OpenOptions) -> Result<Self> {
        let recording = Recording::open(path, Arc::clone(&format), options.speed)?;
        Ok(Self {
            format,
            files: vec![file.clone()],
            schema: Arc::clone(recording.schema()),
            options: options.clone(),
            at: 0,
            open: Some(Open::Recording(Box::new(recording))),
            sequence: 0,
            received: None,
            done: 0,
            total: None,
        })
    }

    /// Follows `files`, which grow; the columns are those of the first that is there, or what the options say.
    ///
    /// # Errors
    /// When nothing says what the columns are.
    pub fn follow(
        format: Arc<dyn Format>,
        options: &FileOptions,
        extensions: &[&str],
        open: &OpenOptions,
    ) -> Result<Self> {
        if let Some(path) =
            options.patterns().iter().find(|path| *path == "-" || !matches!(Address::parse(path), Ok(None)))
        {
            return Err(Error::config(format!("`{path}` is no file that could be followed"))
                .with_help("leave `follow` out: what comes in there is read as it comes anyway"));
        }
        if let Some(path) = options.patterns().iter().find(|path| paths::is_packed(Path::new(path))) {
            return Err(Error::config(format!("`{path}` is packed, and packed files do not grow"))
                .with_help(
                    "leave `follow` out to read it as it is, or follow the file before it is packed",
                ));
        }
        // A glob that fits nothing yet may do later, if the options say it all.
        let files = options.files(extensions).unwrap_or_default();
        let is_plain = |file: &&InputFile| !file.path.as_ref().is_some_and(|path| paths::is_packed(path));
        let mut source = match files.iter().filter(is_plain).find(|file| !file.is_empty()) {
            Some(first) => Self::open(format, vec![first.clone()], open)?,
            None => {
                let name = options.patterns().first().map_or("", String::as_str);
                let schema =
                    format.schema(Head { name, stem: "", bytes: &[], is_whole: true }).map_err(unnamed)?;
                Self {
                    format,
                    files: Vec::new(),
                    schema: Arc::new(schema),
                    options: open.clone(),
                    at: 0,
                    open: None,
                    sequence: 0,
                    received: None,
                    done: 0,
                    total: None,
                }
            }
        };
        source.total = None;
        let follower = Follower::open(options.patterns(), extensions, source.layout())?;
        source.open = Some(Open::Growing(Box::new(follower)));
        Ok(source)
    }

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
        let file = OpenFile::bind(&self.files[at], at, blocks, &self.layout(), &self.options)?;
        Ok(Open::File(Box::new(file)))
    }

    fn layout(&self) -> Layout {
        let (format, schema) = (Arc::clone(&self.format), Arc::clone(&self.schema));
        Layout { format, schema, chunk_size: self.options.chunk_size }
    }

    /// Takes note of when a piece came in, in the recording too, if there is one.
    fn note(&mut self, input: Option<&Input>) -> Result<()> {
        self.received = match &self.open {
            Some(Open::Recording(recording)) => recording.received(),
            // History is believed as it is.
            Some(Open::File(file)) if !file.blocks.is_live() || self.options.shred.is_some() => None,
            _ => Some(self.options.clock.read()),
        };
        if let (Some(recorder), Some(input), Some(open)) = (&self.options.record, input, &self.open) {
            let (stem, head) = open.stream();
            recorder.add(input, self.received, stem, head)?;
        }
        Ok(())
    }
}

fn unnamed(error: Error) -> Error {
    Error::config(format!("the columns of what is still to come must be named: {}", error.message()))
        .with_help("give `measurements`, and for csv `header = false` with `names`")
}

impl Source for FileSource {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn begin(&mut self) -> Result<()> {
        if matches!(self.open, Some(Open::Unbound)) {
            self.open = Some(self.open_at(self.at)?);
        }
        Ok(())
    }

    fn next(&mut self, _sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let input = self.step()?;
        self.note(input.as_ref())?;
        Ok(input)
    }

    fn drain(&mut self) -> Result<Option<Input>> {
        let layout = self.layout();
        let left = match &mut self.open {
            Some(Open::Sockets(sockets)) => sockets.drain(self.sequence),
            Some(Open::File(file)) => file.drain(&layout, self.sequence)?,
            _ => None,
        };
        self.sequence += 1;
        self.note(left.as_ref())?;
        Ok(left)
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
        if let Some(Open::Recording(recording)) = &mut self.open {
            return recording.seek(offset.at);
        }
        let at = offset.file as usize;
        // An input that cannot be read twice is as it was opened: it begins anew.
        if at == self.at && self.open.as_ref().is_some_and(Open::is_live) {
            return Ok(());
        }
        (self.at, self.open) = (at, None);
        if at >= self.files.len() {
            return Ok(());
        }
        let mut open = self.open_at(at)?;
        if let Open::File(open) = &mut open
            && offset.at > open.offset.at
            && !open.blocks.is_live()
        {
            open.blocks.skip(offset.at - open.offset.at)?;
            open.offset = offset;
        }
        self.open = Some(open);
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        match &self.open {
            Some(Open::Sockets(sockets)) => vec![sockets.remark()],
            Some(Open::Growing(follower)) => follower.remarks(),
            Some(Open::Recording(recording)) => recording.remarks(),
            _ => Vec::new(),
        }
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        let place = match &self.open {
            Some(Open::Growing(follower)) => Place::Growing(follower.save()?),
            _ => Place::Files(resume::save(&self.files, self.offset())?),
        };
        place.to_bytes().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        match (Place::from_bytes(state)?, &mut self.open) {
            (Place::Growing(place), Some(Open::Growing(follower))) => follower.restore(&place),
            (Place::Files(_), Some(Open::Growing(_))) | (Place::Growing(_), _) => Err(Error::config(
                "what was read of the input cannot be found again: at the checkpoint, `follow` was another",
            )
            .with_help("undo that, or start anew with another --state")),
            (Place::Files(place), _) => self.seek(resume::check(&self.files, &place)?),
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
