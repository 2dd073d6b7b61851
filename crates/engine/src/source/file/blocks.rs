//! The bytes of one file, a block at a time: mapped, read, or decompressed. The reader looks at what
//! comes next, then takes as much of it as it can use.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use super::archive::{self, Member};
use super::decompress::{self, Unpacked};
use super::input_file::{InputFile, STDIN};
use super::map::MappedFile;
use super::packing::{MAGIC, Packing};
use super::seen::Seen;
use super::wait::{self, Arrival, Readable, may_wait};
use crate::batch::Bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::format::Witness;
use crate::random::Random;
use crate::source::{Io, OpenOptions};

/// Files below this size are read: mapping them costs more than it saves.
const MIN_MAPPED: u64 = 1 << 20;

/// An open file.
pub(super) struct Blocks {
    name: Arc<str>,
    bytes: Kind,
    /// Size and modification time at opening, of regular files.
    opened: Option<Arc<Opened>>,
}

struct Opened {
    name: Arc<str>,
    file: File,
    size: u64,
    modified: Option<SystemTime>,
}

enum Kind {
    Mapped(MappedFile),
    Stream(Stream),
}

/// Bytes that are read at once of an input that gives what is there.
const READ: usize = 256 << 10;

/// And where chance says how many: a few records at most, and mostly a part of one.
const SHREDS: u64 = 200;

/// A file that is read: what has been read and not taken yet.
struct Stream {
    reader: Box<dyn Read + Send>,
    /// The file itself, where it can be sought in.
    seekable: Option<File>,
    /// Where it may keep its reader waiting, what is asked for more.
    live: Option<Live>,
    buffer: Vec<u8>,
    /// Where a live file is read to.
    scratch: Vec<u8>,
    /// How many bytes at a time, where that is for chance to say.
    sizes: Option<Random>,
    has_ended: bool,
    /// Whether what is read is what lies there; if not, the decompressing thread counts.
    is_plain: bool,
    consumed: Arc<AtomicU64>,
}

/// An input that may keep its reader waiting: a pipe, a terminal, a serial line.
enum Live {
    Plain(File),
    Packed(Unpacked),
}

impl Blocks {
    pub(super) fn open(input: &InputFile, options: &OpenOptions) -> Result<Self> {
        let name = Arc::clone(&input.name);
        let failed = |error| Error::io("read", &name, &error);
        let mut file = match &input.path {
            None => stdin(),
            // A named pipe must not keep us from looking whether the run is to stop.
            Some(path) => File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path),
        }
        .map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if may_wait(&meta) {
            wait::widen(&file);
            let bytes = Kind::Stream(Stream::live(file, None));
            return Ok(Self { name, bytes, opened: None });
        }
        if let Some(seed) = options.shred.filter(|_| input.member.is_none()) {
            let bytes = Kind::Stream(Stream::live(file, Some(Random::new(seed))));
            return Ok(Self { name, bytes, opened: None });
        }
        if meta.is_dir() {
            return Err(Error::config(format!("`{name}` is a folder")));
        }
        let bytes = if let Some(member) = &input.member {
            if options.io == Io::Mmap {
                return Err(cannot_be_mapped(&name, "it is in an archive"));
            }
            Kind::Stream(Stream::of_member(member, &file, &name)?)
        } else {
            match mapping(&mut file, &meta, options.io, &name)? {
                Some(map) => Kind::Mapped(map),
                None => {
                    let twin = meta.is_file().then(|| file.try_clone()).transpose().map_err(failed)?;
                    let reader = Box::new(file.try_clone().map_err(failed)?);
                    Kind::Stream(Stream::new(reader, twin, None, &name)?)
                }
            }
        };
        let (size, modified) = (meta.len(), meta.modified().ok());
        let opened =
            meta.is_file().then(|| Arc::new(Opened { name: Arc::clone(&name), file, size, modified }));
        Ok(Self { name, bytes, opened })
    }

    /// The next `wanted` bytes, or all that are left; and whether nothing follows them.
    pub(super) fn peek(&mut self, wanted: usize) -> Result<(&[u8], bool)> {
        match &mut self.bytes {
            Kind::Mapped(map) => map.peek(wanted).map_err(|error| Error::io("map", &self.name, &error)),
            Kind::Stream(stream) => stream.peek(wanted).map_err(|error| read_error(&self.name, &error)),
        }
    }

    /// Whether the input may keep its reader waiting, so that it is asked for what is there ([`Blocks::more`]).
    pub(super) fn is_live(&self) -> bool {
        matches!(&self.bytes, Kind::Stream(Stream { live: Some(_), .. }))
    }

    /// The beginning, for the format: as much as there is of an input that keeps its reader waiting.
    pub(super) fn head(&mut self) -> Result<(&[u8], bool)> {
        if self.is_live() { Ok(self.there()) } else { self.peek(super::HEAD) }
    }

    /// What has been read and not taken yet, and whether nothing follows it.
    pub(super) fn there(&self) -> (&[u8], bool) {
        match &self.bytes {
            Kind::Mapped(_) => (&[], false),
            Kind::Stream(stream) => (&stream.buffer, stream.has_ended),
        }
    }

    /// Reads once what is there, or waits for a moment.
    pub(super) fn more(&mut self) -> Result<Arrival> {
        let name = &self.name;
        match &mut self.bytes {
            Kind::Mapped(_) => Ok(Arrival::End),
            Kind::Stream(stream) => stream.more(name),
        }
    }

    /// Takes the next `length` bytes, which have been looked at.
    pub(super) fn take(&mut self, length: usize) -> Result<Bytes> {
        Ok(match &mut self.bytes {
            Kind::Mapped(map) => map.take(length),
            Kind::Stream(stream) => stream.take(length),
        })
    }

    /// Skips `length` bytes.
    pub(super) fn skip(&mut self, length: u64) -> Result<()> {
        match &mut self.bytes {
            Kind::Mapped(map) => map.skip(length),
            Kind::Stream(stream) => stream.skip(length).map_err(|error| read_error(&self.name, &error))?,
        }
        Ok(())
    }

    /// How many bytes of the file, as it lies there, have been read.
    pub(super) fn consumed(&self) -> u64 {
        match &self.bytes {
            Kind::Mapped(map) => map.position(),
            Kind::Stream(stream) => stream.consumed.load(Ordering::Relaxed),
        }
    }

    /// Who knows whether the file changes; `None` for what is no regular file.
    pub(super) fn witness(&self) -> Option<Arc<dyn Witness>> {
        self.opened.clone().map(|opened| opened as Arc<dyn Witness>)
    }

    /// What is remembered of it, when everything before `at` has been read; all of it where `None`.
    pub(super) fn seen(&self, at: Option<u64>) -> Result<Seen> {
        let Some(opened) = &self.opened else { return Ok(Seen::stream(&self.name)) };
        let is_plain = match &self.bytes {
            Kind::Mapped(_) => true,
            Kind::Stream(stream) => stream.is_plain,
        };
        let seen = Seen::file(&self.name, &opened.file, at.filter(|_| is_plain))?;
        self.check_unchanged(at.unwrap_or(opened.size))?;
        Ok(seen)
    }

    /// As [`Witness::check_unchanged`].
    pub(super) fn check_unchanged(&self, at: u64) -> Result<()> {
        self.opened.iter().try_for_each(|opened| opened.check_unchanged(at))
    }
}

/// A file that changes while it is read gives records that were never in it together: an I/O error, since the
/// disk's content is at fault, not what the file says.
impl Witness for Opened {
    fn check_unchanged(&self, at: u64) -> Result<()> {
        let meta = self.file.metadata().map_err(|error| Error::io("look at", &self.name, &error))?;
        if meta.len() == self.size && meta.modified().ok() == self.modified {
            return Ok(());
        }
        let what = format!(
            "input changed while reading: `{}`, near byte {at}, had {} bytes and now has {}",
            self.name,
            self.size,
            meta.len()
        );
        Err(Error::new(ErrorKind::Io, what).with_help("run again when nothing writes to it, or read a copy"))
    }
}

/// Standard input. A file is opened anew at the place where it stands, so that it can be read from there more than once.
fn stdin() -> std::io::Result<File> {
    let mut file = std::io::stdin().as_fd().try_clone_to_owned().map(File::from)?;
    if !file.metadata()?.is_file() {
        return Ok(file);
    }
    let place = file.stream_position()?;
    match File::open(STDIN) {
        Ok(mut own) => own.seek(SeekFrom::Start(place)).map(|_| own),
        // One that may not be opened again is read as it is.
        Err(_) => Ok(file),
    }
}

/// Reads once what is there into `scratch`, or waits for a moment.
fn read_once(file: &mut File, scratch: &mut [u8]) -> std::io::Result<Arrival> {
    if wait::readable(&*file)? == Readable::NotYet {
        return Ok(Arrival::Nothing);
    }
    match file.read(scratch) {
        Ok(0) => Ok(Arrival::End),
        Ok(read) => Ok(Arrival::Bytes(read)),
        Err(error) if is_for_later(&error) => Ok(Arrival::Nothing),
        Err(error) => Err(error),
    }
}

fn is_for_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted)
}

fn read_error(name: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::data(format!("`{name}` is cut short: its compressed data end in the middle"))
                .with_help("fetch the file again")
        }
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
            Error::data(format!("`{name}` is damaged: {error}")).with_help("fetch the file again")
        }
        std::io::ErrorKind::Unsupported => Error::data(format!("`{name}` cannot be unpacked: {error}"))
            .with_help("unpack it with the tool that it was packed with, and read what comes out"),
        _ => Error::io("read", name, error),
    }
}

/// The map of a file where that is wanted and safe: regular, local, uncompressed.
fn mapping(file: &mut File, meta: &Metadata, io: Io, name: &str) -> Result<Option<MappedFile>> {
    if io == Io::Read || io == Io::Auto && meta.len() < MIN_MAPPED {
        return Ok(None);
    }
    let why_not = if !meta.is_file() {
        Some("it is not a regular file")
    } else if !super::map::is_local(file) {
        Some("it is on a network file system")
    } else if Packing::of_file(file).map_err(|error| Error::io("read", name, &error))?.is_some() {
        Some("it is compressed")
    } else if meta.len() == 0 {
        Some("it is empty")
    } else {
        None
    };
    match (why_not, io) {
        (None, _) => {
            MappedFile::open(file, meta.len()).map(Some).map_err(|error| Error::io("map", name, &error))
        }
        (Some(why), Io::Mmap) if meta.len() > 0 => Err(cannot_be_mapped(name, why)),
        _ => Ok(None),
    }
}

fn cannot_be_mapped(name: &str, why: &str) -> Error {
    Error::config(format!("`{name}` cannot be mapped: {why}")).with_help("use `--io auto` or `--io read`")
}

/// What begins with `start` must be no archive: those in files have been opened before.
fn check_no_archive(start: &[u8]) -> std::io::Result<()> {
    let why = "it is a zip archive, and those are read from files only, and not out of one another";
    if archive::begins(start) {
        Err(std::io::Error::new(std::io::ErrorKind::Unsupported, why))
    } else {
        Ok(())
    }
}

/// `start`, the first bytes of what is called `name`, must not be all that is left of something packed.
fn check_whole(start: &[u8], name: &str) -> std::io::Result<()> {
    if Packing::is_cut(start, name) { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

impl Stream {
    /// Gives what is there.
    fn live(file: File, sizes: Option<Random>) -> Self {
        Self {
            reader: Box::new(std::io::empty()),
            seekable: None,
            live: Some(Live::Plain(file)),
            buffer: Vec::new(),
            scratch: Vec::new(),
            sizes,
            has_ended: false,
            is_plain: true,
            consumed: Arc::default(),
        }
    }

    fn more(&mut self, name: &str) -> Result<Arrival> {
        let arrived = match &mut self.live {
            None => return Ok(Arrival::End),
            Some(Live::Plain(file)) => {
                let most = self.sizes.as_mut().map_or(READ, |sizes| 1 + sizes.below(SHREDS) as usize);
                self.scratch.resize(most.max(self.scratch.len()), 0);
                read_once(file, &mut self.scratch[..most])
            }
            Some(Live::Packed(unpacked)) => unpacked.next(&mut self.scratch),
        };
        let arrived = arrived.map_err(|error| read_error(name, &error))?;
        match arrived {
            Arrival::Bytes(read) => {
                self.buffer.extend_from_slice(&self.scratch[..read]);
                if self.is_plain {
                    self.note_plain(read as u64).map_err(|error| read_error(name, &error))?;
                }
            }
            Arrival::Nothing => {}
            Arrival::End => {
                if self.is_plain && self.is_start() {
                    check_whole(&self.buffer, name).map_err(|error| read_error(name, &error))?;
                }
                self.has_ended = true;
            }
        }
        Ok(arrived)
    }

    /// Counts what has been read last, and looks whether it is the beginning of something packed, whose magic number may come in pieces.
    fn note_plain(&mut self, read: u64) -> std::io::Result<()> {
        let before = self.consumed.fetch_add(read, Ordering::Relaxed);
        if before >= MAGIC as u64 || !self.is_start() {
            return Ok(());
        }
        check_no_archive(&self.buffer)?;
        Packing::of(&self.buffer).map_or(Ok(()), |packing| self.unpack(packing))
    }

    /// Whether all that has been read is there still.
    fn is_start(&self) -> bool {
        self.buffer.len() as u64 == self.consumed.load(Ordering::Relaxed)
    }

    /// What came is packed: from here on, what it unpacks to comes.
    fn unpack(&mut self, packing: Packing) -> std::io::Result<()> {
        let Some(Live::Plain(file)) = self.live.take() else { return Ok(()) };
        let start = std::io::Cursor::new(std::mem::take(&mut self.buffer));
        let is_gone = Arc::new(AtomicBool::new(false));
        let packed = start.chain(wait::Patient { file, is_gone: Arc::clone(&is_gone) });
        let pieces = decompress::Pieces::AsTheyCome;
        let unpacked =
            decompress::start(packing, Box::new(packed), Arc::clone(&self.consumed), pieces, is_gone)?;
        self.live = Some(Live::Packed(unpacked));
        self.consumed.store(0, Ordering::Relaxed);
        self.is_plain = false;
        Ok(())
    }

    /// The file `member` of the archive `file`.
    fn of_member(member: &Member, file: &File, name: &str) -> Result<Self> {
        let consumed = Arc::new(AtomicU64::new(0));
        let unpacked = member.unpack(file, name, Arc::clone(&consumed))?;
        Self::new(Box::new(unpacked), None, Some(consumed), name)
    }

    /// What `reader` gives, unpacked where it is packed; `unpacked` counts where it comes out of an archive.
    fn new(
        mut reader: Box<dyn Read + Send>,
        seekable: Option<File>,
        unpacked: Option<Arc<AtomicU64>>,
        name: &str,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| read_error(name, &error);
        let mut start = Vec::new();
        reader.by_ref().take(MAGIC as u64).read_to_end(&mut start).map_err(failed)?;
        check_no_archive(&start).and_then(|()| check_whole(&start, name)).map_err(failed)?;
        let mut stream = Self {
            reader: Box::new(std::io::empty()),
            seekable: None,
            live: None,
            buffer: Vec::new(),
            scratch: Vec::new(),
            sizes: None,
            has_ended: false,
            is_plain: false,
            consumed: Arc::default(),
        };
        match Packing::of(&start) {
            None => {
                stream.is_plain = unpacked.is_none();
                stream.consumed = unpacked.unwrap_or_else(|| Arc::new(AtomicU64::new(start.len() as u64)));
                (stream.reader, stream.seekable, stream.buffer) = (reader, seekable, start);
            }
            Some(packing) => {
                let packed = Box::new(std::io::Cursor::new(start).chain(reader));
                let (counts, pieces) = (Arc::default(), decompress::Pieces::Full);
                stream.consumed = unpacked.unwrap_or_else(|| Arc::clone(&counts));
                let reader = decompress::start(packing, packed, counts, pieces, Arc::default());
                stream.reader = Box::new(reader.map_err(failed)?);
            }
        }
        Ok(stream)
    }

    fn peek(&mut self, wanted: usize) -> std::io::Result<(&[u8], bool)> {
        // One byte more tells whether anything follows.
        if self.buffer.len() <= wanted && !self.has_ended {
            let missing = wanted + 1 - self.buffer.len();
            self.buffer.reserve_exact(missing);
            let read = self.reader.by_ref().take(missing as u64).read_to_end(&mut self.buffer)?;
            self.has_ended = read < missing;
            if self.is_plain {
                self.consumed.fetch_add(read as u64, Ordering::Relaxed);
            }
        }
        let length = self.buffer.len().min(wanted);
        Ok((&self.buffer[..length], self.has_ended && length == self.buffer.len()))
    }

    fn take(&mut self, length: usize) -> Bytes {
        // The larger part is moved, not copied.
        let rest = self.buffer[length..].to_vec();
        let taken = std::mem::replace(&mut self.buffer, rest);
        Bytes::new(taken).slice(0..length)
    }

    fn skip(&mut self, mut length: u64) -> std::io::Result<()> {
        let buffered = length.min(self.buffer.len() as u64);
        self.buffer.drain(..buffered as usize);
        length -= buffered;
        if let Some(file) = &mut self.seekable {
            // The twin shares the reader's place in the file.
            file.seek(SeekFrom::Current(length as i64))?;
            self.consumed.fetch_add(length, Ordering::Relaxed);
        } else {
            std::io::copy(&mut self.reader.by_ref().take(length), &mut std::io::sink())?;
        }
        Ok(())
    }
}
