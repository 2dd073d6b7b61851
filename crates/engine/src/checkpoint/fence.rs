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

/// The file that says that a run is using the folder.
pub(super) const LOCK: &str = "lock";

/// The file that has the number of the run that took the folder last.
const RUN: &str = "run";

/// Where it is written before it gets its name.
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
    /// Takes the folder, whose `lock` is held: with a number above that of all runs before, which is durable when this returns.
    ///
    /// # Errors
    /// When the folder is another one by now; a data error where the number is none; what the system says.
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

    /// Checks that the folder is the one that was taken into use, and that no other run has taken it since.
    ///
    /// # Errors
    /// When it is another one, another run has taken it, or it cannot be looked at.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_lock()?;
        self.check_number()
    }

    /// Why the run with this fence failed: another run has taken the folder, if it has, since that may be the cause of any other error; else `error`.
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
            // It was removed with the folder's other files, or by somebody for an unknown reason.
            _ => Ok(()),
        }
    }

    fn check_lock(&self) -> Result<()> {
        let path = self.folder.display();
        match self.lock.has_name(&self.folder.join(LOCK)) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let what = format!(
                    "the state folder {path} is not the one that this run uses: that was removed or moved"
                );
                Err(Error::new(ErrorKind::Io, what).with_help(
                    "leave it where it is while the run goes on; bring it back to go on from its last checkpoint, or start anew",
                ))
            }
            Err(error) => Err(Error::io("look at", path, &error)),
        }
    }
}

/// The number of the run that took a folder last; `None` where none has.
fn number(files: &dyn FileSystem, folder: &Path) -> Result<Option<u64>> {
    let path = folder.join(RUN);
    let bytes = match files.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path.display(), &error)),
    };
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok());
    number.map(Some).ok_or_else(|| {
        Error::data(format!("{} does not have the number of a run", path.display()))
            .with_help("make sure that no run uses the folder, remove that file, and run again")
    })
}
