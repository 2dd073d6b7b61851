//! Records from files (clause 6): one, many, globs, directories, standard input; plain or compressed.

mod beginning;
mod blocks;
mod decompress;
mod map;
mod paths;
mod resume;
#[cfg(test)]
mod tests;
mod wait;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::beginning::beginning;
use self::blocks::{Arrival, Blocks};
pub(crate) use self::map::{MappedFile, is_local};
pub use self::paths::InputFile;
pub(super) use self::resume::place;
use super::{Input, OpenOptions, Progress, Source, Traits};
use crate::batch::Schema;
use crate::chunk::Chunk;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Bound, Format, Head};
use crate::offset::{Offset, Sequence};
use crate::sensor::SensorLookup;

/// Bytes of a file that its format may look at before the first record is read.
const HEAD: usize = 1 << 20;

/// A record may keep a reader waiting for its end for this many bytes; then it is no record.
const MAX_WAIT: usize = 16 << 20;

/// Which files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileOptions {
    /// A file, a glob, a directory, or a list of them; "-" is standard input. Text packed as .gz or .zst
    /// is decompressed. Parquet needs files.
    pub path: OneOrMany,
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
        Self { path: OneOrMany::One(path.into()) }
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

    /// The files that there are, for people.
    pub fn paths(&self, extensions: &[&str]) -> Vec<PathBuf> {
        self.files(extensions).unwrap_or_default().into_iter().filter_map(|file| file.path).collect()
    }

    /// Files end and can be read again; standard input and named pipes cannot, and whether they end is known when they have.
    pub fn traits(&self) -> Traits {
        let is_bounded = !self.patterns().iter().any(|path| paths::may_wait(path));
        Traits { is_bounded, is_replayable: is_bounded && !self.patterns().iter().any(|path| path == "-") }
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
    open: Option<OpenFile>,
    sequence: Sequence,
    /// Bytes of the files that are done, as they lie there.
    done: u64,
    total: Option<u64>,
}

/// The file that is being read.
struct OpenFile {
    name: Arc<str>,
    bound: Bound,
    blocks: Blocks,
    /// Where the next chunk begins; its line, or 0 if that is not known.
    offset: Offset,
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
        let mut blocks = Blocks::open(first, options.io)?;
        await_head(first, &mut blocks, options, |head| format.knows_columns(head))?;
        let (bytes, is_whole) = blocks.head()?;
        let schema = Arc::new(format.schema(head(first, bytes, is_whole)?)?);
        let total = files.iter().map(InputFile::len).sum();
        let mut source = Self {
            format,
            files,
            schema,
            options: options.clone(),
            at: 0,
            open: None,
            sequence: 0,
            done: 0,
            total,
        };
        source.open = Some(source.bind(0, blocks)?);
        Ok(source)
    }

    /// Makes the opened file `at` ready to be read from its first record.
    fn bind(&self, at: usize, mut blocks: Blocks) -> Result<OpenFile> {
        let file = &self.files[at];
        await_head(file, &mut blocks, &self.options, |head| self.format.can_bind(head))?;
        let (bytes, is_whole) = blocks.head()?;
        let bound = self.format.bind(head(file, bytes, is_whole)?, &self.schema)?;
        blocks.take(bound.skip_bytes)?;
        let offset = Offset { file: at as u64, at: bound.skip_bytes as u64, line: 1 + bound.skip_lines };
        Ok(OpenFile { name: Arc::clone(&file.name), bound, blocks, offset })
    }

    fn open_next(&mut self) -> Result<()> {
        self.at += 1;
        if let Some(file) = self.files.get(self.at) {
            self.open = Some(self.bind(self.at, Blocks::open(file, self.options.io)?)?);
        }
        Ok(())
    }
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

    fn next(&mut self, _sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        while let Some(open) = &mut self.open {
            match open.chunk(self.options.chunk_size, self.sequence)? {
                Next::Nothing => return Ok(Some(Input::Nothing)),
                Next::Chunk(chunk) => {
                    self.sequence += 1;
                    return Ok(Some(Input::Chunk(chunk)));
                }
                Next::End => {}
            }
            self.done += open.blocks.consumed();
            self.open = None;
            self.open_next()?;
        }
        Ok(None)
    }

    fn offset(&self) -> Offset {
        self.open.as_ref().map_or(Offset { file: self.at as u64, at: 0, line: 1 }, |open| open.offset)
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        let at = offset.file as usize;
        // An input that cannot be read twice is as it was opened: it begins anew.
        if at == self.at && self.open.as_ref().is_some_and(|open| open.blocks.is_live()) {
            return Ok(());
        }
        (self.at, self.open) = (at, None);
        let Some(file) = self.files.get(self.at) else { return Ok(()) };
        let mut open = self.bind(self.at, Blocks::open(file, self.options.io)?)?;
        if offset.at > open.offset.at && !open.blocks.is_live() {
            open.blocks.skip(offset.at - open.offset.at)?;
            open.offset = offset;
        }
        self.open = Some(open);
        Ok(())
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        resume::save(&self.files, self.offset()).map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let offset = resume::check(&self.files, state)?;
        self.seek(offset)
    }

    fn progress(&self) -> Progress {
        let open = self.open.as_ref().map_or(0, |open| open.blocks.consumed());
        Progress { done: self.done + open, total: self.total }
    }

    fn bytes(&self) -> u64 {
        self.progress().done
    }
}
