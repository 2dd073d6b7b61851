//! The folder of a run's checkpoints: one run at a time, three checkpoints.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Manifest;
use crate::atomic::{Output, UNTIL};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{Access, FileHandle, FileSystem, folder, kind_if_there, make_lasting_folder};

/// How many checkpoints are kept: where the newest is damaged, the one before will do.
const KEPT: usize = 3;

/// The file that says that a run is using the folder.
const LOCK: &str = "lock";

/// Where a checkpoint is written before it gets its name.
const ASIDE: &str = ".checkpoint.new";

const PREFIX: &str = "checkpoint-";

/// A folder of checkpoints in use.
pub struct StateFolder {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    /// The ordinal of the newest checkpoint; 0 where there is none.
    newest: u64,
    /// Those that are whole as far as is known, the newest last; no more than are kept.
    whole: VecDeque<u64>,
    /// Files of which older checkpoints speak and the next one does not.
    orphans: Vec<Orphan>,
    _lock: Box<dyn Any + Send + Sync>,
}

/// A file in the making that nobody goes on with: what is in it is kept under another name.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    pub(crate) output: Output,
    /// Its name from then on.
    pub(crate) aside: PathBuf,
}

impl Orphan {
    /// What was written behind `records` records and is in `output`, with a name that is free.
    pub(crate) fn of(files: &dyn FileSystem, output: &Output, records: u64) -> Self {
        let name = |suffix: String| {
            let mut name = output.path.clone().into_os_string();
            name.push(format!("{UNTIL}{records}{suffix}"));
            PathBuf::from(name)
        };
        let mut aside = name(String::new());
        for number in 2.. {
            if matches!(kind_if_there(files, &aside), Ok(None) | Err(_)) {
                break;
            }
            aside = name(format!("-{number}"));
        }
        Self { output: output.clone(), aside }
    }

    /// Gives it its name; a second time is harmless.
    fn set_aside(&self, files: &dyn FileSystem) -> io::Result<()> {
        let file = match files.open_own(&self.output.part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        file.truncate(self.output.length)?;
        file.sync()?;
        files.rename(&self.output.part, &self.aside)?;
        files.sync_folder(folder(&self.aside))
    }
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest checkpoint that is whole, and its file.
    pub manifest: Option<(Manifest, PathBuf)>,
    /// Newer ones that are not: file, and what is wrong.
    pub damaged: Vec<(PathBuf, String)>,
}

impl StateFolder {
    /// Takes the folder at `path` into use; it is made where it is not there.
    ///
    /// # Errors
    /// When another run uses it, or the system refuses.
    pub fn open(files: Arc<dyn FileSystem>, path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io("use the state folder", path.display(), &error);
        make_lasting_folder(&*files, path, true).map_err(failed)?;
        // Whoever can write to it could have this run write anywhere.
        files.check_own_folder(path).map_err(|error| {
            failed(error).with_help(format!(
                "`chmod 700 {}` as its owner, or name a folder of your own as --state",
                path.display()
            ))
        })?;
        let lock = files.lock(&path.join(LOCK)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                Error::unavailable(format!("another run is using the state folder {}", path.display()))
                    .with_help("wait for it, stop it, or give this run its own --state")
            }
            _ => failed(error),
        })?;
        Ok(Self {
            files,
            path: path.to_owned(),
            newest: 0,
            whole: VecDeque::new(),
            orphans: Vec::new(),
            _lock: lock,
        })
    }

    /// Something that tells this folder's run from others, for the names of its files in the making.
    pub fn id(&self) -> Arc<str> {
        let path = self.path.canonicalize().or_else(|_| std::path::absolute(&self.path));
        let path = path.unwrap_or_else(|_| self.path.clone());
        format!("{:08x}", crc32c::crc32c(path.as_os_str().as_encoded_bytes())).into()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest checkpoint that is whole.
    ///
    /// # Errors
    /// A data error where there are checkpoints and none is whole: nothing is started anew in silence.
    pub fn load(&mut self) -> Result<Found> {
        // What is found may have got its name just before the run that wrote it ended, and not be durable yet. Who goes on from it
        // does things that cannot be undone, such as to publish.
        self.files
            .sync_folder(&self.path)
            .map_err(|error| Error::io("make durable", self.path.display(), &error))?;
        let found = look(&*self.files, &self.path)?;
        self.newest = newest(&*self.files, &self.path)?;
        if let (None, [.., (path, why)]) = (&found.manifest, &found.damaged[..]) {
            return Err(Error::data(format!("no checkpoint in {} is whole", self.path.display()))
                .with_context(format!("{}: {why}", path.display()))
                .with_help("start anew with another --state, or bring back a copy of this one"));
        }
        if let Some((_, path)) = &found.manifest {
            let mut whole = ordinals(&*self.files, &self.path).unwrap_or_default();
            whole.sort_unstable();
            // Older ones are whole as far as is known.
            let last = whole.iter().position(|(_, other)| other == path).map_or(0, |at| at + 1);
            self.whole = whole[last.saturating_sub(KEPT)..last].iter().map(|(ordinal, _)| *ordinal).collect();
        }
        self.remove_old();
        Ok(found)
    }

    /// Sets these files aside with the next checkpoint, which needs them no more.
    pub(crate) fn let_go(&mut self, orphans: Vec<Orphan>) {
        self.orphans = orphans;
    }

    /// The ordinal of the newest checkpoint; 0 where there is none.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// Keeps `manifest` as the newest checkpoint; when this returns, it is durable.
    ///
    /// # Errors
    /// What the system says; then the checkpoint before is still the newest.
    pub fn keep(&mut self, manifest: &Manifest) -> Result<()> {
        let next = self.newest + 1;
        let path = self.path.join(format!("{PREFIX}{next:010}"));
        self.write(manifest, &path)
            .map_err(|error| Error::io("keep the checkpoint", path.display(), &error))?;
        self.newest = next;
        self.whole.push_back(next);
        while self.whole.len() > KEPT {
            self.whole.pop_front();
        }
        // The new one is durable: nobody goes on with these. What cannot be done now will be the next time.
        self.orphans.retain(|orphan| orphan.set_aside(&*self.files).is_err());
        self.remove_old();
        Ok(())
    }

    /// Removes checkpoints that are older than those to be kept; a run that was killed may have left one too many. Damaged ones that are
    /// newer do not count: they must not push out the one that is gone on from.
    fn remove_old(&self) {
        let Some(&oldest) = self.whole.front().filter(|_| self.whole.len() == KEPT) else { return };
        for (ordinal, path) in ordinals(&*self.files, &self.path).unwrap_or_default() {
            if ordinal < oldest {
                let _next_time = self.files.remove(&path);
            }
        }
    }

    fn write(&self, manifest: &Manifest, path: &Path) -> io::Result<()> {
        let aside = self.path.join(ASIDE);
        let written = self.write_aside(manifest, &aside).and_then(|()| self.files.rename(&aside, path));
        if written.is_err() {
            // On a full disk, every byte counts.
            let _gone_already = self.files.remove(&aside);
        }
        written?;
        self.files.sync_folder(&self.path)
    }

    fn write_aside(&self, manifest: &Manifest, aside: &Path) -> io::Result<()> {
        let file = match self.files.create(aside, Access::Private) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // A run that was killed has left it.
                self.files.remove(aside)?;
                self.files.create(aside, Access::Private)?
            }
            created => created?,
        };
        manifest.write(FromStart { file: &*file, place: 0 })?;
        file.sync()
    }
}

/// A file that is written from its beginning on.
struct FromStart<'a> {
    file: &'a dyn FileHandle,
    place: u64,
}

impl io::Write for FromStart<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.place)?;
        self.place += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the folder at `path` holds, without taking it into use.
///
/// # Errors
/// When it cannot be read.
pub fn look(files: &dyn FileSystem, path: &Path) -> Result<Found> {
    let mut found = Found::default();
    let mut all = ordinals(files, path)
        .map_err(|error| Error::io("look into the state folder", path.display(), &error))?;
    all.sort_unstable_by(|a, b| b.cmp(a));
    for (_, path) in all {
        match read(files, &path) {
            Ok(manifest) => {
                found.manifest = Some((manifest, path));
                break;
            }
            Err(error) if error.kind() == ErrorKind::Data => found.damaged.push((path, error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The checkpoint in one file.
///
/// # Errors
/// When it cannot be read, or is not whole.
pub fn read(files: &dyn FileSystem, path: &Path) -> Result<Manifest> {
    let bytes = files.read(path).map_err(|error| Error::io("read", path.display(), &error))?;
    Manifest::from_bytes(&bytes)
}

/// The checkpoints that are there, by ordinal.
pub fn ordinals(files: &dyn FileSystem, path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let names = files.names(path)?;
    let ordinal = |name: &str| name.strip_prefix(PREFIX)?.parse().ok();
    Ok(names.iter().filter_map(|name| Some((ordinal(name.to_str()?)?, path.join(name)))).collect())
}

fn newest(files: &dyn FileSystem, path: &Path) -> Result<u64> {
    let all = ordinals(files, path)
        .map_err(|error| Error::io("look into the state folder", path.display(), &error))?;
    Ok(all.iter().map(|(ordinal, _)| *ordinal).max().unwrap_or(0))
}
