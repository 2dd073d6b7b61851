//! The rows of a file in the making that cannot be gone on with: epoch by epoch, in append-only files with checksums beside it.
//!
//! Other than an [outbox](crate::outbox), which has a file for each epoch and loses them one by one, a log has a few files, however many epochs come,
//! and goes as a whole.
//!
//! | | |
//! |---|---|
//! | a part | `.<name>.rows-<first epoch>.part-…`: frames, one behind the other; a new one begins with an epoch, once the last has [`PART`] bytes |
//! | a frame | length of its rows (4 bytes), number of their epoch (8 bytes), CRC-32C of both and the rows (4 bytes), the rows |
//!
//! All numbers are little-endian. A checkpoint has the parts and how long they are ([`Place`]): behind that, they are cut off when a run goes on
//! from it. Nothing is written over; what is [forgotten](RowLog::forget) goes part by part. Everything is called by one thread, but for a
//! [`Reader`], which may go to another.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::atomic::{AtomicFile, Job, Output, Outset, ROWS};
use crate::error::{Error, Result};
use crate::files::FileHandle;

/// Bytes of a part behind which the next epoch begins another.
const PART: u64 = 64 << 20;

/// Bytes in front of the rows of a frame.
const HEAD: usize = 4 + 8 + 4;

/// Rows that are kept by epoch.
pub(crate) struct RowLog {
    /// Beside what the parts are.
    beside: PathBuf,
    outset: Outset,
    parts: VecDeque<Part>,
}

/// One file.
struct Part {
    first: u64,
    last: u64,
    file: AtomicFile,
}

/// What a log of rows had at a checkpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Place {
    /// First and last epoch, and the file.
    parts: Vec<(u64, u64, Output)>,
}

/// What a log of rows is worth to a checkpoint.
pub(crate) struct SavedRows {
    pub(crate) place: Place,
    pub(crate) outputs: Vec<Output>,
    /// Makes it durable.
    pub(crate) settle: Job,
}

impl Place {
    /// What its files are called.
    pub(crate) fn names(&self) -> Vec<OsString> {
        self.parts.iter().filter_map(|(_, _, output)| Some(output.part.file_name()?.to_owned())).collect()
    }
}

impl RowLog {
    /// An empty one, whose files will lie beside the file at `beside`, in a run that keeps checkpoints. There are none before the first rows.
    pub(crate) fn new(beside: &Path, outset: &Outset) -> Self {
        let outset = Outset { resume: None, ..outset.clone() };
        Self { beside: beside.to_owned(), outset, parts: VecDeque::new() }
    }

    /// Goes on with what a checkpoint had; what was appended behind it is cut off.
    ///
    /// # Errors
    /// As [`AtomicFile::begin`].
    pub(crate) fn resume(beside: &Path, outset: &Outset, place: Place) -> Result<Self> {
        let mut log = Self::new(beside, outset);
        for (first, last, output) in place.parts {
            let state = postcard::to_stdvec(&output)
                .map_err(|error| Error::internal(format!("the state of a file cannot be read: {error}")))?;
            let outset = Outset { resume: Some(state), ..log.outset.clone() };
            let file = AtomicFile::begin(log.part(first), &outset)?.0;
            log.parts.push_back(Part { first, last, file });
        }
        Ok(log)
    }

    /// Where the part that begins with `epoch` is.
    fn part(&self, epoch: u64) -> PathBuf {
        let mut name = self.beside.file_name().map(OsString::from).unwrap_or_default();
        name.push(format!("{ROWS}{epoch:010}"));
        self.beside.with_file_name(name)
    }

    /// Appends rows of `epoch`, which is no earlier than that of the rows before.
    ///
    /// # Errors
    /// What the system says; more than 4 GiB of rows at once are an internal error.
    pub(crate) fn append(&mut self, epoch: u64, rows: &[u8]) -> Result<()> {
        let length = u32::try_from(rows.len());
        let length = length.map_err(|_| Error::internal("more than 4 GiB of rows in one piece"))?;
        let last = match self.parts.back_mut() {
            Some(last) if last.last == epoch || last.file.length() < PART => last,
            _ => {
                let file = AtomicFile::begin(self.part(epoch), &self.outset)?.0;
                self.parts.push_back(Part { first: epoch, last: epoch, file });
                self.parts.back_mut().ok_or_else(|| Error::internal("no part of a log of rows"))?
            }
        };
        last.last = epoch;
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..12].copy_from_slice(&epoch.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), rows);
        head[12..].copy_from_slice(&crc.to_le_bytes());
        let file = &mut last.file;
        file.write_all(&head).and_then(|()| file.write_all(rows)).map_err(|error| file.failed(&error))
    }

    /// What it has, for a checkpoint.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn save(&mut self) -> Result<SavedRows> {
        let (mut place, mut outputs, mut settle) = (Place::default(), Vec::new(), Vec::new());
        for Part { first, last, file } in &mut self.parts {
            let Some(saved) = file.save()? else {
                return Err(Error::internal("a log of rows without checkpoints"));
            };
            place.parts.extend(saved.outputs.iter().map(|output| (*first, *last, output.clone())));
            outputs.extend(saved.outputs);
            settle.push(saved.settle);
        }
        let settle = Box::new(|| settle.into_iter().try_for_each(|settle| settle()));
        Ok(SavedRows { place, outputs, settle })
    }

    /// All rows of epochs behind `epoch` that have been appended so far, in order.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn read(&mut self, epoch: u64) -> Result<Reader> {
        let mut parts = VecDeque::new();
        for part in self.parts.iter_mut().filter(|part| part.last > epoch) {
            part.file.finish()?;
            let name = part.file.part_name().map(OsString::from).unwrap_or_default();
            let name = self.beside.with_file_name(name);
            parts.extend(part.file.handle().map(|handle| Unread {
                name,
                length: part.file.length(),
                handle,
            }));
        }
        Ok(Reader { parts, at: 0, behind: epoch })
    }

    /// Removes the parts that have no epoch behind `epoch`: nobody needs them.
    pub(crate) fn forget(&mut self, epoch: u64) {
        while let Some(part) = self.parts.pop_front_if(|part| part.last <= epoch) {
            part.file.abandon();
        }
    }
}

/// Reads rows in the order in which they were appended, one frame in memory at a time.
pub(crate) struct Reader {
    parts: VecDeque<Unread>,
    /// Where the next frame of the first part is.
    at: u64,
    behind: u64,
}

struct Unread {
    name: PathBuf,
    handle: Arc<dyn FileHandle>,
    length: u64,
}

impl Iterator for Reader {
    /// The number of an epoch, and rows of it.
    type Item = Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let part = self.parts.front()?;
            if self.at == part.length {
                self.parts.pop_front();
                self.at = 0;
                continue;
            }
            match part.frame(self.at) {
                Ok((epoch, rows)) => {
                    self.at += (HEAD + rows.len()) as u64;
                    if epoch > self.behind {
                        return Some(Ok((epoch, rows)));
                    }
                }
                Err(error) => {
                    // Nothing behind it can be relied on.
                    self.parts.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Unread {
    fn frame(&self, at: u64) -> Result<(u64, Vec<u8>)> {
        let mut head = [0; HEAD];
        self.bytes(&mut head, at)?;
        let [l0, l1, l2, l3, e0, e1, e2, e3, e4, e5, e6, e7, c0, c1, c2, c3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let epoch = u64::from_le_bytes([e0, e1, e2, e3, e4, e5, e6, e7]);
        if at + HEAD as u64 + u64::from(length) > self.length {
            return Err(self.damaged(at));
        }
        let mut rows = vec![0; length as usize];
        self.bytes(&mut rows, at + HEAD as u64)?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), &rows);
        if crc == u32::from_le_bytes([c0, c1, c2, c3]) { Ok((epoch, rows)) } else { Err(self.damaged(at)) }
    }

    fn bytes(&self, mut bytes: &mut [u8], mut at: u64) -> Result<()> {
        while !bytes.is_empty() {
            match self.handle.read_at(bytes, at) {
                Ok(0) => return Err(self.damaged(at)),
                Ok(read) => (bytes, at) = (&mut bytes[read..], at + read as u64),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", self.name.display(), &error)),
            }
        }
        Ok(())
    }

    fn damaged(&self, at: u64) -> Error {
        let name = self.name.display();
        Error::data(format!("{name} is not what was written to it: the rows at byte {at} are damaged"))
            .with_help("something else has written to it; start anew with another --state")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outset(folder: &Path) -> Outset {
        Outset { run: Some("0123".into()), state: Some(folder.to_owned()), ..Outset::default() }
    }

    fn read(log: &mut RowLog, behind: u64) -> Vec<(u64, Vec<u8>)> {
        log.read(behind).expect("readable").collect::<Result<_>>().expect("whole")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains(".rows-"))
            .collect()
    }

    /// Removes what a run that was killed had begun, as a sink does that goes on.
    fn tidy(folder: &Path, kept: &[OsString]) {
        let distinct = |name: &str| name.rsplit_once('-').map(|(_, distinct)| distinct.to_owned());
        let kept: Vec<_> = kept.iter().map(|name| distinct(&name.to_string_lossy())).collect();
        let left = names(folder).into_iter().filter(|name| !kept.contains(&distinct(name)));
        left.for_each(|name| std::fs::remove_file(folder.join(name)).expect("removed"));
    }

    proptest! {
        /// Whatever is appended, cut back to, read and forgotten, it has what a list has.
        #[test]
        fn it_keeps_what_a_list_keeps(steps in proptest::collection::vec((0..5_u8, 0..300_usize), 1..60)) {
            let folder = tempfile::tempdir().expect("a folder");
            let place = folder.path().join("all.parquet");
            let mut log = RowLog::new(&place, &outset(folder.path()));
            let (mut list, mut epoch, mut kept) = (Vec::new(), 1, (Place::default(), Vec::new()));
            for (at, (step, size)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        let rows = vec![at as u8; size];
                        log.append(epoch, &rows).expect("appended");
                        list.push((epoch, rows));
                    }
                    2 => {
                        let saved = log.save().expect("saved");
                        (saved.settle)().expect("durable");
                        kept = (saved.place, list.clone());
                        epoch += 1;
                    }
                    3 => {
                        drop(log);
                        tidy(folder.path(), &kept.0.names());
                        log = RowLog::resume(&place, &outset(folder.path()), kept.0.clone()).expect("resumed");
                        list.clone_from(&kept.1);
                        epoch = list.last().map_or(1, |(epoch, _): &(u64, Vec<u8>)| epoch + 1);
                    }
                    _ => {
                        let behind = epoch.saturating_sub(1 + size as u64 % 3);
                        let expected: Vec<_> = list.iter().filter(|(epoch, _)| *epoch > behind).cloned().collect();
                        prop_assert_eq!(read(&mut log, behind), expected);
                    }
                }
                prop_assert_eq!(&read(&mut log, 0), &list);
            }
            log.forget(epoch);
            prop_assert!(read(&mut log, 0).is_empty());
            prop_assert_eq!(names(folder.path()), Vec::<String>::new());
        }
    }

    #[test]
    fn parts_are_forgotten_once_none_of_their_epochs_is_needed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = RowLog::new(&folder.path().join("all"), &outset(folder.path()));
        let large = vec![7; PART as usize / 2];
        for epoch in 1..=6 {
            log.append(epoch, &large).expect("appended");
        }
        assert_eq!(log.parts.len(), 3);
        log.forget(3);
        assert_eq!(
            log.parts.iter().map(|part| (part.first, part.last)).collect::<Vec<_>>(),
            [(3, 4), (5, 6)]
        );
        assert_eq!(read(&mut log, 3).iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [4, 5, 6]);
        log.forget(6);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = RowLog::new(&folder.path().join("all"), &outset(folder.path()));
        [&b"some"[..], b"", b"rows"].iter().for_each(|rows| log.append(9, rows).expect("appended"));
        assert_eq!(read(&mut log, 0).len(), 3);
        let part = folder.path().join(log.parts[0].file.part_name().expect("a file"));
        let bytes = std::fs::read(&part).expect("read");
        for at in 0..bytes.len() {
            for flip in [1, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                std::fs::write(&part, damaged).expect("written");
                let found: Result<Vec<_>> = log.read(0).expect("readable").collect();
                assert!(found.expect_err("damaged").message().contains("damaged"), "byte {at}");
            }
        }
    }
}
