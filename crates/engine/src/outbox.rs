//! What is to be delivered, kept until it is: a file of entries for each epoch, in the state folder of the run.
//!
//! | part of a file | what it has |
//! |---|---|
//! | head | magic, version, the epoch |
//! | entries | each: its length, the CRC-32C of the epoch, the place and the bytes; then the bytes |
//!
//! An outbox is append-only. The epoch that is open has the last file; [`close`](Outbox::close) ends it, and what it gives makes it durable. A
//! checkpoint keeps the [`Kept`] epochs: whoever goes on from it [opens](Outbox::open) the outbox with those, whereby the files of later epochs
//! go. What has been delivered is [forgotten](Outbox::forget), but not before a checkpoint is durable that no longer speaks of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::{Access, FileHandle, FileSystem, write_all_at};

/// What the name of a file begins with.
const PREFIX: &str = "outbox-";

/// What a file begins with.
const MAGIC: &[u8; 8] = b"tide-out";

/// How the bytes behind it are laid out.
const VERSION: u32 = 1;

/// Magic, version, epoch.
const HEAD: usize = 8 + 4 + 8;

/// Of an entry: its length and its checksum.
const ENTRY: usize = 4 + 4;

/// Bytes of an entry at most.
const MOST: usize = u32::MAX as usize;

/// The epochs of one sink that are not delivered.
#[derive(Debug)]
pub(crate) struct Outbox {
    files: Arc<dyn FileSystem>,
    folder: PathBuf,
    name: Arc<str>,
    /// Closed ones, by number.
    closed: Vec<Kept>,
    open: Option<Open>,
}

/// An epoch that is closed, as a checkpoint keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Its number.
    pub(crate) epoch: u64,
    /// Bytes of its file.
    pub(crate) length: u64,
}

/// The epoch that is open.
#[derive(Debug)]
struct Open {
    epoch: u64,
    file: Arc<dyn FileHandle>,
    path: PathBuf,
    length: u64,
}

impl Outbox {
    /// The outbox as it was when a checkpoint kept these epochs. Files of others go; of those that are `kept`, each must be as long as it was.
    ///
    /// # Errors
    /// A data error where an epoch is not there; what the system says.
    pub(crate) fn open(
        files: &Arc<dyn FileSystem>,
        folder: &Path,
        name: &Arc<str>,
        kept: Vec<Kept>,
    ) -> Result<Self> {
        let outbox = Self {
            files: Arc::clone(files),
            folder: folder.to_owned(),
            name: Arc::clone(name),
            closed: kept,
            open: None,
        };
        let failed = |error: io::Error| Error::io("look into", folder.display(), &error);
        for (_, epoch) in epochs(&**files, folder, name).map_err(failed)? {
            if !outbox.closed.iter().any(|kept| kept.epoch == epoch) {
                outbox.remove(epoch)?;
            }
        }
        outbox.closed.iter().try_for_each(|kept| outbox.check(*kept))?;
        Ok(outbox)
    }

    /// Appends `bytes` to the epoch that is open, or begins it: `epoch` is the same until it is [closed](Self::close), and grows then.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn append(&mut self, epoch: u64, bytes: &[u8]) -> Result<()> {
        if self.open.is_none() {
            self.open = Some(self.begin(epoch)?);
        }
        let Some(open) = &mut self.open else {
            return Err(Error::internal("an outbox without an open epoch"));
        };
        if bytes.len() > MOST {
            return Err(Error::data("more rows at once than an outbox can keep"));
        }
        let head = entry_head(epoch, open.length, bytes);
        let written = write_all_at(&*open.file, &head, open.length)
            .and_then(|()| write_all_at(&*open.file, bytes, open.length + ENTRY as u64));
        written.map_err(|error| Error::io("write", open.path.display(), &error))?;
        open.length += (ENTRY + bytes.len()) as u64;
        Ok(())
    }

    /// Ends the epoch that is open; gives what makes it durable, which is nothing where no bytes have come.
    pub(crate) fn close(&mut self) -> Option<impl FnOnce() -> Result<()> + Send + use<>> {
        let Open { epoch, file, path, length } = self.open.take()?;
        self.closed.push(Kept { epoch, length });
        let (files, folder) = (Arc::clone(&self.files), self.folder.clone());
        Some(move || {
            let durable = file.sync().and_then(|()| files.sync_folder(&folder));
            durable.map_err(|error| Error::io("make durable", path.display(), &error))
        })
    }

    /// The epochs that are closed and not forgotten, by number.
    pub(crate) fn kept(&self) -> &[Kept] {
        &self.closed
    }

    /// Keeps the epochs up to `epoch` no longer; gives what removes their files, once no checkpoint speaks of them. What cannot be removed the
    /// next run does.
    pub(crate) fn forget(&mut self, epoch: u64) -> impl FnOnce() + Send + use<> {
        let (gone, kept): (Vec<Kept>, Vec<Kept>) = self.closed.iter().partition(|kept| kept.epoch <= epoch);
        self.closed = kept;
        let files = Arc::clone(&self.files);
        let paths: Vec<_> = gone.iter().map(|kept| path(&self.folder, &self.name, kept.epoch)).collect();
        move || {
            for path in paths {
                let _the_next_run_does = files.remove(&path);
            }
        }
    }

    /// What reads epochs elsewhere, on another thread for one.
    pub(crate) fn reader(&self) -> OutboxReader {
        OutboxReader {
            files: Arc::clone(&self.files),
            folder: self.folder.clone(),
            name: Arc::clone(&self.name),
        }
    }

    fn begin(&self, epoch: u64) -> Result<Open> {
        let path = path(&self.folder, &self.name, epoch);
        let failed = |error: io::Error| Error::io("write", path.display(), &error);
        let file = self.files.create(&path, Access::Private).map_err(failed)?;
        let head = [&MAGIC[..], &VERSION.to_le_bytes(), &epoch.to_le_bytes()].concat();
        write_all_at(&*file, &head, 0).map_err(failed)?;
        Ok(Open { epoch, file, path, length: HEAD as u64 })
    }

    fn remove(&self, epoch: u64) -> Result<()> {
        let path = path(&self.folder, &self.name, epoch);
        match self.files.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", path.display(), &error))
            }
            _ => Ok(()),
        }
    }

    fn check(&self, kept: Kept) -> Result<()> {
        let path = path(&self.folder, &self.name, kept.epoch);
        let size = match self.files.open(&path).and_then(|file| file.size()) {
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(gone(&path)),
            Err(error) => return Err(Error::io("look at", path.display(), &error)),
        };
        if size == kept.length { Ok(()) } else { Err(damaged(&path, "its length is another")) }
    }
}

/// Reads the epochs of an outbox.
#[derive(Clone, Debug)]
pub(crate) struct OutboxReader {
    files: Arc<dyn FileSystem>,
    folder: PathBuf,
    name: Arc<str>,
}

impl OutboxReader {
    /// What the outbox is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Removes the files of all epochs.
    pub(crate) fn clear(&self) {
        for (path, _) in epochs(&*self.files, &self.folder, &self.name).unwrap_or_default() {
            let _stays = self.files.remove(&path);
        }
    }

    /// The entries of an epoch that is closed, in order.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn entries(&self, kept: Kept) -> Result<Entries> {
        Entries::open(&self.files, &path(&self.folder, &self.name, kept.epoch), kept)
    }
}

/// The entries of one epoch, in order: each as it was appended, or a data error that says what is wrong with the file.
#[derive(Debug)]
pub(crate) struct Entries {
    file: Arc<dyn FileHandle>,
    path: PathBuf,
    kept: Kept,
    place: u64,
    has_failed: bool,
}

impl Entries {
    fn open(files: &Arc<dyn FileSystem>, path: &Path, kept: Kept) -> Result<Self> {
        let file = files.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => gone(path),
            _ => Error::io("read", path.display(), &error),
        })?;
        let mut entries = Self { file, path: path.to_owned(), kept, place: 0, has_failed: false };
        let head = entries.read(HEAD)?;
        let due = [&MAGIC[..], &VERSION.to_le_bytes(), &kept.epoch.to_le_bytes()].concat();
        if head == due {
            Ok(entries)
        } else {
            Err(damaged(path, "it does not begin like one of this version"))
        }
    }

    fn next_entry(&mut self) -> Result<Vec<u8>> {
        let place = self.place;
        let head = self.read(ENTRY)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let bytes = self.read(length)?;
        if entry_head(self.kept.epoch, place, &bytes)[..] != head[..] {
            return Err(damaged(&self.path, "the checksum of an entry is not that of its content"));
        }
        Ok(bytes)
    }

    fn read(&mut self, count: usize) -> Result<Vec<u8>> {
        if self.kept.length.saturating_sub(self.place) < count as u64 {
            return Err(damaged(&self.path, "it ends within an entry"));
        }
        let mut bytes = vec![0; count];
        let mut at = 0;
        while at < count {
            match self.file.read_at(&mut bytes[at..], self.place + at as u64) {
                Ok(0) => return Err(damaged(&self.path, "it is shorter than it was")),
                Ok(read) => at += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", self.path.display(), &error)),
            }
        }
        self.place += count as u64;
        Ok(bytes)
    }
}

impl Iterator for Entries {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        if self.has_failed || self.place >= self.kept.length {
            return None;
        }
        let entry = self.next_entry();
        self.has_failed = entry.is_err();
        Some(entry)
    }
}

/// The outboxes in a folder: file, name, epoch.
///
/// # Errors
/// What the system says.
pub(crate) fn look(files: &dyn FileSystem, folder: &Path) -> io::Result<Vec<(PathBuf, String, u64)>> {
    let parts = |file: &str| {
        let (name, epoch) = file.strip_prefix(PREFIX)?.rsplit_once('-')?;
        Some((name.to_owned(), epoch.parse().ok()?))
    };
    let names = files.names(folder)?;
    let found = names.iter().filter_map(|file| parts(file.to_str()?).map(|parts| (folder.join(file), parts)));
    Ok(found.map(|(path, (name, epoch))| (path, name, epoch)).collect())
}

fn epochs(files: &dyn FileSystem, folder: &Path, name: &str) -> io::Result<Vec<(PathBuf, u64)>> {
    let all = look(files, folder)?.into_iter();
    Ok(all.filter(|(_, other, _)| other == name).map(|(path, _, epoch)| (path, epoch)).collect())
}

fn path(folder: &Path, name: &str, epoch: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{name}-{epoch:010}"))
}

/// The length and the checksum of an entry: one that is moved, within its file or to another, is as damaged as one that is changed.
fn entry_head(epoch: u64, place: u64, bytes: &[u8]) -> [u8; ENTRY] {
    let length = (bytes.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c(&[epoch.to_le_bytes(), place.to_le_bytes()].concat());
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &length), bytes).to_le_bytes();
    let mut head = [0; ENTRY];
    head[..4].copy_from_slice(&length);
    head[4..].copy_from_slice(&crc);
    head
}

fn gone(path: &Path) -> Error {
    Error::unavailable(format!("{} is not there: rows in it have not been delivered", path.display()))
        .with_help("bring it back, or start anew with another --state")
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::data(format!("{} is not what was written: {what}", path.display())).with_help(
        "rows in it have not been delivered: bring back a copy of it, or start anew with another --state",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;

    fn outbox(folder: &Path, kept: &[Kept]) -> Result<Outbox> {
        let files: Arc<dyn FileSystem> = Arc::new(Disk);
        Outbox::open(&files, folder, &"1-0".into(), kept.to_vec())
    }

    fn all(outbox: &Outbox, kept: Kept) -> Vec<Vec<u8>> {
        outbox.reader().entries(kept).expect("open").collect::<Result<_>>().expect("whole")
    }

    #[test]
    fn epochs_are_read_as_they_were_appended_and_what_no_checkpoint_keeps_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = outbox(folder.path(), &[]).expect("made");
        assert!(first.close().is_none(), "nothing has come");
        for (epoch, entries) in [(3, &["a", "", "ccc"][..]), (5, &["d"])] {
            entries.iter().for_each(|entry| first.append(epoch, entry.as_bytes()).expect("written"));
            first.close().expect("something has come")().expect("durable");
        }
        let kept = first.kept().to_vec();
        assert_eq!(kept.iter().map(|kept| kept.epoch).collect::<Vec<_>>(), [3, 5]);
        first.append(6, b"of no checkpoint").expect("written");
        drop(first);
        let mut again = outbox(folder.path(), &kept).expect("gone on with");
        assert_eq!(all(&again, kept[0]), [&b"a"[..], b"", b"ccc"]);
        assert_eq!(all(&again, kept[1]), [b"d"]);
        assert_eq!(look(&Disk, folder.path()).expect("a folder").len(), 2);
        again.append(6, b"other").expect("its file is gone, and made anew");
        again.forget(4)();
        assert_eq!(again.kept(), &kept[1..]);
        assert_eq!(look(&Disk, folder.path()).expect("a folder").len(), 2);
        drop(again);
        let error = outbox(folder.path(), &kept).expect_err("the first epoch is gone");
        assert!(error.message().contains("have not been delivered"), "{error}");
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = outbox(folder.path(), &[]).expect("made");
        for entry in ["abc", "", "0123456789"] {
            first.append(1, entry.as_bytes()).expect("written");
        }
        drop(first.close());
        let kept = first.kept()[0];
        let path = path(folder.path(), "1-0", 1);
        let bytes = std::fs::read(&path).expect("there");
        let is_whole = || first.reader().entries(kept).and_then(Iterator::collect::<Result<Vec<_>>>).is_ok();
        assert!(is_whole());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                std::fs::write(&path, &changed).expect("written");
                assert!(!is_whole(), "byte {at}, bit {bit}");
            }
            std::fs::write(&path, &bytes[..at]).expect("written");
            assert!(!is_whole(), "cut at {at}");
            assert!(outbox(folder.path(), &[kept]).is_err(), "cut at {at}");
        }
    }
}
