//! The file system as this crate writes to it: output and checkpoints go through one small seam, behind which tests put
//! a disk that fails, or one that forgets what was not made durable.

pub(crate) mod backoff;
pub(crate) mod path_bytes;
pub(crate) mod patient;

pub use tidemill_core::paths::{Base, FilePath};

use crate::time::Timestamp;

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What is done with files, by path.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// What is at `path`.
    ///
    /// # Errors
    /// What the system says; `NotFound` where nothing is.
    fn kind(&self, path: &Path) -> io::Result<Kind>;

    /// Makes the folder `path` and those on the way. With `is_private`, nobody else may look into it.
    ///
    /// # Errors
    /// What the system says.
    fn make_folder(&self, path: &Path, is_private: bool) -> io::Result<()>;

    /// Makes an empty file at `path`, where nothing may be yet: no file, and no link to one.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` where something is there.
    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>>;

    /// Opens the file at `path` for reading.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;

    /// Opens the file at `path`, which this user has made earlier, for reading and writing; never through a link.
    ///
    /// # Errors
    /// What the system says; `PermissionDenied` where it is a link, or a file that somebody else has made or has a name for.
    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;

    /// Checks that nobody but this user can put files into the folder at `path`.
    ///
    /// # Errors
    /// What the system says; `PermissionDenied` where somebody else can, with the reason.
    fn check_own_folder(&self, path: &Path) -> io::Result<()>;

    /// All bytes of the file at `path`.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Gives the file `from` the name `to`, in place of one that has it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// The same, unless a file has that name.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` where one has.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes a file of `bytes` that has two names, under which none may be yet. [`FileSystem::open_own`] refuses it as long as it has both.
    ///
    /// # Errors
    /// What the system says; `Unsupported` where a file has one name only.
    fn create_twin(&self, _names: [&Path; 2], _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes the file at `path`.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// When the file at `path` was last written to, by the machine's clock.
    ///
    /// # Errors
    /// What the system says; `Unsupported` where nobody keeps that.
    fn modified(&self, _path: &Path) -> io::Result<Timestamp> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The names in a folder, in any order.
    ///
    /// # Errors
    /// What the system says.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Takes the lock that the file at `path` stands for, until that file, which is given, is dropped; it is made where it is not there.
    ///
    /// # Errors
    /// What the system says; `WouldBlock` where somebody has it.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// The same without waiting, where it waits while a disk is full.
    fn impatient(&self) -> Option<Arc<dyn FileSystem>> {
        None
    }
}

/// An open file.
pub trait FileHandle: fmt::Debug + Send + Sync {
    /// Writes some of `bytes` at `place`; how many.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize>;

    /// Reads some bytes from `place` on; how many, 0 at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize>;

    /// How many bytes there are.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;

    /// Cuts it off behind `size` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Makes its content durable. After an error nothing of it can be relied on.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;

    /// Holds it until it is closed, so that others see that somebody works on it; when the process is killed, it is held no more.
    ///
    /// # Errors
    /// `WouldBlock` where somebody else holds it; what the system says where files cannot be held.
    fn hold(&self) -> io::Result<()>;

    /// Whether it is what `name` leads to. One that was removed, or whose folder was, takes bytes all the same, and they are gone when it
    /// is closed; one that was moved with its folder cannot be given its final name.
    ///
    /// # Errors
    /// What the system says.
    fn has_name(&self, name: &Path) -> io::Result<bool>;
}

/// What can be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes that stay.
    File,
    /// A folder.
    Folder,
    /// A pipe, a device: takes bytes as they come.
    Stream,
}

/// Who may read a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Whoever the system lets read what this user makes (its `umask`).
    #[default]
    Shared,
    /// This user alone.
    Private,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Shared => 0o666,
            Self::Private => 0o600,
        }
    }
}

/// The system's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

/// Writes all of `bytes` at `place`.
///
/// # Errors
/// What the system says; `WriteZero` where it takes no more.
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

/// Makes an empty file at `path`, where nothing may be yet: no file, and no link to one.
///
/// # Errors
/// What the system says; `AlreadyExists` where something is there.
pub fn create_new(path: &Path, access: Access) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(access.mode()).open(path)
}

/// The user that this process acts for.
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Makes the folder `path` and those on the way, so that they are still there after a loss of power.
///
/// # Errors
/// What the system says.
pub fn make_lasting_folder(files: &dyn FileSystem, path: &Path, is_private: bool) -> io::Result<()> {
    let mut missing = Vec::new();
    for ancestor in path.ancestors().take_while(|path| !path.as_os_str().is_empty()) {
        match kind_if_there(files, ancestor)? {
            None => missing.push(ancestor),
            Some(_) => break,
        }
    }
    files.make_folder(path, is_private)?;
    // Each of them is a name in the one above.
    missing.into_iter().rev().try_for_each(|made| files.sync_folder(folder(made)))
}

/// What is at `path`; `None` where nothing is.
///
/// # Errors
/// What the system says: that it cannot be looked at does not mean that it is not there.
pub fn kind_if_there(files: &dyn FileSystem, path: &Path) -> io::Result<Option<Kind>> {
    match files.kind(path) {
        Ok(kind) => Ok(Some(kind)),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether nothing is there: below a file there is nothing either.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Where a path leads: what a link points to is written, and the link stays, also where nothing is there yet. A link that leads in a circle
/// is as it is: whoever opens it is told.
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

/// Links that are followed one after the other, as the system does.
const MOST_LINKS: usize = 40;

/// The folder that `path` is in.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl FileSystem for Disk {
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let meta = path.metadata()?;
        Ok(match (meta.is_file(), meta.is_dir()) {
            (true, _) => Kind::File,
            (_, true) => Kind::Folder,
            _ => Kind::Stream,
        })
    }

    fn make_folder(&self, path: &Path, is_private: bool) -> io::Result<()> {
        let mode = if is_private { 0o700 } else { 0o777 };
        std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        Ok(Arc::new(create_new(path, access)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Ok(Arc::new(File::open(path)?))
    }

    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let mut options = File::options();
        let file =
            options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
        let file = file.map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => refused("it is a link now, and leads elsewhere"),
            _ => error,
        })?;
        let meta = file.metadata()?;
        match () {
            () if !meta.is_file() => Err(refused("it is no file any more")),
            () if meta.uid() != user() => Err(refused("it belongs to another user")),
            () if meta.nlink() > 1 => Err(refused("it has a second name elsewhere")),
            () => Ok(Arc::new(file)),
        }
    }

    fn check_own_folder(&self, path: &Path) -> io::Result<()> {
        let meta = path.metadata()?;
        match () {
            () if meta.uid() != user() => Err(refused("it belongs to another user")),
            () if meta.mode() & 0o022 != 0 => Err(refused("other users may write to it")),
            () => Ok(()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        // A link never replaces anything.
        std::fs::hard_link(from, to)?;
        std::fs::remove_file(from)
    }

    fn create_twin(&self, [first, second]: [&Path; 2], bytes: &[u8]) -> io::Result<()> {
        let made = create_new(first, Access::Private)?;
        let named = write_all_at(&made, bytes, 0).and_then(|()| std::fs::hard_link(first, second));
        // Where it cannot have both, it has none.
        named.or_else(|error| std::fs::remove_file(first).and(Err(error)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        let meta = path.symlink_metadata()?;
        let nanos = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        let nanos = nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        Ok(Timestamp::from_nanos(nanos))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let mut options = File::options();
        options.write(true).create(true).truncate(false).mode(Access::Private.mode());
        let file = options.custom_flags(libc::O_NOFOLLOW).open(path)?;
        hold(&file)?;
        Ok(Arc::new(file))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// Holds `file`. A child that is being started, such as an alert command, has a copy of every lock until its program begins: one that is
/// given up meanwhile seems to be held for a moment longer.
fn hold(file: &File) -> io::Result<()> {
    const TRIES: usize = 20;
    for _ in 1..TRIES {
        match file.hold() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            result => return result,
        }
    }
    file.hold()
}

/// Between two tries to hold a file.
const PAUSE: Duration = Duration::from_millis(10);

impl FileHandle for File {
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, place)
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, place)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn hold(&self) -> io::Result<()> {
        self.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })
    }

    fn has_name(&self, name: &Path) -> io::Result<bool> {
        let own = self.metadata()?;
        match name.symlink_metadata() {
            Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
            Err(error) if is_nothing(&error) => Ok(false),
            // That it cannot be looked at does not mean that it is not there.
            Err(_) => Ok(own.nlink() > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
        result.map(drop).expect_err("refused").kind()
    }

    #[test]
    fn nothing_is_made_or_opened_through_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("victim"), b"precious").expect("written");
        symlink(at("victim"), at("link")).expect("a link");
        std::fs::hard_link(at("victim"), at("second")).expect("a second name");
        for name in ["link", "second", "victim"] {
            assert_eq!(kind(Disk.create(&at(name), Access::Shared)), io::ErrorKind::AlreadyExists, "{name}");
            assert_eq!(kind(Disk.open_own(&at(name))), io::ErrorKind::PermissionDenied, "{name}");
        }
        assert!(Disk.lock(&at("link")).is_err());
        assert_eq!(std::fs::read(at("victim")).expect("there"), b"precious");
        Disk.create(&at("mine"), Access::Private).expect("made");
        assert_eq!(at("mine").metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert!(Disk.open_own(&at("mine")).is_ok());
    }

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

    #[test]
    fn a_folder_that_others_may_write_to_is_not_ones_own() {
        let folder = tempfile::tempdir().expect("a folder");
        for (mode, is_own) in [(0o700, true), (0o755, true), (0o770, false), (0o707, false), (0o1777, false)]
        {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path(), permissions).expect("set");
            assert_eq!(Disk.check_own_folder(folder.path()).is_ok(), is_own, "{mode:o}");
        }
    }
}
