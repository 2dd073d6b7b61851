//! One file that grows, read from where it was read to before.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::framing::{Framing, Layout};
use super::paths::InputFile;
use crate::error::{Error, Result};
use crate::offset::Offset;

/// A file that has lost its name is read on until it has not grown for this long: its writer may not have noticed yet.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes at the beginning of a file that tell it from another with its inode.
const BEGINNING: usize = 1 << 10;

/// One file.
pub(super) struct Tail {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) identity: Identity,
    /// CRC-32C of the first bytes, and how many those are.
    pub(super) beginning: (u32, usize),
    pub(super) framing: Framing,
    /// Where the next read begins.
    pub(super) at: u64,
    /// When it was written to last, as far as has been looked at.
    modified: Option<SystemTime>,
    /// Whether it has a name that fits.
    pub(super) is_named: bool,
    /// Since when it has not grown, or has its name.
    still: Instant,
    /// It has other columns than the input, and is not read.
    pub(super) is_refused: bool,
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

/// A file as a checkpoint has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    pub(super) beginning: (u32, usize),
    pub(super) offset: Offset,
    pub(super) is_refused: bool,
}

impl Tail {
    /// The file at `path`, to be read from its beginning.
    pub(super) fn new(path: &Path, file: File, meta: &Metadata) -> Self {
        let InputFile { name, stem, .. } = InputFile::new(path);
        Self {
            path: path.to_owned(),
            file,
            identity: identity(meta),
            beginning: (0, 0),
            framing: Framing::new(name, stem, 0),
            at: 0,
            modified: None,
            is_named: true,
            still: Instant::now(),
            is_refused: false,
        }
    }

    /// As a checkpoint or this run has left it; `None` where it is another file by now.
    pub(super) fn at_its_place(mut self, seen: &Seen, layout: &Layout) -> Result<Option<Self>> {
        let size = self.file.metadata().map_err(|error| self.failed(&error))?.len();
        let beginning = checksum(&self.file, seen.beginning.1).map_err(|error| self.failed(&error))?;
        if self.identity != seen.identity || size < seen.offset.at || beginning != seen.beginning {
            return Ok(None);
        }
        self.is_refused = seen.is_refused;
        if !self.is_refused {
            self.go_to(seen.offset, layout)?;
        }
        Ok(Some(self))
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            path: self.path.clone(),
            identity: self.identity,
            beginning: self.beginning,
            offset: self.framing.offset(),
            is_refused: self.is_refused,
        }
    }

    /// Whether it has lost its name, and has not grown for a while.
    pub(super) fn is_left(&self) -> bool {
        !self.is_named && self.still.elapsed() >= GRACE
    }

    /// Takes in what was appended.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        self.framing.push(bytes);
        self.know()
    }

    /// Whether it is shorter than what was read, or begins otherwise.
    pub(super) fn was_cut_off(&mut self) -> Result<bool> {
        let meta = self.file.metadata().map_err(|error| self.failed(&error))?;
        let modified = meta.modified().ok();
        let is_touched = std::mem::replace(&mut self.modified, modified) != modified;
        if self.is_named || is_touched {
            self.still = Instant::now();
        }
        // Where it is as long as it was and nobody has written to it, it begins as it did.
        let may_differ = is_touched || meta.len() > self.at;
        Ok(meta.len() < self.at || may_differ && self.begins_otherwise()?)
    }

    fn begins_otherwise(&self) -> Result<bool> {
        let found = checksum(&self.file, self.beginning.1).map_err(|error| self.failed(&error))?;
        Ok(found != self.beginning)
    }

    /// Remembers the first bytes, as long as more of them come.
    fn know(&mut self) -> Result<()> {
        if self.beginning.1 < BEGINNING {
            let length = BEGINNING.min(self.at as usize);
            self.beginning = checksum(&self.file, length).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    pub(super) fn begin_anew(&mut self) {
        let InputFile { name, stem, .. } = InputFile::new(&self.path);
        self.framing = Framing::new(name, stem, 0);
        (self.at, self.beginning) = (0, (0, 0));
        // What is there may have been written a moment ago, in the same tick of the clock.
        self.modified = None;
    }

    /// Goes to where a checkpoint has left it.
    fn go_to(&mut self, offset: Offset, layout: &Layout) -> Result<()> {
        if offset.at > 0 {
            let mut head = vec![0; super::HEAD.min(offset.at as usize)];
            self.file.read_exact_at(&mut head, 0).map_err(|error| self.failed(&error))?;
            self.framing.begin_at(offset, &head, layout)?;
        }
        self.at = offset.at;
        self.know()
    }

    pub(super) fn failed(&self, error: &io::Error) -> Error {
        Error::io("read", self.path.display(), error)
    }
}

pub(super) fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}

/// CRC-32C of the first `length` bytes of a file, and how many there are.
fn checksum(file: &File, length: usize) -> io::Result<(u32, usize)> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok((crc32c::crc32c(&bytes[..filled]), filled))
}
