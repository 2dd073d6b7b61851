//! The format of a segment of a log: its beginning, then frames of rows.
//!
//! | part | bytes |
//! |---|---|
//! | beginning | magic (8), version (4) |
//! | frame | length of its rows (4), number of their epoch (8), CRC-32C (4) of both, of its place in the segment (8) and of the rows; then the rows |
//!
//! All numbers are little-endian. A frame at another place counts as damaged.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Segment;
use crate::error::{Error, Result};
use crate::files::{FileHandle, FileSystem};

/// The beginning of a segment: magic, and the version.
pub(super) const BEGINNING: [u8; 12] = *b"tide-row\x02\0\0\0";

/// The length of the magic.
const MAGIC: usize = 8;

/// The version that this release reads. (Version 1 had one file per epoch, with other names.)
const VERSION: u32 = version(BEGINNING);

/// The length of a frame before its rows, in bytes.
const HEAD: usize = 4 + 8 + 4;

/// The head of a frame of `rows` at `place`.
///
/// # Errors
/// A data error if there are more than 4 GiB.
pub(super) fn head(epoch: u64, place: u64, rows: &[u8]) -> Result<[u8; HEAD]> {
    let length = u32::try_from(rows.len());
    let length = length.map_err(|_| {
        Error::data("more than 4 GiB of rows in one block, which exceeds the limit of the log")
    })?;
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..12].copy_from_slice(&epoch.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&place.to_le_bytes()), &head[..12]);
    head[12..].copy_from_slice(&crc32c::crc32c_append(crc, rows).to_le_bytes());
    Ok(head)
}

/// Iterates over the frames of one segment, one in memory at a time: epoch and rows, or an error, which is the last item.
#[derive(Debug)]
pub(crate) struct Frames {
    file: Arc<dyn FileHandle>,
    path: PathBuf,
    segment: Segment,
    /// The position of the next frame.
    place: u64,
    has_failed: bool,
}

impl Frames {
    /// The frames of `segment`, whose file is at `path`.
    ///
    /// # Errors
    /// An error of the system; a data error if the file has another version.
    pub(super) fn open(files: &Arc<dyn FileSystem>, path: PathBuf, segment: Segment) -> Result<Self> {
        let file = files.open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => gone(&path),
            _ => Error::io("read", path.display(), &error),
        })?;
        let place = BEGINNING.len() as u64;
        let frames = Self { file, path, segment, place, has_failed: false };
        let mut beginning = [0; BEGINNING.len()];
        beginning.copy_from_slice(&frames.bytes(0, BEGINNING.len())?);
        match version(beginning) {
            _ if beginning[..MAGIC] != BEGINNING[..MAGIC] => {
                Err(wrong(&frames.path, "it does not have the header of a log of rows"))
            }
            VERSION => Ok(frames),
            version => Err(of_version(&frames.path, version)),
        }
    }

    /// The frames of the file at `path` by itself, all `length` bytes of it.
    ///
    /// # Errors
    /// As [`Frames::open`].
    pub(crate) fn of_file(files: &Arc<dyn FileSystem>, path: PathBuf, length: u64) -> Result<Self> {
        Self::open(files, path, Segment { first: 0, last: u64::MAX, length })
    }

    fn frame(&self) -> Result<(u64, Vec<u8>)> {
        let found = self.bytes(self.place, HEAD)?;
        let number = |at: usize, count: usize| {
            found[at..at + count].iter().rev().fold(0, |number, &byte| (number << 8) | u64::from(byte))
        };
        let (length, epoch) = (number(0, 4), number(4, 8));
        let rows = self.bytes(self.place + HEAD as u64, length as usize)?;
        match head(epoch, self.place, &rows)?[..] == found[..] {
            true => Ok((epoch, rows)),
            false => Err(damaged(&self.path, self.place)),
        }
    }

    fn bytes(&self, place: u64, count: usize) -> Result<Vec<u8>> {
        if self.segment.length.saturating_sub(place) < count as u64 {
            return Err(damaged(&self.path, self.place));
        }
        let (mut bytes, mut filled) = (vec![0; count], 0);
        while filled < count {
            match self.file.read_at(&mut bytes[filled..], place + filled as u64) {
                Ok(0) => return Err(damaged(&self.path, self.place)),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", self.path.display(), &error)),
            }
        }
        Ok(bytes)
    }
}

impl Iterator for Frames {
    type Item = Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed || self.place >= self.segment.length {
            return None;
        }
        let frame = self.frame();
        match &frame {
            Ok((_, rows)) => self.place += (HEAD + rows.len()) as u64,
            Err(_) => self.has_failed = true,
        }
        Some(frame)
    }
}

/// The error for a missing segment.
pub(super) fn gone(path: &Path) -> Error {
    Error::unavailable(format!("{} is missing, and rows in it have not been delivered", path.display()))
        .with_help("restore it, or start a new run with another --state")
}

/// The error for a segment that is damaged at `place`.
pub(super) fn damaged(path: &Path, place: u64) -> Error {
    wrong(path, &format!("the rows at byte {place} are damaged"))
}

const fn version(beginning: [u8; BEGINNING.len()]) -> u32 {
    let [.., a, b, c, d] = beginning;
    u32::from_le_bytes([a, b, c, d])
}

/// The error for a segment of another version.
fn of_version(path: &Path, version: u32) -> Error {
    let path = path.display();
    let what = format!("{path} is a log of rows of version {version}; this release reads version {VERSION}");
    Error::data(what).with_help(
        "rows in it have not been delivered: use the version of tidemill that wrote it, or start a new run with another --state",
    )
}

fn wrong(path: &Path, what: &str) -> Error {
    Error::data(format!("{} is damaged: {what}", path.display())).with_help(
        "rows in it have not been delivered: restore a copy of it, or start a new run with another --state",
    )
}
