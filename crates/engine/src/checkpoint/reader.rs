//! Reads the parts of a checkpoint's file one after the other, each of which says how long it is. What is longer than the file is not
//! believed, and takes no memory.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::files::FileHandle;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// The bytes of a number take no more than this.
const LONGEST_NUMBER: usize = 10;

/// A part of a file that is read from its beginning on.
pub(super) struct Reader {
    input: BufReader<Handle>,
    /// Where the next byte is read, and where there are no more.
    place: u64,
    end: u64,
}

impl Reader {
    /// Of the bytes of `file` from `start` to `end`.
    pub(super) fn between(file: &Arc<dyn FileHandle>, start: u64, end: u64) -> Self {
        let input = BufReader::with_capacity(BUFFER, Handle { file: Arc::clone(file), place: start });
        Self { input, place: start, end }
    }

    /// Where the next byte is read.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// Whether there are no more.
    pub(super) fn is_at_end(&self) -> bool {
        self.place == self.end
    }

    /// A number, as postcard writes it.
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

    /// A length, and so many bytes.
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
            Ok(_) => Err(damaged("something follows a part of it")),
            Err(error) => Err(damaged(error)),
        }
    }

    /// A piece; `None` where no more follow.
    pub(super) fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.is_at_end() {
            return Ok(None);
        }
        let mut piece = Vec::new();
        self.bytes(&mut piece)?;
        Ok(Some(piece))
    }

    /// Passes a piece by; how long it is, 0 where it says that no more follow.
    pub(super) fn pass(&mut self) -> io::Result<u64> {
        let length = self.length()?;
        self.input.seek_relative(length.cast_signed())?;
        self.place += length;
        Ok(length)
    }

    fn length(&mut self) -> io::Result<u64> {
        let length = self.number()?;
        if length > self.end - self.place {
            Err(damaged("a part of it is longer than all"))
        } else {
            Ok(length)
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if bytes.len() as u64 > self.end - self.place {
            return Err(damaged("it ends too early"));
        }
        self.place += bytes.len() as u64;
        self.input.read_exact(bytes)
    }
}

/// The error of a file that is not as it was written.
pub(super) fn damaged(what: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// A file, read from a place on.
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
        self.place = place.ok_or_else(|| damaged("a place before its beginning"))?;
        Ok(self.place)
    }
}
