//! The folder of a run's checkpoints: one run at a time, and the last checkpoints.
//!
//! | file | |
//! |---|---|
//! | `lock` | held by the run that uses the folder, and says which that is; where it is another one by now, so is the folder |
//! | `take-over` | held by a run that ends the one that uses the folder, to go on in its place |
//! | `run` | the number of the run that uses the folder, which grows with each: see [`Fence`] |
//! | `id` | made when the folder is first used: it tells this folder's files in the making from those of others |
//! | `checkpoint-…` | the last ones, by ordinal: two that stand alone and those behind them, and three at least |
//! | `made-…` | the mark of a file in the making: see [`marks`] |

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chain::{Chain, Link, SMALL};
use super::fence::{Fence, LOCK};
use super::holder::{self, Holder};
use super::manifest::stands_alone;
use super::small_file::{self, create_anew};
use super::{Checkpoints, Ending, Manifest, Unwritten};
use crate::atomic::{SavedPart, UNTIL, marks};
use crate::error::{Error, ErrorKind, Masks, Result, plain};
use crate::files::{FileHandle, FileSystem, folder, kind_if_there, make_lasting_folder, path_bytes};
use crate::notes::say;
use crate::stage::{Cut, CutKind};
use crate::time::Clock;

/// How many checkpoints are kept at least: where the newest is damaged, the one before will do.
pub(super) const KEPT: usize = 3;

/// And how many of those that stand alone: where the newest of them is damaged, so are all that stand on it.
const KEPT_ALONE: usize = 2;

/// The file that says that a run is taking the folder over.
const TURN: &str = "take-over";

/// The file that has the folder's id.
const ID: &str = "id";

/// Hexadecimal digits of an id.
const DIGITS: usize = 16;

/// What the name begins with under which a checkpoint is written before it gets its own, in front of the run's number: what another run has left, or still
/// writes, is not taken for it.
const ASIDE: &str = ".checkpoint-";

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
    whole: VecDeque<Kept>,
    /// On what the next one may stand: the newest that this run has written.
    chain: Option<Chain>,
    /// Up to how many bytes a checkpoint has everything.
    pub(super) small: u64,
    /// Files of which older checkpoints speak and the next one does not.
    orphans: Vec<Orphan>,
    /// What is not to be said of them.
    masks: Arc<Masks>,
    /// Files of which it was said that they stay where they are.
    said: BTreeSet<PathBuf>,
    id: Arc<str>,
    fence: Fence,
}

/// A checkpoint that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    ordinal: u64,
    stands_alone: bool,
}

/// A file in the making that nobody goes on with: what is in it is kept under another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The file.
    pub output: SavedPart,
    /// How many records had come until then.
    pub records: u64,
    /// Its name from then on.
    #[serde(with = "path_bytes")]
    pub aside: PathBuf,
}

impl Orphan {
    /// What was written until `records` records had come and is in `output`, with a name that is free.
    pub(crate) fn of(files: &dyn FileSystem, output: &SavedPart, records: u64) -> Self {
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

    /// Renames it to the name under which it is preserved; a second time is harmless.
    fn preserve(&self, files: &dyn FileSystem, state: &Path) -> io::Result<()> {
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
    pub damaged: Vec<(PathBuf, Error)>,
}

impl StateFolder {
    /// Takes the folder at `path` into use; it is made where it is not there.
    ///
    /// # Errors
    /// When another run uses it, or the system refuses.
    pub fn open(files: Arc<dyn FileSystem>, path: &Path) -> Result<Self> {
        make_own(&*files, path)?;
        let holder = Holder::this(Clock::default().read(), false);
        Self::acquire(&files, path, &holder)?.ok_or_else(|| {
            let who =
                Holder::of(&*files, &path.join(LOCK)).map_or_else(String::new, |who| format!(": {who}"));
            Error::unavailable(format!("another run is using the state folder {}{who}", path.display()))
                .with_help("wait for it, stop it, end it with --take-over, or give this run its own --state")
        })
    }

    /// Takes the folder into use for `holder`; `None` where another run uses it.
    fn acquire(files: &Arc<dyn FileSystem>, path: &Path, holder: &Holder) -> Result<Option<Self>> {
        let failed = |error: io::Error| Error::io("use the state folder", path.display(), &error);
        let lock = match files.lock(&path.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            locked => locked.map_err(failed)?,
        };
        holder.tell(&*lock);
        let files = Arc::clone(files);
        let fence = Fence::raise(&files, path, lock)?;
        let mut folder = Self {
            files,
            path: path.to_owned(),
            newest: 0,
            loaded: 0,
            whole: VecDeque::new(),
            chain: None,
            small: SMALL,
            orphans: Vec::new(),
            masks: Arc::default(),
            said: BTreeSet::new(),
            id: "".into(),
            fence,
        };
        folder.remove_aside();
        folder.id = folder.known_or_new_id().map_err(failed)?;
        marks::tidy(&*folder.files, path);
        Ok(Some(folder))
    }

    /// The same; a run that uses it is ended first. It may stand still, and would go on to write, once it is let go on, as if it were alone: so it is
    /// not enough to take its lock away. Gives whether there was one.
    ///
    /// Of several that do this at the same time, the first has the folder; the others end nobody.
    ///
    /// # Errors
    /// As [`StateFolder::open`]; when that run cannot be found or ended; when another one has taken the folder over meanwhile.
    pub fn take_over(files: Arc<dyn FileSystem>, path: &Path) -> Result<(Self, bool)> {
        let begun = Clock::default().read();
        make_own(&*files, path)?;
        let lock = path.join(LOCK);
        let taken = |who: Option<Holder>| {
            let who = who.map_or_else(String::new, |who| format!(": {who}"));
            Error::unavailable(format!("another run has taken over the state folder {}{who}", path.display()))
                .with_help("leave that one at work; or give --take-over once more, which ends it")
        };
        // They end one another otherwise.
        let turn = files.lock(&path.join(TURN)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => taken(Holder::of(&*files, &path.join(TURN))),
            _ => Error::io("use the state folder", path.display(), &error),
        })?;
        let own = Holder::this(Clock::default().read(), true);
        own.tell(&*turn);
        if let Some(folder) = Self::acquire(&files, path, &own)? {
            return Ok((folder, false));
        }
        let other = Holder::of(&*files, &lock);
        if other.as_ref().is_some_and(|other| other.has_taken_over_since(begun)) {
            return Err(taken(other));
        }
        // It may have ended by itself meanwhile.
        let ended = holder::end(&lock);
        match Self::acquire(&files, path, &own)? {
            Some(folder) => Ok((folder, ended.is_ok())),
            None => ended.and_then(|()| Err(taken(Holder::of(&*files, &lock)))),
        }
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
        let (path, aside) = (self.path.join(ID), self.path.join(ID_ASIDE));
        small_file::replace(&*self.files, &path, &aside, id.as_bytes())?;
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
        if found.manifest.is_none() && !found.damaged.is_empty() {
            let damaged = found.damaged.iter().map(|(path, why)| (&**path, why));
            return Err(none_intact(&self.path, damaged));
        }
        if let Some((_, path)) = &found.manifest {
            let mut whole = ordinals(&*self.files, &self.path).unwrap_or_default();
            whole.sort_unstable();
            // Older ones are whole as far as is known.
            let last = whole.iter().position(|(_, other)| other == path).map_or(0, |at| at + 1);
            self.loaded = whole[..last].last().map_or(0, |(ordinal, _)| *ordinal);
            let kept = |(ordinal, path): &(u64, PathBuf)| Kept {
                ordinal: *ordinal,
                stands_alone: stands_alone(&*self.files, path),
            };
            self.whole = whole[..last].iter().map(kept).collect();
        }
        self.remove_old();
        Ok(found)
    }

    /// Preserves these files under other names at the next checkpoint, which does not refer to them.
    pub(crate) fn preserve_orphans(&mut self, orphans: Vec<Orphan>, masks: &Arc<Masks>) {
        self.masks = Arc::clone(masks);
        self.orphans.extend(orphans);
    }

    /// Preserves the files that a run could not, as it was killed just after its checkpoint; returns those that existed.
    pub(crate) fn preserve_orphans_now(&mut self, orphans: &[Orphan]) -> Vec<Orphan> {
        let mut left: Vec<_> =
            orphans.iter().filter(|orphan| orphan.is_there(&*self.files)).cloned().collect();
        for orphan in &mut left {
            // Somebody else may have taken its name meanwhile.
            if !matches!(kind_if_there(&*self.files, &orphan.aside), Ok(None)) {
                orphan.aside = Orphan::of(&*self.files, &orphan.output, orphan.records).aside;
            }
        }
        self.orphans
            .extend(left.iter().filter(|orphan| orphan.preserve(&*self.files, &self.path).is_err()).cloned());
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

    /// How much of the stages' state the next checkpoint should have; it may always have more.
    pub fn next_kind(&self) -> CutKind {
        match &self.chain {
            Some(chain) if !chain.is_long(self.small) => CutKind::Changes,
            _ => CutKind::Complete,
        }
    }

    /// Keeps `manifest` as the checkpoint `ordinal`, the newest, with `stages` as what the stages keep; when this returns, it is durable. Before it
    /// can be found, `complete` adds what the sinks have made, and makes durable what it speaks of; before that, all of `stages` is written: while
    /// it is not, it has to be kept as it was.
    ///
    /// # Errors
    /// When the folder is not the one any more that was taken into use; what the system, a stage or `complete` says; then the checkpoint before
    /// is still the newest. An internal error where `stages` has changes and the cut before was not kept.
    pub fn keep(
        &mut self,
        ordinal: u64,
        mut manifest: Manifest,
        stages: Vec<Cut>,
        complete: impl FnOnce(&mut Manifest) -> Result<()>,
    ) -> Result<()> {
        manifest.orphans.clone_from(&self.orphans);
        if ordinal <= self.newest {
            let newest = self.newest;
            return Err(Error::internal(format!("checkpoint {ordinal} comes behind checkpoint {newest}")));
        }
        let path = self.path.join(name(ordinal));
        self.fence.check()?;
        // Where it is not written, nothing stands on what may be there.
        let chain = self.stand(ordinal, manifest.ending, &stages)?;
        let names = manifest.sensors.clone();
        let link =
            self.write(manifest, chain.as_ref(), stages, complete, &path).map_err(
                |unwritten| match unwritten {
                    Unwritten::Disk(error) => Error::io("keep the checkpoint", path.display(), &error),
                    Unwritten::Run(error) => error,
                },
            )?;
        self.newest = ordinal;
        self.whole.push_back(Kept { ordinal, stands_alone: chain.is_none() });
        self.chain = Some(Chain::new(chain, Link { ordinal, ..link }, names));
        // The new one is durable: nobody goes on with these. What cannot be done now will be the next time.
        self.preserve_pending();
        self.remove_old();
        Ok(())
    }

    /// Takes that on which the checkpoint `ordinal` stands, with `stages` as what the stages keep; `None` where it stands alone.
    fn stand(&mut self, ordinal: u64, ending: Ending, stages: &[Cut]) -> Result<Option<Chain>> {
        let has_changes = stages.iter().any(|cut| cut.kind == CutKind::Changes);
        // That a run is over does not depend on what it had before.
        let is_due = ending != Ending::Running || self.next_kind() == CutKind::Complete;
        match self.chain.take() {
            // What has changed has changed since the last cut.
            chain if has_changes && chain.as_ref().is_none_or(|chain| chain.last.ordinal + 1 != ordinal) => {
                Err(Error::internal(format!("checkpoint {ordinal} has changes since one that was not kept")))
            }
            chain => Ok(chain.filter(|_| has_changes || !is_due)),
        }
    }

    /// Preserves files that no checkpoint refers to.
    fn preserve_pending(&mut self) {
        for orphan in std::mem::take(&mut self.orphans) {
            let Err(error) = orphan.preserve(&*self.files, &self.path) else { continue };
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

    /// Removes checkpoints that are older than those to be kept; a run that was killed may have left some too many. Damaged ones that are
    /// newer do not count: they must not push out the one that is gone on from.
    fn remove_old(&mut self) {
        let Some(first) = first_kept(&self.whole) else { return };
        self.whole.drain(..first);
        let Some(&Kept { ordinal: oldest, .. }) = self.whole.front() else { return };
        let mut all = ordinals(&*self.files, &self.path).unwrap_or_default();
        all.retain(|(ordinal, _)| *ordinal < oldest);
        // The newest of them first, so that each that is left is intact, with all on which it stands.
        all.sort_unstable_by(|a, b| b.cmp(a));
        for (_, path) in all {
            match self.files.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.say_once(&path, "cannot be removed", &error);
                }
                _ => {}
            }
        }
    }

    /// Removes checkpoints that runs which were killed have not finished.
    fn remove_aside(&self) {
        let names = self.files.names(&self.path).unwrap_or_default();
        for name in names.iter().filter(|name| name.as_encoded_bytes().starts_with(ASIDE.as_bytes())) {
            let _nobody_reads_it = self.files.remove(&self.path.join(name));
        }
    }

    fn write(
        &self,
        manifest: Manifest,
        chain: Option<&Chain>,
        stages: Vec<Cut>,
        complete: impl FnOnce(&mut Manifest) -> Result<()>,
        path: &Path,
    ) -> std::result::Result<Link, Unwritten> {
        let aside = self.path.join(format!("{ASIDE}{:010}.new", self.fence.number()));
        let written = self.write_aside(manifest, chain, stages, complete, &aside);
        // Writing may have taken a while.
        self.fence.check()?;
        let named = written.and_then(|link| {
            self.files.rename(&aside, path)?;
            Ok(link)
        });
        if named.is_err() {
            // On a full disk, every byte counts.
            let _gone_already = self.files.remove(&aside);
        }
        let link = named?;
        self.files.sync_folder(&self.path)?;
        Ok(link)
    }

    fn write_aside(
        &self,
        mut manifest: Manifest,
        chain: Option<&Chain>,
        stages: Vec<Cut>,
        complete: impl FnOnce(&mut Manifest) -> Result<()>,
        aside: &Path,
    ) -> std::result::Result<Link, Unwritten> {
        let file = create_anew(&*self.files, aside)?;
        let out = FromStart { file: &*file, place: 0 };
        let link = manifest.write_completed(out, chain, stages, complete)?;
        file.sync()?;
        Ok(link)
    }
}

/// Which of these, the newest last, is the oldest to be kept; `None` where none is to be removed. It stands alone.
fn first_kept(whole: &VecDeque<Kept>) -> Option<usize> {
    let latest = whole.len().checked_sub(KEPT)?;
    let alone = |&at: &usize| whole[at].stands_alone;
    let second = (0..whole.len()).rev().filter(alone).nth(KEPT_ALONE - 1)?;
    (0..=second.min(latest)).rev().find(alone)
}

/// Makes the folder at `path` where it is not there; it is the user's own.
fn make_own(files: &dyn FileSystem, path: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::io("use the state folder", path.display(), &error);
    make_lasting_folder(files, path, true).map_err(failed)?;
    // Whoever can write to it could have this run write anywhere.
    files.check_own_folder(path).map_err(|error| {
        failed(error).with_help(format!(
            "`chmod 700 {}` as its owner, or name a folder of your own as --state",
            path.display()
        ))
    })
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
    let mut checkpoints = Checkpoints::new(files);
    for (_, path) in all {
        match checkpoints.read(&path) {
            Ok(manifest) => {
                found.manifest = Some((manifest, path));
                break;
            }
            Err(error) if error.kind() == ErrorKind::Data => found.damaged.push((path, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The error if no checkpoint in `folder` is intact: what is wrong with one of the `damaged` ones, and what to do.
pub fn none_intact<'a>(folder: &Path, damaged: impl Iterator<Item = (&'a Path, &'a Error)>) -> Error {
    let none = Error::data(format!("no checkpoint in {} is intact", folder.display()));
    // One that says what to do, as one of another version does, says more than a damaged one.
    let Some((path, why)) = damaged.max_by_key(|(_, why)| why.help().is_some()) else { return none };
    none.with_context(format!("{}: {}", path.display(), why.message())).with_help(
        why.help().unwrap_or("start anew with another --state, or restore this folder from a backup"),
    )
}

/// The checkpoint at one path.
///
/// # Errors
/// When it cannot be read, or it or one on which it stands is not whole.
pub fn read(files: &dyn FileSystem, path: &Path) -> Result<Manifest> {
    Checkpoints::new(files).read(path)
}

/// The name of the checkpoint with this ordinal.
pub(super) fn name(ordinal: u64) -> String {
    format!("{PREFIX}{ordinal:010}")
}

/// The ordinal of the checkpoint at `path`; `None` where it has another name.
pub(super) fn ordinal(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

/// The checkpoints that are there, by ordinal.
pub fn ordinals(files: &dyn FileSystem, path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let paths = files.names(path)?.into_iter().map(|name| path.join(name));
    Ok(paths.filter_map(|path| Some((ordinal(&path)?, path))).collect())
}

fn newest(files: &dyn FileSystem, path: &Path) -> Result<u64> {
    let all = ordinals(files, path)
        .map_err(|error| Error::io("look into the state folder", path.display(), &error))?;
    Ok(all.iter().map(|(ordinal, _)| *ordinal).max().unwrap_or(0))
}
