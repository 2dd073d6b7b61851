//! The bytes of one file, block by block: mapped, read or decompressed. The caller peeks at the next bytes, then takes as many as it can
//! use.

mod damage;
mod live;
mod mapping;
mod opened;
mod read_ahead;
mod read_stream;

use std::fs::{File, Metadata};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::damage::read_error;
use self::mapping::{cannot_be_mapped, mapping};
use self::opened::Opened;
use self::read_ahead::ReadAhead;
use self::read_stream::{ReadStream, Skips};
use super::input_file::InputFile;
use super::map::MappedFile;
use super::remote::RemoteFile;
use super::seen::Seen;
use crate::batch::Bytes;
use crate::error::{Error, Result};
use crate::format::Witness;
use crate::random::Random;
use crate::source::stream::HEAD;
use crate::source::stream::wait::{self, Arrival, may_wait};
use crate::source::{Io, OpenOptions};

/// An open file.
pub(super) struct Blocks {
    name: Arc<str>,
    bytes: BlocksKind,
    /// Size and modification time at opening, of regular files.
    opened: Option<Arc<Opened>>,
    /// A file with an address: a change of it is an error of the next read.
    remote: Option<RemoteFile>,
}

enum BlocksKind {
    Mapped(MappedFile),
    Stream(ReadStream),
}

impl BlocksKind {
    /// The file `file` of `input`, which is at rest.
    fn open(input: &InputFile, file: &mut File, meta: &Metadata, io: Io) -> Result<Self> {
        let name = &input.name;
        let failed = |error| Error::io("read", name, &error);
        if let Some(member) = &input.member {
            if io == Io::Mmap {
                return Err(cannot_be_mapped(name, "it is in an archive"));
            }
            return ReadStream::of_member(member, file, name).map(Self::Stream);
        }
        if let Some(map) = mapping(file, meta, io, name)? {
            return Ok(Self::Mapped(map));
        }
        if meta.is_file()
            && let Some(stream) = ReadStream::of_parts(file).map_err(failed)?
        {
            return Ok(Self::Stream(stream));
        }
        let seekable = meta.is_file().then(|| file.try_clone()).transpose().map_err(failed)?;
        let seekable = seekable.map(|file| Box::new(file) as Box<dyn Skips>);
        let reader = Box::new(file.try_clone().map_err(failed)?);
        ReadStream::new(reader, seekable, None, name).map(Self::Stream)
    }
}

impl Blocks {
    pub(super) fn open(input: &InputFile, options: &OpenOptions) -> Result<Self> {
        if let Some(remote) = &input.remote {
            return Self::remote(&input.name, remote, options.io);
        }
        let name = Arc::clone(&input.name);
        let failed = |error| Error::io("read", &name, &error);
        let mut file = opened::open(input).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if may_wait(&meta) {
            wait::widen(&file);
            return Ok(Self::live(name, file, None));
        }
        if let Some(seed) = options.shred.filter(|_| input.member.is_none()) {
            return Ok(Self::live(name, file, Some(Random::new(seed))));
        }
        if meta.is_dir() {
            return Err(Error::config(format!("`{name}` is a folder")));
        }
        let bytes = BlocksKind::open(input, &mut file, &meta, options.io)?;
        let (size, modified) = (meta.len(), meta.modified().ok());
        let opened =
            meta.is_file().then(|| Arc::new(Opened { name: Arc::clone(&name), file, size, modified }));
        Ok(Self { name, bytes, opened, remote: None })
    }

    /// A file with an address.
    fn remote(name: &Arc<str>, file: &RemoteFile, io: Io) -> Result<Self> {
        if io == Io::Mmap {
            return Err(cannot_be_mapped(name, "it is not on this machine"));
        }
        let reader = ReadAhead::new(file);
        let skips = Box::new(reader.skips());
        let bytes = BlocksKind::Stream(ReadStream::new(Box::new(reader), Some(skips), None, name)?);
        Ok(Self { name: Arc::clone(name), bytes, opened: None, remote: Some(file.clone()) })
    }

    /// A live input, read in pieces of random sizes if those are given.
    fn live(name: Arc<str>, file: File, sizes: Option<Random>) -> Self {
        Self { name, bytes: BlocksKind::Stream(ReadStream::live(file, sizes)), opened: None, remote: None }
    }

    /// The next `wanted` bytes, or all that are left; and whether these are the last.
    pub(super) fn peek(&mut self, wanted: usize) -> Result<(&[u8], bool)> {
        match &mut self.bytes {
            BlocksKind::Mapped(map) => map.peek(wanted).map_err(|error| Error::io("map", &self.name, &error)),
            BlocksKind::Stream(stream) => stream.peek(wanted).map_err(|error| read_error(&self.name, &error)),
        }
    }

    /// Whether this is a live input, to be read with [`Blocks::more`].
    pub(super) fn is_live(&self) -> bool {
        matches!(&self.bytes, BlocksKind::Stream(ReadStream { live: Some(_), .. }))
    }

    /// The beginning, for the format; of a live input, what has arrived.
    pub(super) fn head(&mut self) -> Result<(&[u8], bool)> {
        if self.is_live() { Ok(self.there()) } else { self.peek(HEAD) }
    }

    /// The bytes read and not taken yet; and whether these are the last.
    pub(super) fn there(&self) -> (&[u8], bool) {
        match &self.bytes {
            BlocksKind::Mapped(_) => (&[], false),
            BlocksKind::Stream(stream) => (&stream.buffer, stream.has_ended),
        }
    }

    /// Reads once, waiting briefly if nothing is available.
    pub(super) fn more(&mut self) -> Result<Arrival> {
        let name = &self.name;
        match &mut self.bytes {
            BlocksKind::Mapped(_) => Ok(Arrival::End),
            BlocksKind::Stream(stream) => stream.more(name),
        }
    }

    /// Takes the next `length` bytes, which were peeked at before.
    pub(super) fn take(&mut self, length: usize) -> Result<Bytes> {
        Ok(match &mut self.bytes {
            BlocksKind::Mapped(map) => map.take(length),
            BlocksKind::Stream(stream) => stream.take(length),
        })
    }

    /// Skips `length` bytes.
    pub(super) fn skip(&mut self, length: u64) -> Result<()> {
        match &mut self.bytes {
            BlocksKind::Mapped(map) => map.skip(length),
            BlocksKind::Stream(stream) => {
                stream.skip(length).map_err(|error| read_error(&self.name, &error))?
            }
        }
        Ok(())
    }

    /// Bytes read from the file, as stored.
    pub(super) fn consumed(&self) -> u64 {
        match &self.bytes {
            BlocksKind::Mapped(map) => map.position(),
            BlocksKind::Stream(stream) => stream.consumed.load(Ordering::Relaxed),
        }
    }

    /// Detects changes of the file; `None` for anything but a regular file.
    pub(super) fn witness(&self) -> Option<Arc<dyn Witness>> {
        self.opened.clone().map(|opened| opened as Arc<dyn Witness>)
    }

    /// The state of the file for a checkpoint, once everything before `at` has been read; all of it if `None`.
    pub(super) fn seen(&self, at: Option<u64>) -> Result<Seen> {
        let is_plain = match &self.bytes {
            BlocksKind::Mapped(_) => true,
            BlocksKind::Stream(stream) => stream.is_plain,
        };
        let end = at.filter(|_| is_plain);
        if let Some(remote) = &self.remote {
            return Ok(Seen::remote(&self.name, remote, end));
        }
        let Some(opened) = &self.opened else { return Ok(Seen::stream(&self.name)) };
        let seen = Seen::file(&self.name, &opened.file, end)?;
        self.check_unchanged(at.unwrap_or(opened.size))?;
        Ok(seen)
    }

    /// As [`Witness::check_unchanged`].
    pub(super) fn check_unchanged(&self, at: u64) -> Result<()> {
        self.opened.iter().try_for_each(|opened| opened.check_unchanged(at))
    }
}
