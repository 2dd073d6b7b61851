//! One file that grows, read from where it was read to before.

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

use super::fingerprint::{Fingerprint, Trail};
use super::framing::{Begun, Framing, Half, Layout, Rest};
use super::input_file::InputFile;
use super::naming::shown;
use crate::error::{Error, Result};
use crate::files::folder;
use crate::format::SHOWN;
use crate::offset::Offset;

/// A file that has lost its name is read on until it has not grown for this long: its writer may not have noticed yet.
const GRACE: Duration = Duration::from_secs(5);

/// One file.
pub(super) struct Tail {
    pub(super) path: PathBuf,
    /// The same, as messages and checkpoints have it.
    pub(super) written: PathBuf,
    stem: Arc<str>,
    file: File,
    pub(super) identity: Identity,
    born: Option<u64>,
    /// Of the first bytes that were read.
    beginning: Fingerprint,
    pub(super) framing: Framing,
    /// Where the next read begins.
    pub(super) at: u64,
    /// Up to where it has been read: behind `at` where an unfinished record was forgotten, and is read again when there is more of it.
    pub(super) read_to: u64,
    /// Up to where it has to be read before files that were found later may begin.
    due: u64,
    /// Which look for new files found it.
    pub(super) scan: u64,
    /// Length and time of the last change, when it was looked at last.
    looked: Option<(u64, SystemTime)>,
    /// Whether it has a name that fits.
    pub(super) is_named: bool,
    /// Since when it has not grown, or has its name.
    still: Instant,
    /// It has other columns than the input, and is not read until it is written anew.
    pub(super) is_refused: bool,
}

#[cfg(test)]
thread_local! {
    /// How often it was asked whether others may begin.
    pub(super) static ASKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

/// What a look at a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing that was not there before.
    Same,
    /// Something behind what was read.
    Grown,
    /// What was read is not there any more: it was truncated or written anew.
    Anew,
}

/// A file as a checkpoint has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Its name, which may be any bytes.
    path: Vec<u8>,
    /// The sensor that it is of where it has no sensor column: it stays so under another name.
    stem: String,
    pub(super) identity: Identity,
    born: Option<u64>,
    beginning: Fingerprint,
    /// Of the bytes before `offset`.
    before: Fingerprint,
    pub(super) offset: Offset,
    rest: Rest,
    /// Bytes before the first record.
    head: u64,
    /// What it takes to bind a decoder again, where it is not these bytes.
    shown: Option<Vec<u8>>,
    is_refused: bool,
    /// What had come of a record that had not ended.
    pub(super) half: Option<Half>,
}

impl Seen {
    /// Its path where it was, as the pipeline has it.
    pub(super) fn written(&self) -> PathBuf {
        OsString::from_vec(self.path.clone()).into()
    }

    /// Its sensor, and the folder of that sensor's files, where any of it was read.
    pub(super) fn home(&self) -> Option<(Arc<str>, PathBuf)> {
        let is_read = self.offset.at > 0 && !self.is_refused;
        is_read.then(|| (self.stem.as_str().into(), folder(&self.written()).to_owned()))
    }

    /// What it begins with, where anything of it was read.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        Some(self.beginning).filter(|beginning| *beginning != Fingerprint::default())
    }

    /// The same, of which the record that had not ended is done with: its rest is, too.
    pub(super) fn without_half(mut self) -> Self {
        if self.half.take().is_some() {
            self.rest = Rest::OfRefused;
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

    /// Goes to where a checkpoint or this run has left it; whether it is still that file.
    pub(super) fn go_to(&mut self, seen: &Seen, layout: &Layout) -> Result<bool> {
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
        framing.go_on(
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

    fn is_known(&self, seen: &Seen) -> io::Result<bool> {
        // An inode is given to another file when the one that had it is gone, which nothing tells where nothing was read of it.
        let is_another = self.born.zip(seen.born).is_some_and(|(now, then)| now != then);
        Ok(!is_another
            && self.file.metadata()?.len() >= seen.offset.at
            && seen.head <= seen.offset.at
            && seen.beginning.begins(&self.file)?
            && seen.before.ends(&self.file, seen.offset.at)?)
    }

    /// What a checkpoint has to know of it.
    pub(super) fn seen(&self) -> Seen {
        Seen {
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

    /// Checks that no file of another folder is its sensor: one that is rotated is in the folder of those before.
    ///
    /// # Errors
    /// A configuration error where there is one.
    pub(super) fn take_home(&self, homes: &mut HashMap<Arc<str>, PathBuf>) -> Result<()> {
        let own = folder(&self.written);
        let home = homes.entry(Arc::clone(&self.stem)).or_insert_with(|| own.to_owned());
        if home == own {
            return Ok(());
        }
        Err(Error::config(format!(
            "it would be the sensor `{}`, which a file in {} is already; `sensor_from` tells them apart, or makes them one",
            self.stem,
            home.display()
        )))
    }

    /// What it begins with, where anything of it was read.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        Some(self.beginning).filter(|beginning| *beginning != Fingerprint::default())
    }

    /// Whether it has lost its name, and has not grown for a while.
    pub(super) fn is_left(&self) -> bool {
        !self.is_named && self.still.elapsed() >= GRACE
    }

    /// Looks whether there is more of it, or something else in its place.
    pub(super) fn look(&mut self) -> Result<Look> {
        let meta = self.file.metadata().map_err(|error| self.failed(&error))?;
        let looked = meta.modified().ok().map(|modified| (meta.len(), modified));
        let is_touched = looked.is_none() || std::mem::replace(&mut self.looked, looked) != looked;
        if self.is_named || is_touched {
            self.still = Instant::now();
        }
        // What was forgotten is worth reading again only if there is more, or if there will never be.
        let is_longer = meta.len() > if self.is_left() { self.at } else { self.read_to };
        // Where nobody has written to it, it is as it was. Before anything of it is taken, it is looked at once more.
        if meta.len() < self.read_to || is_touched && !self.is_as_read()? {
            return Ok(Look::Anew);
        }
        Ok(if is_longer { Look::Grown } else { Look::Same })
    }

    /// Reads on into `scratch`; how many bytes, or `None` where they do not belong to what was read before.
    fn read(&mut self, scratch: &mut [u8]) -> Result<Option<usize>> {
        let read = self.file.read_at(scratch, self.at).map_err(|error| self.failed(&error))?;
        // It may have been written anew since it was looked at.
        if !self.is_as_read()? {
            return Ok(None);
        }
        self.beginning.extend(self.at, &scratch[..read]);
        self.at += read as u64;
        self.read_to = self.read_to.max(self.at);
        self.framing.push(&scratch[..read]);
        Ok(Some(read))
    }

    /// Reads what was forgotten once more, and on into `scratch`: of what is new, `most` bytes; how many. So every turn gets further, however
    /// often what it has read is forgotten.
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

    /// Forgets what was read: another file has been written in its place.
    pub(super) fn begin_anew(&mut self) {
        self.framing = Framing::of_file(shown(&self.written).into(), Arc::clone(&self.stem));
        (self.at, self.read_to, self.due) = (0, 0, 0);
        (self.beginning, self.is_refused) = (Fingerprint::default(), false);
        // What is there may have been written a moment ago, in the same tick of the clock.
        self.looked = None;
    }

    /// Forgets the record that has not ended, to make room: it is read again when there is more.
    pub(super) fn forget(&mut self) {
        self.at = self.framing.offset().at;
        self.framing.forget();
    }

    /// What has come of a record that has not ended.
    pub(super) fn half(&self) -> Option<Half> {
        if self.is_refused {
            return None;
        }
        if self.at == self.read_to {
            return self.framing.half(self.framing.buffered());
        }
        // It was forgotten, to make room for others.
        let mut bytes = vec![0; SHOWN.min((self.read_to - self.at) as usize)];
        let read = self.file.read_at(&mut bytes, self.at).unwrap_or_default();
        self.framing.half(&bytes[..read])
    }

    /// Whether what had come of a record is where it was.
    pub(super) fn has(&self, half: &Half) -> Result<bool> {
        half.is_in(&self.file).map_err(|error| self.failed(&error))
    }

    /// Whether a record has begun that has not ended.
    pub(super) fn is_unfinished(&self) -> bool {
        self.framing.waiting() > 0 || self.at < self.read_to
    }

    /// How many bytes are there that have not been read; none where that cannot be seen.
    pub(super) fn unread(&self) -> u64 {
        let length = self.file.metadata().map_or(0, |meta| meta.len());
        length.saturating_sub(self.at.max(self.read_to))
    }

    /// Files that are found from now on may begin when it has been read as far as it is now.
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

/// When a file was made, in nanoseconds since 1970, where its file system says so: renamed or cut off, it is still that one.
fn born(meta: &Metadata) -> Option<u64> {
    let since = meta.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    since.as_nanos().try_into().ok()
}

pub(super) fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}
