//! Records from files (clause 6): one, many, globs, directories, standard input; plain or compressed.

mod address;
mod beginning;
mod blocks;
mod decompress;
mod follow;
mod framing;
mod map;
mod paths;
mod recording;
mod resume;
mod sockets;
#[cfg(test)]
mod tests;
mod wait;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::address::Address;
pub use self::beginning::beginning;
use self::blocks::{Arrival, Blocks};
use self::follow::Follower;
use self::framing::Layout;
pub(crate) use self::map::{MappedFile, is_local};
pub use self::paths::InputFile;
pub use self::recording::Recorder;
use self::recording::Recording;
pub(super) use self::resume::place;
use self::sockets::Sockets;
use super::{Input, OpenOptions, Progress, Source, Traits};
use crate::batch::Schema;
use crate::chunk::Chunk;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Bound, Format, Head};
use crate::offset::{Offset, Sequence};
use crate::sensor::SensorLookup;
use crate::time::Timestamp;

/// Bytes of a file that its format may look at before the first record is read.
const HEAD: usize = 1 << 20;

/// A record may keep a reader waiting for its end for this many bytes; then it is no record.
const MAX_WAIT: usize = 16 << 20;

/// Which files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileOptions {
    /// A file, a glob, a directory, or a list of them; "-" is standard input. Text packed as .gz or .zst
    /// is decompressed. Parquet needs files. A list may end with an address from which records go on coming in:
    /// "tcp-listen://host:port", "tcp://host:port", "udp://host:port", "unix-listen:///path" or "unix:///path".
    pub path: OneOrMany,
    /// Whether files are read on as they grow, and new ones that fit are read too: such as logs that are rotated.
    #[serde(default)]
    pub follow: bool,
}

/// A text or a list of texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a path or a list of paths")]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Many, in this order.
    Many(Vec<String>),
}

impl<T: Into<String>> From<T> for FileOptions {
    fn from(path: T) -> Self {
        Self { path: OneOrMany::One(path.into()), follow: false }
    }
}

impl FileOptions {
    fn patterns(&self) -> &[String] {
        match &self.path {
            OneOrMany::One(path) => std::slice::from_ref(path),
            OneOrMany::Many(paths) => paths,
        }
    }

    /// All files, in order; of directories those with one of these `extensions` (.gz and .zst may follow).
    ///
    /// # Errors
    /// When a file is not there, or a pattern fits none.
    pub fn files(&self, extensions: &[&str]) -> Result<Vec<InputFile>> {
        paths::expand(self.patterns(), extensions)
    }

    /// Opens what the options name, of one format.
    ///
    /// # Errors
    /// When a file is not there, or not of the format.
    pub fn open(
        &self,
        format: Arc<dyn Format>,
        extensions: &[&str],
        options: &OpenOptions,
    ) -> Result<FileSource> {
        let source = match self.follow {
            true => FileSource::follow(format, self, extensions, options),
            false => FileSource::open(format, self.files(extensions)?, options),
        }?;
        if let Some(recorder) = &options.record {
            recorder.begin(&source.schema)?;
        }
        Ok(source)
    }

    /// The files that there are, for people.
    pub fn paths(&self, extensions: &[&str]) -> Vec<PathBuf> {
        self.files(extensions).unwrap_or_default().into_iter().filter_map(|file| file.path).collect()
    }

    /// Files end and can be read again; standard input and named pipes cannot, and whether they end is known when they have.
    pub fn traits(&self) -> Traits {
        let is_bounded = !self.follow && !self.patterns().iter().any(|path| paths::may_wait(path));
        let is_replayable = is_bounded && !self.patterns().iter().any(|path| path == "-");
        let is_open =
            self.follow || self.patterns().iter().any(|path| !matches!(Address::parse(path), Ok(None)));
        Traits { is_bounded, is_replayable, is_open }
    }
}

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
    /// When the last piece came in, where that is recorded.
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

/// A file that is being read.
struct OpenFile {
    name: Arc<str>,
    stem: Arc<str>,
    /// What stands before the first record: a header.
    head: Vec<u8>,
    bound: Bound,
    blocks: Blocks,
    /// Where the next chunk begins; its line, or 0 if that is not known.
    offset: Offset,
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

/// What comes next in a file.
enum Next {
    Chunk(Chunk),
    Nothing,
    End,
}

impl FileSource {
    /// Opens the first of `files`, whose columns are those of the whole input.
    ///
    /// # Errors
    /// When the file cannot be read, or is not of the format.
    pub fn open(format: Arc<dyn Format>, files: Vec<InputFile>, options: &OpenOptions) -> Result<Self> {
        let first = files.first().ok_or_else(|| Error::config("`path` names no file"))?;
        if let Some(path) = first.path.as_ref().filter(|path| recording::is_recording(path)) {
            return Self::play(format, path, options);
        }
        let total = files.iter().map(InputFile::len).sum();
        let (schema, blocks) = match &first.address {
            None => {
                let mut blocks = Blocks::open(first, options.io)?;
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
            Some(blocks) => Open::File(Box::new(source.bind(0, blocks)?)),
            None => Open::Unbound,
        });
        Ok(source)
    }

    /// Plays a recording.
    fn play(format: Arc<dyn Format>, path: &Path, options: &OpenOptions) -> Result<Self> {
        let recording = Recording::open(path, Arc::clone(&format), options.speed)?;
        Ok(Self {
            format,
            files: Vec::new(),
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
        // A glob that fits nothing yet may do later, if the options say it all.
        let files = options.files(extensions).unwrap_or_default();
        let mut source = match files.iter().find(|file| !file.is_empty()) {
            Some(first) => Self::open(format, vec![first.clone()], open)?,
            None => {
                let schema = format
                    .schema(Head { name: "", stem: "", bytes: &[], is_whole: true })
                    .map_err(unnamed)?;
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
        let layout = Layout {
            format: Arc::clone(&source.format),
            schema: Arc::clone(&source.schema),
            chunk_size: open.chunk_size,
        };
        source.total = None;
        source.open = Some(Open::Growing(Box::new(Follower::open(options.patterns(), extensions, layout)?)));
        Ok(source)
    }

    /// Makes the opened file `at` ready to be read from its first record.
    fn bind(&self, at: usize, mut blocks: Blocks) -> Result<OpenFile> {
        let file = &self.files[at];
        await_head(file, &mut blocks, &self.options, |head| self.format.can_bind(head))?;
        let (bytes, is_whole) = blocks.head()?;
        let bound = self.format.bind(head(file, bytes, is_whole)?, &self.schema)?;
        let head = blocks.take(bound.skip_bytes)?.as_slice().to_vec();
        let offset = Offset { file: at as u64, at: bound.skip_bytes as u64, line: 1 + bound.skip_lines };
        let (name, stem) = (Arc::clone(&file.name), Arc::clone(&file.stem));
        Ok(OpenFile { name, stem, head, bound, blocks, offset })
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
            return Ok(Open::File(Box::new(self.bind(at, Blocks::open(file, self.options.io)?)?)));
        };
        let (format, schema) = (Arc::clone(&self.format), Arc::clone(&self.schema));
        let layout = Layout { format, schema, chunk_size: self.options.chunk_size };
        Ok(Open::Sockets(Box::new(Sockets::open(address, at as u64, layout)?)))
    }
}

fn unnamed(error: Error) -> Error {
    Error::config(format!("the columns of what is still to come must be named: {}", error.message()))
        .with_help("give `measurements`, and for csv `header = false` with `names`")
}

/// Waits until the beginning of an input that keeps its reader waiting is `enough`, or the run is to stop.
fn await_head(
    file: &InputFile,
    blocks: &mut Blocks,
    options: &OpenOptions,
    enough: impl Fn(Head<'_>) -> bool,
) -> Result<()> {
    while blocks.is_live() {
        if options.stop.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, "stopped before the input began"));
        }
        let (bytes, has_ended) = blocks.there();
        if has_ended || bytes.len() >= HEAD || enough(head(file, bytes, false)?) {
            break;
        }
        blocks.more()?;
    }
    Ok(())
}

/// What the format may look at.
///
/// # Errors
/// A data error where the first bytes say that the file is not UTF-8.
fn head<'a>(file: &'a InputFile, bytes: &'a [u8], is_whole: bool) -> Result<Head<'a>> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Error::data(format!("`{}` is UTF-16, not UTF-8", file.name))
            .with_help("convert it, such as with `iconv -f UTF-16 -t UTF-8`"));
    }
    Ok(Head { name: &file.name, stem: &file.stem, bytes, is_whole })
}

impl OpenFile {
    /// The next whole records, about `chunk_size` bytes; `None` at the end of the file.
    fn chunk(&mut self, chunk_size: usize, sequence: Sequence) -> Result<Next> {
        if self.blocks.is_live() {
            return self.live_chunk(chunk_size, sequence);
        }
        self.blocks.check_unchanged(self.offset.at)?;
        // Whether a record is too long to wait for must not depend on the size of the chunks.
        let mut wanted = chunk_size.clamp(1, MAX_WAIT);
        let length = loop {
            let (bytes, at_end) = self.blocks.peek(wanted)?;
            if bytes.is_empty() {
                // A file that was cut off just now ends here too.
                self.blocks.check_unchanged(self.offset.at)?;
                return Ok(Next::End);
            }
            match self.bound.decoder.complete(bytes, at_end) {
                0 if wanted == MAX_WAIT => return Err(self.endless()),
                0 => wanted = MAX_WAIT.min(wanted * 2),
                length => break length,
            }
        };
        self.cut(length, sequence).map(Next::Chunk)
    }

    /// The whole records that are there; waits for a moment where there are none.
    fn live_chunk(&mut self, chunk_size: usize, sequence: Sequence) -> Result<Next> {
        loop {
            let (bytes, has_ended) = self.blocks.there();
            let most = bytes.len().min(chunk_size.max(1));
            let mut length = self.bound.decoder.complete(&bytes[..most], has_ended && most == bytes.len());
            if length == 0 && most < bytes.len() {
                length = self.bound.decoder.complete(bytes, has_ended);
            }
            if length > 0 {
                return self.cut(length, sequence).map(Next::Chunk);
            }
            if bytes.len() >= MAX_WAIT {
                return Err(self.endless());
            }
            match self.blocks.more()? {
                Arrival::Bytes => {}
                Arrival::Nothing => return Ok(Next::Nothing),
                Arrival::End if self.blocks.there().0.is_empty() => return Ok(Next::End),
                Arrival::End => {}
            }
        }
    }

    fn cut(&mut self, length: usize, sequence: Sequence) -> Result<Chunk> {
        let bytes = self.blocks.take(length)?;
        let offset = self.offset;
        self.offset = Offset { at: offset.at + length as u64, line: 0, ..offset };
        let decoder = Arc::clone(&self.bound.decoder);
        let witness = self.blocks.witness();
        Ok(Chunk { sequence, file: Arc::clone(&self.name), offset, bytes, decoder, witness })
    }

    fn endless(&self) -> Error {
        let message = format!(
            "`{}` has no line end for {} MiB from byte {}",
            self.name,
            MAX_WAIT >> 20,
            self.offset.at
        );
        Error::data(message).with_help("is it the right file, and of the right type?")
    }
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
        if let (Some(recorder), Some(input), Some(open)) = (&self.options.record, &input, &self.open) {
            let (stem, head) = open.stream();
            self.received = recorder.add(input, stem, head)?;
        }
        Ok(input)
    }

    fn received(&self) -> Option<Timestamp> {
        match &self.open {
            Some(Open::Recording(recording)) => recording.received(),
            _ => self.received,
        }
    }

    fn offset(&self) -> Offset {
        match &self.open {
            Some(Open::File(open)) => open.offset,
            _ => Offset { file: self.at as u64, at: 0, line: 1 },
        }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
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
        match &self.open {
            Some(Open::Growing(follower)) => follower.save().map(Some),
            _ => resume::save(&self.files, self.offset()).map(Some),
        }
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        if let Some(Open::Growing(follower)) = &mut self.open {
            return follower.restore(state);
        }
        let offset = resume::check(&self.files, state)?;
        self.seek(offset)
    }

    fn progress(&self) -> Progress {
        let open = self.open.as_ref().map_or(0, Open::consumed);
        Progress { done: self.done + open, total: self.total }
    }

    fn bytes(&self) -> u64 {
        self.progress().done
    }
}
