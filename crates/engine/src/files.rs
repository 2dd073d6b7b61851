//! The file system for output and checkpoints: a small interface, which tests implement by a disk that fails, or that loses what was not
//! made durable.
//!
//! | module | what it has |
//! |---|---|
//! | `disk` | the file system of this machine |
//! | `scheme` | the file systems of addresses such as `s3://bucket/key`, which other crates register |
//! | `routed` | the file system of all paths: this machine's, and those |
//! | `staged` | where files with addresses are until they are complete |
//! | `patient` | a file system that waits while a disk is full |

mod disk;
#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
#[path = "../../../tests/common/of_disk.rs"]
pub(crate) mod of_disk;
pub(crate) mod path_bytes;
pub(crate) mod patient;
mod routed;
pub(crate) mod scheme;
mod staged;

pub use disk::{Disk, create_new};
pub use routed::everywhere;
pub(crate) use routed::over as everywhere_over;
pub use scheme::FileScheme;
pub use tidemill_core::paths::{Base, FilePath};

use crate::time::Timestamp;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Operations on files by path. May be called from any thread.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// What is at `path`.
    ///
    /// # Errors
    /// An I/O error; `NotFound` if nothing is there.
    fn kind(&self, path: &Path) -> io::Result<FileType>;

    /// Creates the folder `path` and its missing parents. If `is_private`, other users have no access.
    ///
    /// # Errors
    /// An I/O error.
    fn make_folder(&self, path: &Path, is_private: bool) -> io::Result<()>;

    /// Creates an empty file at `path`, where nothing may exist: neither a file nor a link.
    ///
    /// # Errors
    /// An I/O error; `AlreadyExists` if something is there.
    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>>;

    /// Opens the file at `path` for reading.
    ///
    /// # Errors
    /// An I/O error.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;

    /// Opens the file at `path`, which this user has created before, for reading and writing; never follows a link.
    ///
    /// # Errors
    /// An I/O error; `PermissionDenied` if it is a link, or a file that belongs to another user or has another hard link.
    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;

    /// Checks that only this user can create files in the folder at `path`.
    ///
    /// # Errors
    /// An I/O error; `PermissionDenied` with the reason if another user can.
    fn check_own_folder(&self, path: &Path) -> io::Result<()>;

    /// The content of the file at `path`.
    ///
    /// # Errors
    /// An I/O error.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Renames the file `from` to `to`, replacing an existing file.
    ///
    /// # Errors
    /// An I/O error.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames the file `from` to `to`, unless that exists: no two that do this at the same time succeed. An address may exist with the same bytes, since the
    /// answer to an earlier attempt may have been lost.
    ///
    /// # Errors
    /// An I/O error; `AlreadyExists` if it exists.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Creates a file of `bytes` with two hard links, neither of which may exist yet. [`FileSystem::open_own`] refuses it as long as it has
    /// both.
    ///
    /// # Errors
    /// An I/O error; `Unsupported` if there are no hard links.
    fn create_twin(&self, _names: [&Path; 2], _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes the file at `path`.
    ///
    /// # Errors
    /// An I/O error.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The modification time of the file at `path`, by the machine's clock.
    ///
    /// # Errors
    /// An I/O error; `Unsupported` if it is not recorded.
    fn modified(&self, _path: &Path) -> io::Result<Timestamp> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The names in a folder, in any order.
    ///
    /// # Errors
    /// An I/O error.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Those of the names in a folder that may be unfinished files; by default all of them.
    ///
    /// # Errors
    /// An I/O error.
    fn unfinished(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.names(folder)
    }

    /// The files below a folder, at any depth, whose path `is_wanted`: each with its handle for reading.
    ///
    /// # Errors
    /// An I/O error; `Unsupported` if they cannot be listed at once.
    fn files_below(
        &self,
        _folder: &Path,
        _is_wanted: &dyn Fn(&Path) -> bool,
    ) -> io::Result<Vec<(PathBuf, Arc<dyn FileHandle>)>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Creates the file `to`, with the content of `from`, whole or not at all. An existing file is replaced, unless the file must be new: of two that are created at
    /// the same time, one is then refused.
    ///
    /// # Errors
    /// An I/O error; `AlreadyExists` if it must be new and exists, be it by an earlier attempt whose answer was lost; `Unsupported` for the files of this machine.
    fn upload(&self, _from: &dyn FileHandle, _to: &Path, _must_be_new: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Acquires the lock represented by the file at `path`, which is created if necessary. Dropping the returned file releases it.
    ///
    /// # Errors
    /// An I/O error; `WouldBlock` if it is held.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// An I/O error.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// The same file system without waiting, if it is one that waits while a disk is full.
    fn impatient(&self) -> Option<Arc<dyn FileSystem>> {
        None
    }

    /// The same file system, whose calls fail soon after `stop` is set, if it has calls that wait for others: requests to a store.
    fn until(&self, _stop: &Arc<AtomicBool>) -> Option<Arc<dyn FileSystem>> {
        None
    }
}

/// An open file. May be used from several threads at once.
pub trait FileHandle: fmt::Debug + Send + Sync {
    /// Writes some of `bytes` at offset `place`; returns the number of bytes written.
    ///
    /// # Errors
    /// An I/O error.
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize>;

    /// Reads some bytes from offset `place` on; returns the number of bytes, 0 at the end.
    ///
    /// # Errors
    /// An I/O error; `StaleNetworkFileHandle` if the file is no longer of the [version](FileHandle::version) that was opened.
    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize>;

    /// The size in bytes.
    ///
    /// # Errors
    /// An I/O error.
    fn size(&self) -> io::Result<u64>;

    /// Truncates the file to `size` bytes.
    ///
    /// # Errors
    /// An I/O error.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Makes its content durable. After an error its content is undefined.
    ///
    /// # Errors
    /// An I/O error.
    fn sync(&self) -> io::Result<()>;

    /// Locks it until it is closed, to show that it is in use; the lock ends when the process is killed.
    ///
    /// # Errors
    /// `WouldBlock` if it is locked already; an I/O error if files cannot be locked.
    fn hold(&self) -> io::Result<()>;

    /// Whether `name` still leads to this file. A file that was removed, or whose folder was, still accepts bytes, which are lost when it
    /// is closed; one that was moved with its folder cannot be given its final name.
    ///
    /// # Errors
    /// An I/O error.
    fn has_name(&self, name: &Path) -> io::Result<bool>;

    /// What identifies the content: another content has another version. `None` for files of this machine, and where it is not known.
    fn version(&self) -> Option<String> {
        None
    }
}

/// The kind of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileType {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A pipe or a device, which takes bytes as they come.
    Stream,
}

/// Who may read a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// As the process's `umask` says.
    #[default]
    Shared,
    /// Only this user.
    Private,
}

/// Writes all of `bytes` at offset `place`.
///
/// # Errors
/// An I/O error; `WriteZero` if no more bytes are accepted.
pub fn write_all_at(file: &dyn FileHandle, mut bytes: &[u8], mut place: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, place) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => (bytes, place) = (&bytes[written..], place + written as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads all of `buffer` at offset `place`.
///
/// # Errors
/// An I/O error; `StaleNetworkFileHandle` if the file has become shorter.
pub(crate) fn read_exact_at(file: &dyn FileHandle, buffer: &mut [u8], place: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], place + filled as u64) {
            Ok(0) => return Err(io::ErrorKind::StaleNetworkFileHandle.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Creates the folder `path` and its missing parents durably. Existing parents are made durable too: a run that was killed may have
/// created them just before.
///
/// # Errors
/// An I/O error.
pub fn make_lasting_folder(files: &dyn FileSystem, path: &Path, is_private: bool) -> io::Result<()> {
    if is_address(path) {
        return files.make_folder(path, is_private);
    }
    let folders: Vec<_> = path.ancestors().take_while(|path| !path.as_os_str().is_empty()).collect();
    let mut missing = Vec::new();
    for folder in &folders {
        match kind_if_there(files, folder)? {
            None => missing.push(*folder),
            Some(_) => break,
        }
    }
    files.make_folder(path, is_private)?;
    // Each of them is a name in its parent.
    for made in folders.iter().rev().filter(|folder| **folder != Path::new("/")) {
        match files.sync_folder(folder(made)) {
            // A folder without read permission was not created by this user.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !missing.contains(made) => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// What is at `path`; `None` if nothing is.
///
/// # Errors
/// An I/O error; being unable to inspect a path does not mean that nothing is there.
pub fn kind_if_there(files: &dyn FileSystem, path: &Path) -> io::Result<Option<FileType>> {
    match files.kind(path) {
        Ok(kind) => Ok(Some(kind)),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the error means that nothing is there; nothing is below a file either.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Follows links, also to a path that does not exist yet, so that the target is written and the link stays. A circular link is returned as
/// it is; opening it will fail.
pub fn where_link_leads(path: &Path) -> PathBuf {
    if !path.is_symlink() {
        return path.to_owned();
    }
    if let Ok(there) = path.canonicalize() {
        return there;
    }
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        match place.read_link() {
            Ok(target) => place = folder(&place).join(target),
            Err(_) => return place,
        }
    }
    path.to_owned()
}

/// Maximum number of links followed, as in the system.
const MOST_LINKS: usize = 40;

/// Whether `path` is an address, such as `s3://bucket/key`, and not a path of this machine.
pub fn is_address(path: &Path) -> bool {
    scheme::of(path).is_some()
}

/// The absolute form of `path`; an address stays as it is.
pub fn absolute(path: &Path) -> PathBuf {
    let absolute = if is_address(path) { None } else { std::path::absolute(path).ok() };
    absolute.unwrap_or_else(|| path.to_owned())
}

/// The folder that contains `path`.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_leads_somewhere_also_where_nothing_is_yet() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("deep")).expect("made");
        symlink("deep/second", at("first")).expect("a link");
        symlink("new", at("deep/second")).expect("a link");
        symlink("circle", at("circle")).expect("a link");
        assert_eq!(where_link_leads(&at("first")), at("deep/new"));
        std::fs::write(at("deep/new"), b"").expect("written");
        let there = at("deep/new").canonicalize().expect("there");
        assert_eq!(where_link_leads(&at("first")), there);
        for name in ["circle", "plain"] {
            assert_eq!(where_link_leads(&at(name)), at(name));
        }
    }
}
