//! Reads the parts of a checkpoint's file, each of which begins with its length. A length beyond the end of the file is an error before memory is
//! allocated for it.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::files::FileHandle;

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// Maximum length of a number in bytes.
const LONGEST_NUMBER: usize = 10;

/// Reads a part of a file from its start.
pub(super) struct Reader {
    input: BufReader<Handle>,
    /// The offsets of the next byte and of the end.
    place: u64,
    end: u64,
}

impl Reader {
    /// Reads the bytes of `file` from `start` to `end`.
    pub(super) fn between(file: &Arc<dyn FileHandle>, start: u64, end: u64) -> Self {
        let input = BufReader::with_capacity(BUFFER, Handle { file: Arc::clone(file), place: start });
        Self { input, place: start, end }
    }

    /// The offset of the next byte.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// Whether all bytes were read.
    pub(super) fn is_at_end(&self) -> bool {
        self.place == self.end
    }

    /// Reads a number, as postcard encodes it.
    pub(super) fn number(&mut self) -> io::Result<u64> {
        let (mut bytes, mut length) = ([0; LONGEST_NUMBER], 0);
        loop {
            self.fill(&mut bytes[length..=length])?;
            length += 1;
            if bytes[length - 1] < 0x80 || length == LONGEST_NUMBER {
                return postcard::from_bytes(&bytes[..length]).map_err(damaged);
            }
        }
    }

    /// Reads a length and as many bytes.
    pub(super) fn bytes(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let length = self.length()?;
        bytes.clear();
        bytes.resize(length as usize, 0);
        self.fill(bytes)
    }

    /// A length, and so many bytes, which are a `T`.
    pub(super) fn part<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut bytes = Vec::new();
        self.bytes(&mut bytes)?;
        match postcard::take_from_bytes(&bytes) {
            Ok((part, [])) => Ok(part),
            Ok(_) => Err(damaged("bytes follow one of its parts")),
            Err(error) => Err(damaged(error)),
        }
    }

    /// Reads a piece; `None` at the end.
    pub(super) fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.is_at_end() {
            return Ok(None);
        }
        let mut piece = Vec::new();
        self.bytes(&mut piece)?;
        Ok(Some(piece))
    }

    /// Skips a piece; returns its length, which is 0 for the end of a list.
    pub(super) fn pass(&mut self) -> io::Result<u64> {
        let length = self.length()?;
        self.input.seek_relative(length.cast_signed())?;
        self.place += length;
        Ok(length)
    }

    fn length(&mut self) -> io::Result<u64> {
        let length = self.number()?;
        if length > self.end - self.place {
            Err(damaged("one of its parts is longer than the file"))
        } else {
            Ok(length)
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if bytes.len() as u64 > self.end - self.place {
            return Err(damaged("it is truncated"));
        }
        self.place += bytes.len() as u64;
        self.input.read_exact(bytes)
    }
}

/// The error for a file that is not what was written.
pub(super) fn damaged(what: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// A file and the offset of the next byte.
struct Handle {
    file: Arc<dyn FileHandle>,
    place: u64,
}

impl Read for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.place)?;
        self.place += read as u64;
        Ok(read)
    }
}

impl Seek for Handle {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
            SeekFrom::End(by) => self.file.size()?.checked_add_signed(by),
        };
        self.place = place.ok_or_else(|| damaged("an offset before its start"))?;
        Ok(self.place)
    }
}
