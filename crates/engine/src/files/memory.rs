//! A file system of addresses `memory://…`, for tests: objects that appear whole, have versions, and are not folders.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Access, FileHandle, FileScheme, FileSystem, FileType};
use crate::time::Timestamp;

inventory::submit! { FileScheme { name: "memory", is_writable: true, files: || &Memory } }

/// All objects.
#[derive(Debug)]
pub(crate) struct Memory;

#[derive(Clone, Debug)]
struct Object {
    path: PathBuf,
    bytes: Arc<[u8]>,
    version: u64,
}

static OBJECTS: Mutex<BTreeMap<PathBuf, Object>> = Mutex::new(BTreeMap::new());

fn objects() -> MutexGuard<'static, BTreeMap<PathBuf, Object>> {
    OBJECTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn insert(mut all: MutexGuard<'_, BTreeMap<PathBuf, Object>>, path: &Path, bytes: &[u8]) {
    let version = 1 + all.values().map(|object| object.version).max().unwrap_or(0);
    all.insert(path.to_owned(), Object { path: path.to_owned(), bytes: bytes.into(), version });
}

fn no() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

impl Memory {
    /// Creates or replaces an object.
    pub(crate) fn put(path: impl AsRef<Path>, bytes: &[u8]) {
        insert(objects(), path.as_ref(), bytes);
    }

    fn get(path: &Path) -> io::Result<Object> {
        objects().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn below(folder: &Path) -> Vec<Object> {
        objects().values().filter(|object| object.path.starts_with(folder)).cloned().collect()
    }
}

impl FileSystem for Memory {
    fn kind(&self, path: &Path) -> io::Result<FileType> {
        Self::get(path).map(|_| FileType::File)
    }

    fn make_folder(&self, _path: &Path, _is_private: bool) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, _path: &Path, _access: Access) -> io::Result<Arc<dyn FileHandle>> {
        Err(no())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Ok(Arc::new(Self::get(path)?))
    }

    fn open_own(&self, _path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Err(no())
    }

    fn check_own_folder(&self, _path: &Path) -> io::Result<()> {
        Err(no())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(Self::get(path)?.bytes.to_vec())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(no())
    }

    fn rename_new(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(no())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        objects().remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        Self::get(path).map(|object| Timestamp::from_nanos(object.version as i64))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let all = Self::below(folder);
        let first =
            |object: &Object| object.path.strip_prefix(folder).ok()?.iter().next().map(OsString::from);
        Ok(all.iter().filter_map(first).collect())
    }

    fn files_below(
        &self,
        folder: &Path,
        is_wanted: &dyn Fn(&Path) -> bool,
    ) -> io::Result<Vec<(PathBuf, Arc<dyn FileHandle>)>> {
        let wanted = Self::below(folder).into_iter().filter(|object| is_wanted(&object.path));
        Ok(wanted.map(|object| (object.path.clone(), Arc::new(object) as Arc<dyn FileHandle>)).collect())
    }

    fn upload(&self, from: &dyn FileHandle, to: &Path, must_be_new: bool) -> io::Result<()> {
        let mut bytes = vec![0; from.size()? as usize];
        let mut at = 0;
        while at < bytes.len() {
            at += from.read_at(&mut bytes[at..], at as u64)?;
        }
        let all = objects();
        match must_be_new && all.contains_key(to) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => {
                insert(all, to, &bytes);
                Ok(())
            }
        }
    }

    fn lock(&self, _path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Err(no())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl FileHandle for Object {
    fn write_at(&self, _bytes: &[u8], _place: u64) -> io::Result<usize> {
        Err(no())
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        if Memory::get(&self.path).map(|object| object.version).ok() != Some(self.version) {
            return Err(io::ErrorKind::StaleNetworkFileHandle.into());
        }
        let rest = self.bytes.get(place as usize..).unwrap_or_default();
        // Short reads are allowed.
        let read = rest.len().min(buffer.len()).min(1000);
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn truncate(&self, _size: u64) -> io::Result<()> {
        Err(no())
    }

    fn sync(&self) -> io::Result<()> {
        Err(no())
    }

    fn hold(&self) -> io::Result<()> {
        Err(no())
    }

    fn has_name(&self, _name: &Path) -> io::Result<bool> {
        Err(no())
    }

    fn version(&self) -> Option<String> {
        Some(self.version.to_string())
    }
}
