//! A disk that is full again and again, and has room again after a while.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidemill::files::{Access, FileHandle, FileSystem, FileType};
use tidemill_engine::files::Disk;

use super::of_disk::of_disk;

/// The disk; shared by all of its files.
#[derive(Clone, Debug)]
pub(super) struct FullDisk(Arc<Room>);

#[derive(Debug)]
struct Room {
    random: Mutex<StdRng>,
    /// Writes that fail before there is room again.
    failing: AtomicU64,
    /// Writes that failed.
    failed: AtomicU64,
}

#[derive(Debug)]
struct File(FullDisk, Arc<dyn FileHandle>);

impl FullDisk {
    pub(super) fn new(seed: u64) -> Self {
        let random = Mutex::new(StdRng::seed_from_u64(seed));
        Self(Arc::new(Room { random, failing: 0.into(), failed: 0.into() }))
    }

    /// How many writes have failed.
    pub(super) fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }

    /// How many of `length` bytes there is room for.
    fn room_for(&self, length: usize) -> io::Result<usize> {
        let Room { random, failing, failed } = &*self.0;
        let mut random = random.lock().expect("no panic");
        let left = failing.load(Ordering::Relaxed);
        if left > 0 {
            failing.store(left - 1, Ordering::Relaxed);
            failed.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::StorageFull.into());
        }
        if random.random_bool(0.1) {
            // What is left of the room takes a part of it.
            failing.store(random.random_range(1..3), Ordering::Relaxed);
            return Ok(random.random_range(0..length).max(1));
        }
        Ok(length)
    }

    fn file(&self, file: Arc<dyn FileHandle>) -> Arc<dyn FileHandle> {
        Arc::new(File(self.clone(), file))
    }
}

impl FileSystem for FullDisk {
    of_disk! { kind make_folder check_own_folder read rename rename_new remove names lock sync_folder }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        Disk.create(path, access).map(|file| self.file(file))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Disk.open(path).map(|file| self.file(file))
    }
    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Disk.open_own(path).map(|file| self.file(file))
    }
}

impl FileHandle for File {
    of_disk! { 1: read_at size truncate sync hold has_name }

    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.1.write_at(&bytes[..self.0.room_for(bytes.len())?], place)
    }
}
