//! The disk of a process that is killed: what a file is part of, and the calls that change files.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tidemill::files::{Access, FileHandle, FileSystem, FileType};
use tidemill::time::Timestamp;
use tidemill_engine::files::Disk;

use super::{Call, Killer, Part};
use crate::of_disk::of_disk;

/// What a path is part of.
fn part_of(path: &Path) -> Option<Part> {
    let name = path.file_name()?.to_string_lossy();
    Some(match () {
        () if name.contains(".state-") || name.starts_with("made-") => Part::Mark,
        () if name.starts_with("rows-") => Part::Rows,
        () if name.contains(".part-") => Part::Output,
        () if name.contains("checkpoint") => Part::Checkpoint,
        () if name.starts_with("outbox-") => Part::Outbox,
        () => return None,
    })
}

/// The disk of a process that is killed.
#[derive(Clone, Debug)]
pub(super) struct Deadly(pub(super) Arc<Killer>);

#[derive(Debug)]
struct Handle {
    killer: Arc<Killer>,
    file: Arc<dyn FileHandle>,
    part: Option<Part>,
}

impl Deadly {
    fn at<T>(&self, call: Call, path: &Path, act: impl FnOnce() -> T) -> T {
        self.0.at(call, part_of(path), || {}, act)
    }

    fn handle(&self, file: Arc<dyn FileHandle>, path: &Path) -> Arc<dyn FileHandle> {
        Arc::new(Handle { killer: Arc::clone(&self.0), file, part: part_of(path) })
    }
}

impl FileSystem for Deadly {
    of_disk! { kind make_folder check_own_folder read names lock }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        Ok(self.handle(self.at(Call::Create, path, || Disk.create(path, access))?, path))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Ok(self.handle(Disk.open(path)?, path))
    }
    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        Ok(self.handle(Disk.open_own(path)?, path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.at(Call::Rename, from, || Disk.rename(from, to))
    }
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        // Midway it has both names.
        let midway = || drop(std::fs::hard_link(from, to));
        self.0.at(Call::Rename, part_of(from), midway, || Disk.rename_new(from, to))
    }
    fn create_twin(&self, names: [&Path; 2], bytes: &[u8]) -> io::Result<()> {
        let midway = || drop(std::fs::write(names[0], bytes));
        self.0.at(Call::Create, part_of(names[0]), midway, || Disk.create_twin(names, bytes))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.at(Call::Remove, path, || Disk.remove(path))
    }
    fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        Disk.modified(path)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let part = if folder.ends_with("state") { Part::StateFolder } else { Part::Output };
        self.0.at(Call::SyncFolder, Some(part), || {}, || Disk.sync_folder(folder))
    }
}

impl FileHandle for Handle {
    of_disk! { file: read_at size hold has_name }

    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        let midway = || drop(self.file.write_at(&bytes[..bytes.len() / 2], place));
        self.killer.at(Call::Write, self.part, midway, || self.file.write_at(bytes, place))
    }
    fn truncate(&self, size: u64) -> io::Result<()> {
        self.killer.at(Call::Truncate, self.part, || {}, || self.file.truncate(size))
    }
    fn sync(&self) -> io::Result<()> {
        self.killer.at(Call::Sync, self.part, || {}, || self.file.sync())
    }
}
