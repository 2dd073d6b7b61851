//! The file system of this machine.

use super::{Access, FileHandle, FileSystem, FileType, is_nothing, write_all_at};
use crate::time::Timestamp;

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl FileSystem for Disk {
    fn kind(&self, path: &Path) -> io::Result<FileType> {
        let meta = path.metadata()?;
        Ok(match (meta.is_file(), meta.is_dir()) {
            (true, _) => FileType::File,
            (_, true) => FileType::Folder,
            _ => FileType::Stream,
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
            Some(libc::ELOOP) => refused("it is now a link to another file"),
            _ => error,
        })?;
        let meta = file.metadata()?;
        match () {
            () if !meta.is_file() => Err(refused("it is no longer a regular file")),
            () if meta.uid() != user() => Err(refused("it belongs to another user")),
            () if meta.nlink() > 1 => Err(refused("it has another hard link")),
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
        // A hard link never replaces a file.
        std::fs::hard_link(from, to)?;
        std::fs::remove_file(from)
    }

    fn create_twin(&self, [first, second]: [&Path; 2], bytes: &[u8]) -> io::Result<()> {
        let made = create_new(first, Access::Private)?;
        let named = write_all_at(&made, bytes, 0).and_then(|()| std::fs::hard_link(first, second));
        // If the second link fails, remove the first.
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

/// Locks `file`. A child process being started, such as an alert command, has a copy of every lock until its program begins, so a lock that
/// is released meanwhile seems held for a moment longer.
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

/// Pause between two attempts to lock a file.
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
            // Being unable to inspect it does not mean that it is gone.
            Err(_) => Ok(own.nlink() > 0),
        }
    }
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Shared => 0o666,
            Self::Private => 0o600,
        }
    }
}

/// Creates an empty file at `path`, where nothing may exist: neither a file nor a link.
///
/// # Errors
/// An I/O error; `AlreadyExists` if something is there.
pub fn create_new(path: &Path, access: Access) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(access.mode()).open(path)
}

/// The effective user of this process.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

pub(super) fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
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
