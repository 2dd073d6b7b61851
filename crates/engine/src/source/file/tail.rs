//! One followed file, read from the offset reached before.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::input_file::InputFile;
use super::naming::shown;
use crate::error::{Error, Result};
use crate::files::folder;
use crate::format::SHOWN;
use crate::offset::Offset;
use crate::source::stream::StreamLayout;
use crate::source::stream::fingerprint::{Fingerprint, Trail};
use crate::source::stream::framing::{Begun, Framing, PendingRest};
use crate::source::stream::partial::PartialRecord;

/// A file that lost its name is read until it has not grown for this long: the writer may not have reopened its log yet.
const GRACE: Duration = Duration::from_secs(5);

/// One followed file.
pub(super) struct Tail {
    pub(super) path: PathBuf,
    /// The path in messages and checkpoints.
    pub(super) written: PathBuf,
    stem: Arc<str>,
    file: File,
    pub(super) identity: Identity,
    born: Option<u64>,
    /// The fingerprint of the first bytes read.
    beginning: Fingerprint,
    pub(super) framing: Framing,
    /// The offset of the next read.
    pub(super) at: u64,
    /// The offset up to which it was read: greater than `at` if an incomplete record was dropped from memory, to be read again when there
    /// is more.
    pub(super) read_to: u64,
    /// The offset up to which it must be read before files that were found later may begin.
    due: u64,
    /// The scan that found it.
    pub(super) scan: u64,
    /// Length and modification time at the last check.
    looked: Option<(u64, SystemTime)>,
    /// Whether it has a name that matches.
    pub(super) is_named: bool,
    /// The time since which it has not grown, or has lost its name.
    still: Instant,
    /// It has other columns than the input, and is skipped until it is rewritten.
    pub(super) is_refused: bool,
}

#[cfg(test)]
thread_local! {
    /// Counts how often files were asked whether others may begin.
    pub(super) static ASKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

/// The result of checking a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TailCheck {
    /// No new data.
    Same,
    /// Data was appended.
    Grown,
    /// Data that was read is gone: the file was truncated or rewritten.
    Anew,
}

/// A file in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SeenTail {
    /// Its path, in any encoding.
    path: Vec<u8>,
    /// The sensor after which it is named, if it has no sensor column: kept when the file is renamed.
    stem: String,
    pub(super) identity: Identity,
    born: Option<u64>,
    beginning: Fingerprint,
    /// The fingerprint of the bytes before `offset`.
    before: Fingerprint,
    pub(super) offset: Offset,
    rest: PendingRest,
    /// Length of the bytes before the first record.
    head: u64,
    /// The bytes to bind a decoder again, if they are not those before the first record.
    shown: Option<Vec<u8>>,
    is_refused: bool,
    /// The incomplete record.
    pub(super) half: Option<PartialRecord>,
}

impl SeenTail {
    /// Its path in the pipeline's terms.
    pub(super) fn written(&self) -> PathBuf {
        OsString::from_vec(self.path.clone()).into()
    }

    /// Its sensor and the folder of that sensor's files, if any of it was read.
    pub(super) fn home(&self) -> Option<(Arc<str>, PathBuf)> {
        let is_read = self.offset.at > 0 && !self.is_refused;
        is_read.then(|| (self.stem.as_str().into(), folder(&self.written()).to_owned()))
    }

    /// The fingerprint of its beginning, if any of it was read.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        Some(self.beginning).filter(|beginning| *beginning != Fingerprint::default())
    }

    /// The same, with its incomplete record already rejected, so that the rest of the record is skipped.
    pub(super) fn without_half(mut self) -> Self {
        if self.half.take().is_some() {
            self.rest = PendingRest::OfRefused;
        }
        self
    }

    /// The file at `path`, which may be this one.
    pub(super) fn at(&self, path: &Path) -> InputFile {
        let written = self.written().with_file_name(path.file_name().unwrap_or_default());
        InputFile { stem: self.stem.as_str().into(), ..InputFile::written(path, &written) }
    }
}

impl Tail {
    /// The file of `input` at `path`, to be read from its beginning.
    pub(super) fn new(input: &InputFile, path: &Path, file: File, meta: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            written: input.written.clone(),
            stem: Arc::clone(&input.stem),
            file,
            identity: identity(meta),
            born: born(meta),
            beginning: Fingerprint::default(),
            framing: Framing::of_file(Arc::clone(&input.name), Arc::clone(&input.stem)),
            at: 0,
            read_to: 0,
            due: 0,
            scan: 0,
            looked: None,
            is_named: true,
            still: Instant::now(),
            is_refused: false,
        }
    }

    /// Seeks to the offset that a checkpoint or this run had reached; returns whether it is still that file.
    pub(super) fn seek(&mut self, seen: &SeenTail, layout: &StreamLayout) -> Result<bool> {
        if self.identity != seen.identity || !self.is_known(seen).map_err(|error| self.failed(&error))? {
            return Ok(false);
        }
        let place = seen.offset;
        let failed = |error| Error::io("read", self.path.display(), &error);
        let trail = Trail::before(&self.file, place.at).map_err(failed)?;
        let mut head = vec![0; if seen.is_refused { 0 } else { seen.head as usize }];
        self.file.read_exact_at(&mut head, 0).map_err(failed)?;
        let mut framing = Framing::of_file(shown(&self.written).into(), seen.stem.as_str().into());
        let is_begun = place.at > 0 && !seen.is_refused;
        framing.resume(
            place,
            seen.rest,
            trail,
            is_begun.then_some((Begun { head: &head, shown: seen.shown.as_deref() }, layout)),
        )?;
        (self.framing, self.at, self.read_to, self.looked) = (framing, place.at, place.at, None);
        (self.stem, self.beginning) = (seen.stem.as_str().into(), seen.beginning);
        self.is_refused = seen.is_refused;
        Ok(true)
    }

    fn is_known(&self, seen: &SeenTail) -> io::Result<bool> {
        // The inode of a deleted file may be reused, which cannot be detected if nothing of it was read.
        let is_another = self.born.zip(seen.born).is_some_and(|(now, then)| now != then);
        Ok(!is_another
            && self.file.metadata()?.len() >= seen.offset.at
            && seen.head <= seen.offset.at
            && seen.beginning.begins(&self.file)?
            && seen.before.ends(&self.file, seen.offset.at)?)
    }

    /// Its state for a checkpoint.
    pub(super) fn seen(&self) -> SeenTail {
        SeenTail {
            path: self.written.as_os_str().as_bytes().to_vec(),
            stem: self.stem.to_string(),
            identity: self.identity,
            born: self.born,
            beginning: self.beginning,
            before: self.framing.before(),
            offset: self.framing.offset(),
            rest: self.framing.rest(),
            head: self.framing.stream().1.len() as u64,
            shown: self.framing.beginning().map(<[u8]>::to_vec),
            is_refused: self.is_refused,
            half: self.half(),
        }
    }

    /// Checks that no file of another folder has the same sensor: a rotated file is in the folder of its predecessors.
    ///
    /// # Errors
    /// A configuration error if there is one.
    pub(super) fn check_home(&self, homes: &mut HashMap<Arc<str>, PathBuf>) -> Result<()> {
        let own = folder(&self.written);
        let home = homes.entry(Arc::clone(&self.stem)).or_insert_with(|| own.to_owned());
        if home == own {
            return Ok(());
        }
        Err(Error::config(format!(
            "it has the same sensor `{}` as a file in {}; `sensor_from` can keep them apart or merge them",
            self.stem,
            home.display()
        )))
    }

    /// The fingerprint of its beginning, if any of it was read.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        Some(self.beginning).filter(|beginning| *beginning != Fingerprint::default())
    }

    /// Whether it lost its name and has not grown for a while.
    pub(super) fn is_left(&self) -> bool {
        !self.is_named && self.still.elapsed() >= GRACE
    }

    /// Checks whether it has grown or was replaced.
    pub(super) fn look(&mut self) -> Result<TailCheck> {
        let meta = self.file.metadata().map_err(|error| self.failed(&error))?;
        let looked = meta.modified().ok().map(|modified| (meta.len(), modified));
        let is_touched = looked.is_none() || std::mem::replace(&mut self.looked, looked) != looked;
        if self.is_named || is_touched {
            self.still = Instant::now();
        }
        // A dropped record is worth reading again only if there is more of it, or never will be.
        let is_longer = meta.len() > if self.is_left() { self.at } else { self.read_to };
        // An untouched file has not changed. Before anything is taken from it, it is checked once more.
        if meta.len() < self.read_to || is_touched && !self.is_as_read()? {
            return Ok(TailCheck::Anew);
        }
        Ok(if is_longer { TailCheck::Grown } else { TailCheck::Same })
    }

    /// Reads into `scratch`; returns the number of bytes, or `None` if they do not continue what was read before.
    fn read(&mut self, scratch: &mut [u8]) -> Result<Option<usize>> {
        let read = self.file.read_at(scratch, self.at).map_err(|error| self.failed(&error))?;
        // It may have been rewritten since it was checked.
        if !self.is_as_read()? {
            return Ok(None);
        }
        self.beginning.extend(self.at, &scratch[..read]);
        self.at += read as u64;
        self.read_to = self.read_to.max(self.at);
        self.framing.push(&scratch[..read]);
        Ok(Some(read))
    }

    /// Reads what was dropped from memory again, and continues into `scratch` with at most `most` new bytes; returns the number of bytes.
    /// So every turn makes progress, however often its result is dropped.
    pub(super) fn read_on(&mut self, scratch: &mut [u8], most: usize) -> Result<Option<usize>> {
        while self.at < self.read_to {
            let again = scratch.len().min((self.read_to - self.at) as usize);
            match self.read(&mut scratch[..again])? {
                None => return Ok(None),
                Some(0) => break,
                Some(_) => {}
            }
        }
        self.read(&mut scratch[..most])
    }

    /// Whether what was read of it is still there, by its first and last bytes.
    fn is_as_read(&self) -> Result<bool> {
        let last = self.framing.last_read();
        let is_there = || Ok(self.beginning.begins(&self.file)? && last.ends(&self.file, self.at)?);
        is_there().map_err(|error: io::Error| self.failed(&error))
    }

    /// Starts anew: another file was written in its place.
    pub(super) fn restart(&mut self) {
        self.framing = Framing::of_file(shown(&self.written).into(), Arc::clone(&self.stem));
        (self.at, self.read_to, self.due) = (0, 0, 0);
        (self.beginning, self.is_refused) = (Fingerprint::default(), false);
        // It may have been written a moment ago, within the resolution of the clock.
        self.looked = None;
    }

    /// Drops the incomplete record from memory, to make room: it is read again when there is more of it.
    pub(super) fn forget(&mut self) {
        self.at = self.framing.offset().at;
        self.framing.forget();
    }

    /// The incomplete record.
    pub(super) fn half(&self) -> Option<PartialRecord> {
        if self.is_refused {
            return None;
        }
        if self.at == self.read_to {
            return self.framing.half(self.framing.buffered());
        }
        // It was dropped from memory to make room for others.
        let mut bytes = vec![0; SHOWN.min((self.read_to - self.at) as usize)];
        let read = self.file.read_at(&mut bytes, self.at).unwrap_or_default();
        self.framing.half(&bytes[..read])
    }

    /// Whether an incomplete record is still at its offset.
    pub(super) fn has(&self, half: &PartialRecord) -> Result<bool> {
        half.is_in(&self.file).map_err(|error| self.failed(&error))
    }

    /// Whether it ends in an incomplete record.
    pub(super) fn is_unfinished(&self) -> bool {
        self.framing.waiting() > 0 || self.at < self.read_to
    }

    /// Unread bytes; 0 if that cannot be determined.
    pub(super) fn unread(&self) -> u64 {
        let length = self.file.metadata().map_or(0, |meta| meta.len());
        length.saturating_sub(self.at.max(self.read_to))
    }

    /// Files found from now on may begin when this file has been read up to its current length.
    pub(super) fn set_due(&mut self) -> Result<()> {
        self.due = self.file.metadata().map_err(|error| self.failed(&error))?.len();
        Ok(())
    }

    /// Whether files that were found later may begin, as far as this one is concerned.
    pub(super) fn is_done_with_due(&self) -> bool {
        #[cfg(test)]
        ASKED.set(ASKED.get() + 1);
        self.is_refused || self.read_to >= self.due
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::io("read", self.path.display(), error)
    }
}

/// The creation time in nanoseconds since 1970, if the file system has it: it survives renaming and truncation.
fn born(meta: &Metadata) -> Option<u64> {
    let since = meta.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    since.as_nanos().try_into().ok()
}

pub(super) fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}
