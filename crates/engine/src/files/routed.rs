//! The file system of all paths: those of this machine, and addresses such as `s3://bucket/key`.
//!
//! A file with an address appears whole or not at all. Until it is complete it is a part file on this machine, which has the same hidden name
//! there that a local part file has beside its final name; its rename is the upload. See `staged`.

use std::ffi::OsString;
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::staged::Staging;
use super::{Access, Disk, FileHandle, FileSystem, FileType, read_exact_at, scheme};
use crate::time::Timestamp;

/// Bytes that are compared at once.
const PIECE: usize = 1 << 20;

/// The file system of all paths; unfinished files with addresses are staged in the state folder `state`, if there is one.
#[must_use]
pub fn everywhere(state: Option<&Path>) -> Arc<dyn FileSystem> {
    over(Arc::new(Disk), state)
}

/// The same, where `local` is the file system of this machine.
pub(crate) fn over(local: Arc<dyn FileSystem>, state: Option<&Path>) -> Arc<dyn FileSystem> {
    Arc::new(Routed { local, staging: Staging::of_run(state), stop: None })
}

#[derive(Debug)]
struct Routed {
    /// The file system of this machine.
    local: Arc<dyn FileSystem>,
    staging: Staging,
    /// Set when the run is to stop.
    stop: Option<Arc<AtomicBool>>,
}

/// Where a path leads.
enum Place {
    Local,
    /// A staged file, at this path.
    Staged(PathBuf),
    Remote(Remote),
}

/// The file system of an address.
enum Remote {
    Plain(&'static dyn FileSystem),
    /// Its calls fail soon when the run is to stop.
    Stopping(Arc<dyn FileSystem>),
}

impl Deref for Remote {
    type Target = dyn FileSystem;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Plain(files) => *files,
            Self::Stopping(files) => &**files,
        }
    }
}

impl Routed {
    /// The file system that an address leads to; `None` for a path of this machine.
    fn remote(&self, path: &Path) -> io::Result<Option<Remote>> {
        let Some(files) = scheme::files(path)? else { return Ok(None) };
        let stopping = self.stop.as_ref().and_then(|stop| files.until(stop));
        Ok(Some(stopping.map_or(Remote::Plain(files), Remote::Stopping)))
    }

    /// Names that begin with a dot are those of unfinished files, which are staged.
    fn place(&self, path: &Path) -> io::Result<Place> {
        let Some(files) = self.remote(path)? else { return Ok(Place::Local) };
        let is_hidden = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
        Ok(if is_hidden { Place::Staged(self.staging.path(path)) } else { Place::Remote(files) })
    }

    /// Uploads the local file `from`, then removes it. A run that is killed between the two uploads it again.
    fn publish(&self, from: &Path, to: &Path, must_be_new: bool) -> io::Result<()> {
        let Some(files) = self.remote(to)? else { return Err(elsewhere()) };
        let staged = match self.place(from)? {
            Place::Local => from.to_owned(),
            Place::Staged(staged) => staged,
            Place::Remote(_) => return Err(elsewhere()),
        };
        let file = self.local.open(&staged)?;
        match files.upload(&*file, to, must_be_new) {
            // By this run, whose request had no answer, or by one that was killed.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && is_same(&*file, &*files.open(to)?)? => {}
            uploaded => uploaded?,
        }
        self.local.remove(&staged)
    }
}

/// Whether two files have the same bytes.
fn is_same(one: &dyn FileHandle, other: &dyn FileHandle) -> io::Result<bool> {
    let size = one.size()?;
    if other.size()? != size {
        return Ok(false);
    }
    let (mut place, mut pieces) = (0, [vec![0; PIECE], vec![0; PIECE]]);
    while place < size {
        let length = usize::try_from(size - place).unwrap_or(PIECE).min(PIECE);
        for (file, piece) in [one, other].into_iter().zip(&mut pieces) {
            read_exact_at(file, &mut piece[..length], place)?;
        }
        if pieces[0][..length] != pieces[1][..length] {
            return Ok(false);
        }
        place += length as u64;
    }
    Ok(true)
}

/// The error of an operation that only files of this machine have.
fn elsewhere() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "that is possible on this machine only, not at an address")
}

/// What was found; nothing if it does not exist.
fn if_there<T: Default>(found: io::Result<T>) -> io::Result<T> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        found => found,
    }
}

impl FileSystem for Routed {
    fn kind(&self, path: &Path) -> io::Result<FileType> {
        match self.place(path)? {
            Place::Local => self.local.kind(path),
            Place::Staged(staged) => self.local.kind(&staged),
            Place::Remote(files) => files.kind(path),
        }
    }

    fn make_folder(&self, path: &Path, is_private: bool) -> io::Result<()> {
        let Some(files) = self.remote(path)? else { return self.local.make_folder(path, is_private) };
        files.make_folder(path, is_private)?;
        self.staging.make(&*self.local, path)
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        match self.place(path)? {
            Place::Local => self.local.create(path, access),
            Place::Staged(staged) => {
                self.local.create(&staged, Access::Private).map(|file| self.staging.file(file))
            }
            Place::Remote(_) => Err(elsewhere()),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        match self.place(path)? {
            Place::Local => self.local.open(path),
            Place::Staged(staged) => self.local.open(&staged).map(|file| self.staging.file(file)),
            Place::Remote(files) => files.open(path),
        }
    }

    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        match self.place(path)? {
            Place::Local => self.local.open_own(path),
            Place::Staged(staged) => self.local.open_own(&staged).map(|file| self.staging.file(file)),
            Place::Remote(_) => Err(elsewhere()),
        }
    }

    fn check_own_folder(&self, path: &Path) -> io::Result<()> {
        match self.place(path)? {
            Place::Local => self.local.check_own_folder(path),
            _ => Err(elsewhere()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.place(path)? {
            Place::Local => self.local.read(path),
            Place::Staged(staged) => self.local.read(&staged),
            Place::Remote(files) => files.read(path),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match scheme::of(to) {
            None => self.local.rename(from, to),
            Some(_) => self.publish(from, to, false),
        }
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match scheme::of(to) {
            None => self.local.rename_new(from, to),
            Some(_) => self.publish(from, to, true),
        }
    }

    fn create_twin(&self, names: [&Path; 2], bytes: &[u8]) -> io::Result<()> {
        match names.iter().all(|name| scheme::of(name).is_none()) {
            true => self.local.create_twin(names, bytes),
            // Staged files are in the state folder: they go with it, without a mark.
            false => Err(elsewhere()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match self.place(path)? {
            Place::Local => self.local.remove(path),
            Place::Staged(staged) => self.local.remove(&staged),
            Place::Remote(files) => files.remove(path),
        }
    }

    fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        match self.place(path)? {
            Place::Local => self.local.modified(path),
            Place::Staged(staged) => self.local.modified(&staged),
            Place::Remote(files) => files.modified(path),
        }
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let Some(files) = self.remote(folder)? else { return self.local.names(folder) };
        let mut names = self.unfinished(folder)?;
        names.extend(files.names(folder)?);
        Ok(names)
    }

    fn unfinished(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        match scheme::files(folder)? {
            None => self.local.unfinished(folder),
            Some(_) => if_there(self.local.names(&self.staging.path(folder))),
        }
    }

    fn files_below(
        &self,
        folder: &Path,
        is_wanted: &dyn Fn(&Path) -> bool,
    ) -> io::Result<Vec<(PathBuf, Arc<dyn FileHandle>)>> {
        match self.remote(folder)? {
            None => self.local.files_below(folder, is_wanted),
            Some(files) => files.files_below(folder, is_wanted),
        }
    }

    fn upload(&self, from: &dyn FileHandle, to: &Path, must_be_new: bool) -> io::Result<()> {
        match self.remote(to)? {
            None => self.local.upload(from, to, must_be_new),
            Some(files) => files.upload(from, to, must_be_new),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        match self.place(path)? {
            Place::Local => self.local.lock(path),
            _ => Err(elsewhere()),
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match scheme::files(folder)? {
            None => self.local.sync_folder(folder),
            // An object that was uploaded is durable.
            Some(_) => if_there(self.local.sync_folder(&self.staging.path(folder))),
        }
    }

    fn impatient(&self) -> Option<Arc<dyn FileSystem>> {
        let (local, staging) = (self.local.impatient()?, self.staging.clone());
        Some(Arc::new(Self { local, staging, stop: self.stop.clone() }))
    }

    fn until(&self, stop: &Arc<AtomicBool>) -> Option<Arc<dyn FileSystem>> {
        let local = self.local.until(stop).unwrap_or_else(|| Arc::clone(&self.local));
        Some(Arc::new(Self { local, staging: self.staging.clone(), stop: Some(Arc::clone(stop)) }))
    }
}

#[cfg(test)]
#[path = "routed_tests.rs"]
mod tests;
