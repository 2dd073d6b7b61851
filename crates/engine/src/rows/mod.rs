//! Rows by epoch, as long as they are needed: an append-only log in the state folder of a run.
//!
//! It has two uses: the outbox of a sink that delivers by epochs, with one segment per epoch; and the rows of an unfinished Parquet file, which
//! cannot be resumed and is rebuilt from them, in segments of a certain size, each with any number of epochs.
//!
//! The name of a log stays the same over all restarts of its run. Its segments are the files `<kind>-<name>-<first epoch>`, which consist of
//! [`frames`]. A checkpoint has the list of segments with their lengths ([`Segment`]); a run that resumes from it [opens](RowLog::open) the log
//! with that list, and everything after it is removed. Segments that are no longer needed are [forgotten](RowLog::forget), but removed only
//! once a checkpoint that does not refer to them is durable. One thread uses a log; any thread may use its [`RowReader`].

mod frames;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::{Access, FileHandle, FileSystem, write_all_at};

pub(crate) use frames::Frames;

/// The use of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An outbox: each epoch is delivered by itself.
    Outbox,
    /// The rows from which a file is rebuilt.
    File,
}

impl Purpose {
    /// The prefix of the names of its segments.
    fn prefix(self) -> &'static str {
        match self {
            Self::Outbox => "outbox-",
            Self::File => "rows-",
        }
    }

    /// The size in bytes from which on a segment accepts no further epoch.
    fn size(self) -> u64 {
        match self {
            Self::Outbox => 0,
            Self::File => 64 << 20,
        }
    }
}

/// A log of rows by epoch.
#[derive(Debug)]
pub(crate) struct RowLog {
    place: LogPlace,
    /// The size in bytes from which on a segment accepts no further epoch.
    size: u64,
    segments: Vec<Segment>,
    /// The file of the last segment, once something was appended to it.
    last: Option<Arc<dyn FileHandle>>,
    /// What of the current epoch is not durable.
    unsettled: Unsettled,
}

/// A segment in a checkpoint. All rows of an epoch are in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// Its first epoch.
    pub(crate) first: u64,
    /// Its last epoch so far.
    pub(crate) last: u64,
    /// The length of its file in bytes.
    pub(crate) length: u64,
}

/// The location of a log.
#[derive(Clone, Debug)]
struct LogPlace {
    files: Arc<dyn FileSystem>,
    folder: PathBuf,
    purpose: Purpose,
    name: Arc<str>,
}

/// What of the current epoch is not durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Unsettled {
    #[default]
    Nothing,
    Rows,
    /// Rows, and the name of the segment.
    Name,
}

impl RowLog {
    /// Opens the log `name` in `folder` as it was at a checkpoint with the segments `kept`: removes other segments, and truncates these.
    ///
    /// # Errors
    /// A data error if a segment is shorter than it was; an unavailable one if it is missing; an error of the system.
    pub(crate) fn open(
        files: &Arc<dyn FileSystem>,
        folder: &Path,
        purpose: Purpose,
        name: &Arc<str>,
        kept: Vec<Segment>,
    ) -> Result<Self> {
        let place = LogPlace::new(files, folder, purpose, name);
        let failed = |error: io::Error| Error::io("look into", folder.display(), &error);
        for path in place.all().map_err(failed)? {
            if !kept.iter().any(|segment| place.path(segment.first) == path) {
                place.remove(&path)?;
            }
        }
        kept.iter().try_for_each(|segment| place.truncate(*segment))?;
        Ok(Self { place, size: purpose.size(), segments: kept, last: None, unsettled: Unsettled::Nothing })
    }

    /// Appends rows of `epoch`, which is not earlier than that of the preceding rows.
    ///
    /// # Errors
    /// An error of the system; a data error if there are more than 4 GiB.
    pub(crate) fn append(&mut self, epoch: u64, rows: &[u8]) -> Result<()> {
        let is_room = |segment: &&mut Segment| segment.last == epoch || segment.length < self.size;
        if self.segments.last_mut().filter(is_room).is_none() {
            self.begin(epoch)?;
        }
        let Some(segment) = self.segments.last_mut() else {
            return Err(Error::internal("a log of rows without a segment"));
        };
        let path = self.place.path(segment.first);
        let failed = |error: io::Error| Error::io("write", path.display(), &error);
        let file = match &self.last {
            Some(file) => file,
            None => self.last.insert(self.place.files.open_own(&path).map_err(failed)?),
        };
        let head = frames::head(epoch, segment.length, rows)?;
        let written = write_all_at(&**file, &head, segment.length)
            .and_then(|()| write_all_at(&**file, rows, segment.length + head.len() as u64));
        written.map_err(failed)?;
        segment.length += (head.len() + rows.len()) as u64;
        segment.last = epoch;
        self.unsettled = self.unsettled.max(Unsettled::Rows);
        Ok(())
    }

    fn begin(&mut self, epoch: u64) -> Result<()> {
        let path = self.place.path(epoch);
        let failed = |error: io::Error| Error::io("write", path.display(), &error);
        let file = self.place.files.create(&path, Access::Private).map_err(failed)?;
        write_all_at(&*file, &frames::BEGINNING, 0).map_err(failed)?;
        let length = frames::BEGINNING.len() as u64;
        self.segments.push(Segment { first: epoch, last: epoch, length });
        (self.last, self.unsettled) = (Some(file), Unsettled::Name);
        Ok(())
    }

    /// Ends the current epoch; returns what makes its rows durable, `None` if it has none.
    pub(crate) fn close(&mut self) -> Option<impl FnOnce() -> Result<()> + Send + use<>> {
        let unsettled = std::mem::take(&mut self.unsettled);
        let file = self.last.clone().filter(|_| unsettled != Unsettled::Nothing)?;
        let place = self.place.clone();
        let path = place.path(self.segments.last()?.first);
        Some(move || {
            let named = || match unsettled {
                Unsettled::Name => place.files.sync_folder(&place.folder),
                _ => Ok(()),
            };
            let durable = file.sync().and_then(|()| named());
            durable.map_err(|error| Error::io("make durable", path.display(), &error))
        })
    }

    /// The size in bytes of the current epoch, if it has a segment of its own.
    pub(crate) fn open_bytes(&self, epoch: u64) -> u64 {
        self.segments.last().filter(|segment| segment.first == epoch).map_or(0, |segment| segment.length)
    }

    /// The segments that are not forgotten, in order, for a checkpoint.
    pub(crate) fn kept(&self) -> &[Segment] {
        &self.segments
    }

    /// Drops the segments up to `epoch`; returns what removes their files once no checkpoint refers to them, `None` if there are none. Files
    /// that cannot be removed are removed by the next run.
    pub(crate) fn forget(&mut self, epoch: u64) -> Option<impl FnOnce() + Send + use<>> {
        let (gone, kept): (Vec<Segment>, Vec<Segment>) =
            self.segments.iter().partition(|segment| segment.last <= epoch);
        self.segments = kept;
        if self.segments.is_empty() {
            self.last = None;
        }
        let place = self.place.clone();
        let is_any = !gone.is_empty();
        let remove = move || {
            for segment in gone {
                let _the_next_run_does = place.files.remove(&place.path(segment.first));
            }
        };
        is_any.then_some(remove)
    }

    /// Removes what was appended of `epoch`, which has a segment of its own and is in no checkpoint.
    ///
    /// # Errors
    /// An error of the system.
    pub(crate) fn discard(&mut self, epoch: u64) -> Result<()> {
        if let Some(segment) = self.segments.pop_if(|segment| segment.first == epoch) {
            (self.last, self.unsettled) = (None, Unsettled::Nothing);
            self.place.remove(&self.place.path(segment.first))?;
        }
        Ok(())
    }

    /// A reader, for another thread.
    pub(crate) fn reader(&self) -> RowReader {
        RowReader(self.place.clone())
    }
}

impl LogPlace {
    fn new(files: &Arc<dyn FileSystem>, folder: &Path, purpose: Purpose, name: &Arc<str>) -> Self {
        Self { files: Arc::clone(files), folder: folder.to_owned(), purpose, name: Arc::clone(name) }
    }

    fn path(&self, first: u64) -> PathBuf {
        self.folder.join(format!("{}{}-{first:010}", self.purpose.prefix(), self.name))
    }

    /// All its files.
    fn all(&self) -> io::Result<Vec<PathBuf>> {
        let all = look(&*self.files, &self.folder)?.into_iter();
        Ok(all.filter(|(path, _, first)| self.path(*first) == *path).map(|(path, ..)| path).collect())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match self.files.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", path.display(), &error))
            }
            _ => Ok(()),
        }
    }

    /// Truncates a segment to its length in the checkpoint.
    fn truncate(&self, segment: Segment) -> Result<()> {
        let path = self.path(segment.first);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => frames::gone(&path),
            _ => Error::io("resume", path.display(), &error),
        };
        let file = self.files.open_own(&path).map_err(failed)?;
        match file.size().map_err(failed)? {
            size if size < segment.length => Err(frames::damaged(&path, size)),
            size if size > segment.length => file.truncate(segment.length).map_err(failed),
            _ => Ok(()),
        }
    }
}

/// Reads a log.
#[derive(Clone, Debug)]
pub(crate) struct RowReader(LogPlace);

impl RowReader {
    /// A reader of the log `name` in `folder`, which nobody has opened.
    pub(crate) fn new(files: &Arc<dyn FileSystem>, folder: &Path, purpose: Purpose, name: &Arc<str>) -> Self {
        Self(LogPlace::new(files, folder, purpose, name))
    }

    /// The rows of a segment, in the order in which they were appended.
    ///
    /// # Errors
    /// An error of the system; a data error if its file has another version.
    pub(crate) fn rows(&self, segment: Segment) -> Result<Frames> {
        Frames::open(&self.0.files, self.0.path(segment.first), segment)
    }

    /// Whether the file of a segment exists.
    pub(crate) fn has(&self, segment: Segment) -> bool {
        self.0.files.open(&self.0.path(segment.first)).is_ok()
    }

    /// The file of a segment.
    pub(crate) fn path(&self, segment: Segment) -> PathBuf {
        self.0.path(segment.first)
    }

    /// Removes all its files.
    pub(crate) fn clear(&self) {
        for path in self.0.all().unwrap_or_default() {
            let _stays = self.0.files.remove(&path);
        }
    }
}

/// The segments in a folder: file, name of the log, first epoch.
///
/// # Errors
/// An error of the system.
pub(crate) fn look(files: &dyn FileSystem, folder: &Path) -> io::Result<Vec<(PathBuf, String, u64)>> {
    let parts = |file: &str| {
        let prefixes = [Purpose::Outbox, Purpose::File].map(Purpose::prefix);
        let (name, epoch) = prefixes.iter().find_map(|prefix| file.strip_prefix(prefix))?.rsplit_once('-')?;
        Some((name.to_owned(), epoch.parse().ok()?))
    };
    let names = files.names(folder)?;
    let found = names.iter().filter_map(|file| parts(file.to_str()?).map(|parts| (folder.join(file), parts)));
    Ok(found.map(|(path, (name, epoch))| (path, name, epoch)).collect())
}

#[cfg(test)]
mod tests;
