//! Which run holds a state folder: the one that has its lock, and the newest number; each run that takes the folder increments it.
//!
//! The lock keeps others out as long as the system knows its holder. A file system of another machine may forget the lock of a run that was paused; then the
//! number decides: a run whose number is not the newest must not write a checkpoint, rename, or deliver.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::small_file;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{FileHandle, FileSystem};

/// Locked by the run that uses the folder.
pub(super) const LOCK: &str = "lock";

/// The file with the number of the newest run.
const RUN: &str = "run";

/// Its temporary name.
const RUN_ASIDE: &str = ".run.new";

/// Tells whether a run still holds its state folder.
#[derive(Clone, Debug)]
pub(crate) struct Fence {
    files: Arc<dyn FileSystem>,
    folder: PathBuf,
    lock: Arc<dyn FileHandle>,
    number: u64,
}

impl Fence {
    /// Acquires the folder, whose `lock` is held, with a number above that of all earlier runs; the number is durable when this returns.
    ///
    /// # Errors
    /// If the folder was replaced; a data error if the file has no number; an I/O error.
    pub(super) fn raise(
        files: &Arc<dyn FileSystem>,
        folder: &Path,
        lock: Arc<dyn FileHandle>,
    ) -> Result<Self> {
        let before = number(&**files, folder)?;
        let fence = Self {
            files: Arc::clone(files),
            folder: folder.to_owned(),
            lock,
            number: before.unwrap_or(0) + 1,
        };
        fence.check_lock()?;
        let (path, aside) = (folder.join(RUN), folder.join(RUN_ASIDE));
        small_file::replace(&**files, &path, &aside, format!("{}\n", fence.number).as_bytes())
            .map_err(|error| Error::io("use the state folder", folder.display(), &error))?;
        Ok(fence)
    }

    /// The run's number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Checks that the folder is the one that was acquired, and that no other run has acquired it since.
    ///
    /// # Errors
    /// If it was replaced, another run has acquired it, or it cannot be inspected.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_lock()?;
        self.check_number()
    }

    /// The cause of `error`: that another run has acquired the folder, if so, since any other error may follow from that.
    pub(crate) fn cause(fence: Option<&Self>, error: Error) -> Error {
        match fence.map(Self::check_number) {
            Some(Err(taken)) => taken,
            Some(Ok(())) | None => error,
        }
    }

    fn check_number(&self) -> Result<()> {
        match number(&*self.files, &self.folder)? {
            Some(newest) if newest != self.number => {
                let (path, own) = (self.folder.display(), self.number);
                let what = format!(
                    "run {newest} has taken the state folder {path}: this one, run {own}, writes and delivers nothing more"
                );
                Err(Error::unavailable(what)
                    .with_help("that run resumes in its place; give another pipeline its own --state"))
            }
            // The file was removed, with the others of the folder or by itself.
            _ => Ok(()),
        }
    }

    fn check_lock(&self) -> Result<()> {
        let path = self.folder.display();
        match self.lock.has_name(&self.folder.join(LOCK)) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let what = format!("the state folder {path} of this run was removed, moved or replaced");
                Err(Error::new(ErrorKind::Io, what).with_help(
                    "restore it, and run again to resume from the last checkpoint; leave it where it is until the run has ended",
                ))
            }
            Err(error) => Err(Error::io("look at", path, &error)),
        }
    }
}

/// The number of the newest run; `None` if there was none.
fn number(files: &dyn FileSystem, folder: &Path) -> Result<Option<u64>> {
    let path = folder.join(RUN);
    let bytes = match files.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path.display(), &error)),
    };
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok());
    number.map(Some).ok_or_else(|| {
        Error::data(format!("{} does not contain the number of a run", path.display()))
            .with_help("make sure that no run uses the folder, remove that file, and run again")
    })
}
