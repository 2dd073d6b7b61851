//! A file that is read, decompressed if necessary.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::damage::{check_no_archive, check_whole, read_error};
use crate::batch::Bytes;
use crate::error::Result;
use crate::random::Random;
use crate::source::file::archive::Member;
use crate::source::file::decompress::{self, Unpacked};
use crate::source::file::packing::{MAGIC, Packing};
use crate::source::file::parallel;

/// A file that is read: the bytes read and not taken yet.
pub(super) struct ReadStream {
    reader: Box<dyn Read + Send>,
    /// What moves the place from which `reader` reads on, if it is seekable.
    seekable: Option<Box<dyn Skips>>,
    /// Set for a live input.
    pub(super) live: Option<LiveInput>,
    pub(super) buffer: Vec<u8>,
    /// The read buffer of a live input.
    pub(super) scratch: Vec<u8>,
    /// Random read sizes, for `verify`.
    pub(super) sizes: Option<Random>,
    pub(super) has_ended: bool,
    /// Whether the input is not compressed; if it is, the decompressing thread counts the bytes.
    pub(super) is_plain: bool,
    pub(super) consumed: Arc<AtomicU64>,
}

/// Skips bytes of what a reader has not read yet.
pub(super) trait Skips: Send {
    fn skip(&mut self, length: u64) -> std::io::Result<()>;
}

/// Another descriptor of the file that is read: both share one file offset.
impl Skips for File {
    fn skip(&mut self, length: u64) -> std::io::Result<()> {
        self.seek(SeekFrom::Current(length as i64)).map(drop)
    }
}

/// A live input, from which reads may block: a pipe, a terminal, a serial line.
pub(super) enum LiveInput {
    Plain(File),
    Packed(Unpacked),
}

impl ReadStream {
    /// A live input.
    pub(super) fn live(file: File, sizes: Option<Random>) -> Self {
        Self {
            reader: Box::new(std::io::empty()),
            seekable: None,
            live: Some(LiveInput::Plain(file)),
            buffer: Vec::new(),
            scratch: Vec::new(),
            sizes,
            has_ended: false,
            is_plain: true,
            consumed: Arc::default(),
        }
    }

    /// The file `member` of the archive `file`.
    pub(super) fn of_member(member: &Member, file: &File, name: &str) -> Result<Self> {
        let consumed = Arc::new(AtomicU64::new(0));
        let unpacked = member.unpack(file, name, Arc::clone(&consumed))?;
        Self::new(Box::new(unpacked), None, Some(consumed), name)
    }

    /// The regular file `file`, if it is compressed in parts that can be decompressed at the same time.
    pub(super) fn of_parts(file: &File) -> std::io::Result<Option<Self>> {
        let consumed = Arc::default();
        let unpacked = parallel::start(file, threads(), &consumed)?;
        Ok(unpacked.map(|unpacked| Self::of_reader(Box::new(unpacked), consumed)))
    }

    /// Decompressed bytes; `consumed` counts compressed ones.
    fn of_reader(reader: Box<dyn Read + Send>, consumed: Arc<AtomicU64>) -> Self {
        Self {
            reader,
            seekable: None,
            live: None,
            buffer: Vec::new(),
            scratch: Vec::new(),
            sizes: None,
            has_ended: false,
            is_plain: false,
            consumed,
        }
    }

    /// The output of `reader`, decompressed if necessary; `unpacked` counts bytes if it comes from an archive.
    pub(super) fn new(
        mut reader: Box<dyn Read + Send>,
        seekable: Option<Box<dyn Skips>>,
        unpacked: Option<Arc<AtomicU64>>,
        name: &str,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| read_error(name, &error);
        let mut start = Vec::new();
        reader.by_ref().take(MAGIC as u64).read_to_end(&mut start).map_err(failed)?;
        check_no_archive(&start).and_then(|()| check_whole(&start, name)).map_err(failed)?;
        let mut stream = Self::of_reader(Box::new(std::io::empty()), Arc::default());
        match Packing::of(&start) {
            None => {
                stream.is_plain = unpacked.is_none();
                stream.consumed = unpacked.unwrap_or_else(|| Arc::new(AtomicU64::new(start.len() as u64)));
                (stream.reader, stream.seekable, stream.buffer) = (reader, seekable, start);
            }
            Some(packing) => {
                let packed = Box::new(std::io::Cursor::new(start).chain(reader));
                let (counts, pieces) = (Arc::default(), decompress::PieceSize::Full);
                stream.consumed = unpacked.unwrap_or_else(|| Arc::clone(&counts));
                let reader = decompress::start(packing, packed, counts, pieces, Arc::default());
                stream.reader = Box::new(reader.map_err(failed)?);
            }
        }
        Ok(stream)
    }

    pub(super) fn peek(&mut self, wanted: usize) -> std::io::Result<(&[u8], bool)> {
        // One more byte tells whether this is the end.
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

    pub(super) fn take(&mut self, length: usize) -> Bytes {
        // Moves the larger part instead of copying it.
        let rest = self.buffer[length..].to_vec();
        let taken = std::mem::replace(&mut self.buffer, rest);
        Bytes::new(taken).slice(0..length)
    }

    pub(super) fn skip(&mut self, mut length: u64) -> std::io::Result<()> {
        let buffered = length.min(self.buffer.len() as u64);
        self.buffer.drain(..buffered as usize);
        length -= buffered;
        if let Some(file) = &mut self.seekable {
            file.skip(length)?;
            self.consumed.fetch_add(length, Ordering::Relaxed);
        } else {
            std::io::copy(&mut self.reader.by_ref().take(length), &mut std::io::sink())?;
        }
        Ok(())
    }
}

/// The threads of the run; if the file is opened outside of its pool, those of the machine.
fn threads() -> usize {
    match rayon::current_thread_index() {
        Some(_) => rayon::current_num_threads(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}
