//! The folder of a run's checkpoints: one run at a time, three checkpoints.
//!
//! | file | |
//! |---|---|
//! | `lock` | held by the run that uses the folder; where it is another one by now, so is the folder |
//! | `id` | made when the folder is first used: it tells this folder's files in the making from those of others |
//! | `checkpoint-…` | the last three, by ordinal |
//! | `made-…` | the mark of a file in the making: see [`marks`] |

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Manifest, Unwritten, holder};
use crate::atomic::{Output, UNTIL, marks};
use crate::error::{Error, ErrorKind, Masks, Result, plain};
use crate::files::{
    Access, FileHandle, FileSystem, folder, kind_if_there, make_lasting_folder, path_bytes, write_all_at,
};
use crate::notes::say;
use crate::stage::Pieces;

/// How many checkpoints are kept: where the newest is damaged, the one before will do.
const KEPT: usize = 3;

/// The file that says that a run is using the folder.
const LOCK: &str = "lock";

/// The file that has the folder's id.
const ID: &str = "id";

/// Hexadecimal digits of an id.
const DIGITS: usize = 16;

/// Where a checkpoint is written before it gets its name.
const ASIDE: &str = ".checkpoint.new";

/// And the id.
const ID_ASIDE: &str = ".id.new";

const PREFIX: &str = "checkpoint-";

/// A folder of checkpoints in use.
pub struct StateFolder {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    /// The ordinal of the newest checkpoint; 0 where there is none.
    newest: u64,
    /// That of the one that was loaded, which may be older: newer ones are damaged then.
    loaded: u64,
    /// Those that are whole as far as is known, the newest last; no more than are kept.
    whole: VecDeque<u64>,
    /// Files of which older checkpoints speak and the next one does not.
    orphans: Vec<Orphan>,
    /// What is not to be said of them.
    masks: Arc<Masks>,
    /// Files of which it was said that they stay where they are.
    said: BTreeSet<PathBuf>,
    id: Arc<str>,
    fence: Fence,
}

/// Tells whether a run still holds its state folder: one that does not must neither write a checkpoint nor deliver anything.
#[derive(Clone, Debug)]
pub(crate) struct Fence {
    folder: PathBuf,
    lock: Arc<dyn FileHandle>,
}

/// A file in the making that nobody goes on with: what is in it is kept under another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The file.
    pub output: Output,
    /// How many records had come until then.
    pub records: u64,
    /// Its name from then on.
    #[serde(with = "path_bytes")]
    pub aside: PathBuf,
}

impl Fence {
    /// Checks that the folder is the one that was taken into use, and not another one in its place.
    ///
    /// # Errors
    /// When it is another one, or cannot be looked at.
    pub(crate) fn check(&self) -> Result<()> {
        let path = self.folder.display();
        match self.lock.has_name(&self.folder.join(LOCK)) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let what = format!(
                    "the state folder {path} is not the one that this run uses: that was removed or moved"
                );
                Err(Error::new(ErrorKind::Io, what).with_help(
                    "leave it where it is while the run goes on; bring it back to go on from its last checkpoint, or start anew",
                ))
            }
            Err(error) => Err(Error::io("look at", path, &error)),
        }
    }
}

impl Orphan {
    /// What was written until `records` records had come and is in `output`, with a name that is free.
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
        Self { output: output.clone(), records, aside }
    }

    /// Whether what was written is still where it was made.
    pub(crate) fn is_there(&self, files: &dyn FileSystem) -> bool {
        matches!(kind_if_there(files, &self.output.part), Ok(Some(_)) | Err(_))
    }

    /// Gives it its name; a second time is harmless.
    fn set_aside(&self, files: &dyn FileSystem, state: &Path) -> io::Result<()> {
        let file = match files.open_own(&self.output.part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        file.truncate(self.output.length)?;
        file.sync()?;
        marks::remove(files, &self.output.part, state);
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
                    .with_help(
                        "wait for it, stop it, end it with --take-over, or give this run its own --state",
                    )
            }
            _ => failed(error),
        })?;
        let mut folder = Self {
            files,
            path: path.to_owned(),
            newest: 0,
            loaded: 0,
            whole: VecDeque::new(),
            orphans: Vec::new(),
            masks: Arc::default(),
            said: BTreeSet::new(),
            id: "".into(),
            fence: Fence { folder: path.to_owned(), lock },
        };
        folder.fence.check()?;
        folder.id = folder.known_or_new_id().map_err(failed)?;
        marks::tidy(&*folder.files, path);
        Ok(folder)
    }

    /// The same; a run that uses it is ended first. It may stand still, and would go on to write, once it is let go on, as if it were alone: so it is
    /// not enough to take its lock away. Gives whether there was one.
    ///
    /// # Errors
    /// As [`StateFolder::open`]; when that run cannot be found or ended.
    pub fn take_over(files: Arc<dyn FileSystem>, path: &Path) -> Result<(Self, bool)> {
        let is_held =
            matches!(files.lock(&path.join(LOCK)), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        if is_held {
            holder::end(&path.join(LOCK))?;
        }
        Self::open(files, path).map(|folder| (folder, is_held))
    }

    /// Something that tells this folder's run from others, wherever the folder is moved: for the names of its files in the making.
    pub fn id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    /// What tells whether the run still holds the folder.
    pub(crate) fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// The folder's id, which is made where there is none: a run that was killed may have left half of one.
    fn known_or_new_id(&self) -> io::Result<Arc<str>> {
        let is_id = |id: &String| id.len() == DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        match self.files.read(&self.path.join(ID)) {
            Ok(bytes) => {
                if let Some(id) = String::from_utf8(bytes).ok().filter(is_id) {
                    return Ok(id.into());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Seeded by the system, and new each time.
        let id = format!("{:0DIGITS$x}", RandomState::new().build_hasher().finish());
        let aside = self.path.join(ID_ASIDE);
        let file = self.create_anew(&aside)?;
        write_all_at(&*file, id.as_bytes(), 0)?;
        file.sync()?;
        self.files.rename(&aside, &self.path.join(ID))?;
        self.files.sync_folder(&self.path)?;
        Ok(id.into())
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
            self.loaded = whole[..last].last().map_or(0, |(ordinal, _)| *ordinal);
            self.whole = whole[last.saturating_sub(KEPT)..last].iter().map(|(ordinal, _)| *ordinal).collect();
        }
        self.remove_old();
        Ok(found)
    }

    /// Sets these files aside with the next checkpoint, which needs them no more.
    pub(crate) fn let_go(&mut self, orphans: Vec<Orphan>, masks: &Arc<Masks>) {
        self.masks = Arc::clone(masks);
        self.orphans.extend(orphans);
    }

    /// Sets aside what a run that was killed just behind its checkpoint had left to do; gives what was there.
    pub(crate) fn let_go_at_once(&mut self, orphans: &[Orphan]) -> Vec<Orphan> {
        let mut left: Vec<_> =
            orphans.iter().filter(|orphan| orphan.is_there(&*self.files)).cloned().collect();
        for orphan in &mut left {
            // Somebody else may have taken its name meanwhile.
            if !matches!(kind_if_there(&*self.files, &orphan.aside), Ok(None)) {
                orphan.aside = Orphan::of(&*self.files, &orphan.output, orphan.records).aside;
            }
        }
        self.orphans.extend(
            left.iter().filter(|orphan| orphan.set_aside(&*self.files, &self.path).is_err()).cloned(),
        );
        left
    }

    /// The ordinal of the newest checkpoint; 0 where there is none.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// The ordinal of the checkpoint that was loaded; 0 where there was none.
    pub(crate) fn loaded(&self) -> u64 {
        self.loaded
    }

    /// Keeps `manifest` as the checkpoint `ordinal`, the newest, with `stages` as what the stages keep; when this returns, it is durable. Before it
    /// can be found, `complete` adds what the sinks have made, and makes durable what it speaks of; before that, all of `stages` is written: while
    /// it is not, it has to be kept as it was.
    ///
    /// # Errors
    /// When the folder is not the one any more that was taken into use; what the system, a stage or `complete` says; then the checkpoint before
    /// is still the newest.
    pub fn keep(
        &mut self,
        ordinal: u64,
        mut manifest: Manifest,
        stages: Vec<Pieces>,
        complete: impl FnOnce(&mut Manifest) -> Result<()>,
    ) -> Result<()> {
        manifest.orphans.clone_from(&self.orphans);
        if ordinal <= self.newest {
            let newest = self.newest;
            return Err(Error::internal(format!("checkpoint {ordinal} comes behind checkpoint {newest}")));
        }
        let path = self.path.join(format!("{PREFIX}{ordinal:010}"));
        self.fence.check()?;
        self.write(manifest, stages, complete, &path).map_err(|unwritten| match unwritten {
            Unwritten::Disk(error) => Error::io("keep the checkpoint", path.display(), &error),
            Unwritten::Run(error) => error,
        })?;
        self.newest = ordinal;
        self.whole.push_back(ordinal);
        while self.whole.len() > KEPT {
            self.whole.pop_front();
        }
        // The new one is durable: nobody goes on with these. What cannot be done now will be the next time.
        self.set_aside();
        self.remove_old();
        Ok(())
    }

    /// Sets aside what no checkpoint needs.
    fn set_aside(&mut self) {
        for orphan in std::mem::take(&mut self.orphans) {
            let Err(error) = orphan.set_aside(&*self.files, &self.path) else { continue };
            let what = format!("cannot be kept as {}", orphan.aside.display());
            self.say_once(&orphan.output.part, &what, &error);
            self.orphans.push(orphan);
        }
    }

    /// Says of a file, once, that it stays where it is.
    fn say_once(&mut self, path: &Path, what: &str, error: &io::Error) {
        if self.said.insert(path.to_owned()) {
            let (path, why) = (path.display(), plain(error));
            let said = format!("{path} {what}: {why}; it is tried again with every checkpoint");
            say(&self.masks.hide(&said));
        }
    }

    /// Removes checkpoints that are older than those to be kept; a run that was killed may have left one too many. Damaged ones that are
    /// newer do not count: they must not push out the one that is gone on from.
    fn remove_old(&mut self) {
        let Some(&oldest) = self.whole.front().filter(|_| self.whole.len() == KEPT) else { return };
        let all = ordinals(&*self.files, &self.path).unwrap_or_default();
        for (_, path) in all.into_iter().filter(|(ordinal, _)| *ordinal < oldest) {
            match self.files.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.say_once(&path, "cannot be removed", &error);
                }
                _ => {}
            }
        }
    }

    fn write(
        &self,
        manifest: Manifest,
        stages: Vec<Pieces>,
        complete: impl FnOnce(&mut Manifest) -> Result<()>,
        path: &Path,
    ) -> std::result::Result<(), Unwritten> {
        let aside = self.path.join(ASIDE);
        let written = self.write_aside(manifest, stages, complete, &aside);
        // Writing may have taken a while.
        self.fence.check()?;
        let named = written.and_then(|()| Ok(self.files.rename(&aside, path)?));
        if named.is_err() {
            // On a full disk, every byte counts.
            let _gone_already = self.files.remove(&aside);
        }
        named?;
        Ok(self.files.sync_folder(&self.path)?)
    }

    fn write_aside(
        &self,
        mut manifest: Manifest,
        stages: Vec<Pieces>,
        complete: impl FnOnce(&mut Manifest) -> Result<()>,
        aside: &Path,
    ) -> std::result::Result<(), Unwritten> {
        let file = self.create_anew(aside)?;
        manifest.write_completed(FromStart { file: &*file, place: 0 }, stages, complete)?;
        Ok(file.sync()?)
    }

    /// Makes an empty file in place of one that a run which was killed has left.
    fn create_anew(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        match self.files.create(path, Access::Private) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.files.remove(path)?;
                self.files.create(path, Access::Private)
            }
            created => created,
        }
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
    let file = files.open(path).map_err(|error| Error::io("read", path.display(), &error))?;
    Manifest::read(&file, path)
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
