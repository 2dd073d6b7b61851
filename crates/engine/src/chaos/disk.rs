//! The disk of a run under faults: at times it is full, and at some of its calls the process is killed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::faults::Faults;
use crate::files::{Access, FileHandle, FileSystem, FileType};
use crate::time::Timestamp;

/// The same file system, under faults.
#[derive(Debug)]
pub(super) struct FaultyDisk {
    pub(super) inner: Arc<dyn FileSystem>,
    pub(super) faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn FileHandle>,
    faults: Arc<Faults>,
}

impl FaultyDisk {
    fn file(&self, inner: Arc<dyn FileHandle>) -> Arc<dyn FileHandle> {
        Arc::new(FaultyFile { inner, faults: Arc::clone(&self.faults) })
    }
}

impl FileSystem for FaultyDisk {
    fn kind(&self, path: &Path) -> io::Result<FileType> {
        self.inner.kind(path)
    }

    fn make_folder(&self, path: &Path, is_private: bool) -> io::Result<()> {
        self.faults.change(true)?;
        self.inner.make_folder(path, is_private)
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        self.faults.change(true)?;
        Ok(self.file(self.inner.create(path, access)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        self.inner.open(path)
    }

    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Ok(self.file(self.inner.open_own(path)?))
    }

    fn check_own_folder(&self, path: &Path) -> io::Result<()> {
        self.inner.check_own_folder(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.change(false)?;
        self.inner.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.change(false)?;
        self.inner.rename_new(from, to)
    }

    fn create_twin(&self, names: [&Path; 2], bytes: &[u8]) -> io::Result<()> {
        self.faults.change(false)?;
        self.inner.create_twin(names, bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.change(false)?;
        self.inner.remove(path)
    }

    fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        self.inner.modified(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.inner.names(folder)
    }

    fn unfinished(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.inner.unfinished(folder)
    }

    fn files_below(
        &self,
        folder: &Path,
        is_wanted: &dyn Fn(&Path) -> bool,
    ) -> io::Result<Vec<(PathBuf, Arc<dyn FileHandle>)>> {
        self.inner.files_below(folder, is_wanted)
    }

    fn upload(&self, from: &dyn FileHandle, to: &Path, must_be_new: bool) -> io::Result<()> {
        self.faults.change(true)?;
        self.inner.upload(from, to, must_be_new)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        self.inner.lock(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.faults.change(false)?;
        self.inner.sync_folder(folder)
    }

    fn impatient(&self) -> Option<Arc<dyn FileSystem>> {
        let inner = self.inner.impatient()?;
        Some(Arc::new(Self { inner, faults: Arc::clone(&self.faults) }))
    }

    fn until(&self, stop: &Arc<AtomicBool>) -> Option<Arc<dyn FileSystem>> {
        let inner = self.inner.until(stop)?;
        Some(Arc::new(Self { inner, faults: Arc::clone(&self.faults) }))
    }
}

impl FileHandle for FaultyFile {
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        self.faults.change(true)?;
        self.inner.write_at(bytes, place)
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, place)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.faults.change(false)?;
        self.inner.truncate(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.change(false)?;
        self.inner.sync()
    }

    fn hold(&self) -> io::Result<()> {
        self.inner.hold()
    }

    fn has_name(&self, name: &Path) -> io::Result<bool> {
        self.inner.has_name(name)
    }

    fn version(&self) -> Option<String> {
        self.inner.version()
    }
}
