//! What a checkpoint records of a part file, and whether the file is still the same.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::checksum;
use crate::error::{Error, Result};
use crate::files::{FileHandle, FileSystem, folder, kind_if_there, path_bytes};

/// What a checkpoint records of a part file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPart {
    /// Its final name.
    #[serde(with = "path_bytes")]
    pub path: PathBuf,
    /// Its temporary name.
    #[serde(with = "path_bytes")]
    pub part: PathBuf,
    /// The number of bytes that belong to the checkpoint; what was written after them is truncated.
    pub length: u64,
    /// The CRC-32C of these bytes.
    pub crc: u32,
    /// The CRC-32C of the last 4 KiB of them.
    pub end: u32,
}

/// The name that a file of a checkpoint has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its temporary name.
    Unpublished,
    /// Its final name: it is complete.
    Published,
}

impl SavedPart {
    /// Checks that the file exists and that all bytes are those of the checkpoint; returns which name it has.
    ///
    /// # Errors
    /// If it does not exist; a data error if it has changed.
    pub fn check(&self, files: &dyn FileSystem) -> Result<Phase> {
        let (handle, phase) = self.open(files)?;
        self.check_all(&*handle, phase).map(|()| phase)
    }

    /// Checks that the file has its final name, and its length. The bytes are not read, as there may be many.
    ///
    /// # Errors
    /// If it does not; an I/O error.
    pub fn check_published(&self, files: &dyn FileSystem) -> Result<()> {
        let (path, length) = (self.path.display(), self.length);
        let wrong = |what: &str| {
            Error::unavailable(format!("the run has ended, but {path}, which it wrote, {what}"))
                .with_help("restore it, or start a new run with another --state")
        };
        match files.open(&self.path).and_then(|file| file.size()) {
            Ok(size) if size == length => Ok(()),
            Ok(size) => Err(wrong(&format!("has {size} bytes instead of {length}"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(wrong("does not exist")),
            Err(error) => Err(Error::io("look at", path, &error)),
        }
    }

    /// Opens the file to resume; returns the name that it has, and its last bytes. All bytes of a complete file are checked; of a part file, which may be long and
    /// belongs to this run, only the last ones.
    pub(super) fn find(&self, files: &dyn FileSystem) -> Result<(Arc<dyn FileHandle>, Phase, Vec<u8>)> {
        let (handle, phase) = self.open(files)?;
        let failed = |error: io::Error| Error::io("read", self.name(phase).display(), &error);
        let end = checksum::end(&*handle, self.length).map_err(failed)?;
        match phase {
            Phase::Published => self.check_all(&*handle, phase)?,
            Phase::Unpublished => {
                let size = handle.size().map_err(failed)?;
                let found = crc32c::crc32c(&end);
                if size < self.length || found != self.end {
                    return Err(self.changed(phase, "the last of them with", self.end, size, found));
                }
            }
        }
        Ok((handle, phase, end))
    }

    /// Checks that the open part file `handle`, to which nothing more is written, has its length and its last bytes.
    pub(crate) fn check_closed(&self, handle: &dyn FileHandle) -> Result<()> {
        let look = || Ok((handle.size()?, crc32c::crc32c(&checksum::end(handle, self.length)?)));
        let looked: io::Result<(u64, u32)> = look();
        let (size, found) = looked.map_err(|error| Error::io("read", self.part.display(), &error))?;
        match size == self.length && found == self.end {
            true => Ok(()),
            false => Err(self.changed(Phase::Unpublished, "the last of them with", self.end, size, found)),
        }
    }

    fn check_all(&self, handle: &dyn FileHandle, phase: Phase) -> Result<()> {
        let look = || Ok((handle.size()?, checksum::all(handle, self.length)?));
        let looked: io::Result<(u64, u32)> = look();
        let (size, found) = looked.map_err(|error| Error::io("read", self.name(phase).display(), &error))?;
        let is_longer = phase == Phase::Published && size != self.length;
        if size < self.length || found != self.crc || is_longer {
            return Err(self.changed(phase, "with", self.crc, size, found));
        }
        Ok(())
    }

    fn name(&self, phase: Phase) -> &Path {
        if phase == Phase::Published { &self.path } else { &self.part }
    }

    fn changed(&self, phase: Phase, what: &str, crc: u32, size: u64, found: u32) -> Error {
        let (name, length) = (self.name(phase).display(), self.length);
        let message = format!(
            "{name} has changed since the checkpoint: then it had {length} bytes, {what} CRC-32C {crc:08x}; now it has {size}, CRC-32C {found:08x}"
        );
        Error::data(message)
            .with_help("something else has written to it: start a new run with another --state")
    }

    fn open(&self, files: &dyn FileSystem) -> Result<(Arc<dyn FileHandle>, Phase)> {
        let failed = |path: &Path, error: &io::Error| Error::io("resume", path.display(), error);
        match files.open_own(&self.part) {
            Ok(handle) => return Ok((handle, Phase::Unpublished)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&self.part, &error)),
        }
        match files.open(&self.path) {
            Ok(handle) => Ok((handle, Phase::Published)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (part, path) = (self.part.display(), self.path.display());
                Err(Error::unavailable(format!("neither {part} nor {path} exists")).with_help(
                    "the checkpoint refers to that file: restore it, or start a new run with another --state",
                ))
            }
            Err(error) => Err(failed(&self.path, &error)),
        }
    }
}

/// If `written` is a link by now, checks that `path`, where it leads, is the final name of `made` or has its part file beside it: when the run began, it may have
/// been another link, or none.
pub(super) fn check_link(
    files: &dyn FileSystem,
    written: &Path,
    path: &Path,
    made: &SavedPart,
) -> Result<()> {
    let beside = folder(path).join(made.part.file_name().unwrap_or_default());
    let is_same = std::path::absolute(path).is_ok_and(|path| path == made.path);
    if !written.is_symlink() || is_same || matches!(kind_if_there(files, &beside), Ok(Some(_))) {
        return Ok(());
    }
    let (written, path, part) = (written.display(), path.display(), made.part.display());
    Err(Error::unavailable(format!(
        "{written} is a link to {path} now, but the checkpoint refers to {part}, which does not exist"
    ))
    .with_help(
        "remove the link, or restore what was there when the run began; or start a new run with another --state",
    ))
}
