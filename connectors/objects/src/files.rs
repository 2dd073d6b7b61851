//! Objects as a file system. Keys are paths; a folder is what keys begin with.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path as Key;
use tidemill_engine::files::{Access, FileHandle, FileSystem, FileType};
use tidemill_engine::time::Timestamp;

use crate::address::{Address, Kind};
use crate::object::Object;
use crate::runtime::{Stop, wait};
use crate::stores::{Store, store};
use crate::upload::upload;

/// The file system of all stores.
pub(crate) static OBJECTS: Objects = Objects { stop: None };

#[derive(Debug)]
pub(crate) struct Objects {
    /// Its requests end soon after this is set.
    stop: Stop,
}

impl Objects {
    /// The store and the parts of the address `path`.
    fn locate(&self, path: &Path) -> io::Result<(Store, Address)> {
        let address = Address::parse(path)?;
        Ok((Store { stop: self.stop.clone(), ..store(&address)? }, address))
    }
}

/// The error of what objects do not have.
fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "objects can be read, replaced as a whole, and removed")
}

impl FileSystem for Objects {
    /// No object is a folder: one may exist beside others whose keys continue its own.
    fn kind(&self, path: &Path) -> io::Result<FileType> {
        let (store, Address { key, .. }) = self.locate(path)?;
        if key.is_root() {
            return Ok(FileType::Folder);
        }
        store.wait(async { store.client.head(&key).await.map_err(|error| store.failures.of(error)) })?;
        Ok(FileType::File)
    }

    /// Folders need not be created, but the bucket must exist: a run should not notice at its end that it does not.
    fn make_folder(&self, path: &Path, _is_private: bool) -> io::Result<()> {
        let (store, Address { key, .. }) = self.locate(path)?;
        if store.is_there.load(Ordering::Relaxed) {
            return Ok(());
        }
        let first = async {
            let first = store.client.list(Some(&key)).try_next().await;
            first.map(drop).map_err(|error| store.failures.of(error))
        };
        match store.wait(first) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            // Whoever may write need not be allowed to list.
            _ => {
                store.is_there.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn create(&self, _path: &Path, _access: Access) -> io::Result<Arc<dyn FileHandle>> {
        Err(unsupported())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let (store, Address { key, .. }) = self.locate(path)?;
        if key.is_root() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let head =
            store.wait(async { store.client.head(&key).await.map_err(|error| store.failures.of(error)) })?;
        Ok(Arc::new(Object::new(store, head)))
    }

    fn open_own(&self, _path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Err(unsupported())
    }

    fn check_own_folder(&self, _path: &Path) -> io::Result<()> {
        Err(unsupported())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (store, Address { key, .. }) = self.locate(path)?;
        let failed = |error| store.failures.of(error);
        store.wait(async {
            let answer = store.client.get(&key).await.map_err(failed)?;
            answer.bytes().await.map(Vec::from).map_err(failed)
        })
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(unsupported())
    }

    fn rename_new(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(unsupported())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (store, Address { key, .. }) = self.locate(path)?;
        store.wait(async { store.client.delete(&key).await.map_err(|error| store.failures.of(error)) })
    }

    fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        let (store, Address { key, .. }) = self.locate(path)?;
        let head =
            store.wait(async { store.client.head(&key).await.map_err(|error| store.failures.of(error)) })?;
        let nanos = head.last_modified.timestamp_nanos_opt().unwrap_or(i64::MAX);
        Ok(Timestamp::from_nanos(nanos))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let (store, Address { key, .. }) = self.locate(folder)?;
        let found = store.wait(async {
            let found = store.client.list_with_delimiter(Some(&key)).await;
            found.map_err(|error| store.failures.of(error))
        })?;
        let keys = found.objects.iter().map(|object| &object.location).chain(&found.common_prefixes);
        Ok(keys.filter_map(Key::filename).map(OsString::from).collect())
    }

    fn files_below(
        &self,
        folder: &Path,
        is_wanted: &dyn Fn(&Path) -> bool,
    ) -> io::Result<Vec<(PathBuf, Arc<dyn FileHandle>)>> {
        let (store, address) = self.locate(folder)?;
        if address.kind == Kind::Web {
            let what = "a web server does not list its files: name them one by one";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        store.wait(async {
            let mut found: Vec<(PathBuf, Arc<dyn FileHandle>)> = Vec::new();
            let mut listed = store.client.list(Some(&address.key));
            while let Some(meta) = listed.try_next().await.map_err(|error| store.failures.of(error))? {
                let path = address.of(&meta.location);
                if is_wanted(&path) {
                    found.push((path, Arc::new(Object::new(store.clone(), meta))));
                }
            }
            Ok(found)
        })
    }

    fn upload(&self, from: &dyn FileHandle, to: &Path, must_be_new: bool) -> io::Result<()> {
        let (store, Address { key, .. }) = self.locate(to)?;
        wait(upload(&store, from, &key, must_be_new))
    }

    fn lock(&self, _path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Err(unsupported())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn until(&self, stop: &Arc<AtomicBool>) -> Option<Arc<dyn FileSystem>> {
        Some(Arc::new(Self { stop: Some(Arc::clone(stop)) }))
    }
}
