//! The state folder of a run: one run at a time uses it, and writes its checkpoints.
//!
//! | file | content |
//! |---|---|
//! | `lock` | locked by the run that uses the folder, and describes it; if it is another file than the run has locked, the folder was replaced |
//! | `take-over` | locked by a run that kills the one that uses the folder, to resume in its place |
//! | `run` | the number of the run that uses the folder, which each run increments: see [`Fence`] |
//! | `id` | the id of the folder: see [`id`] |
//! | `checkpoint-…` | the newest checkpoints, by ordinal: see [`retention`](super::retention) |
//! | `made-…` | the mark of a part file: see [`marks`] |

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chain::{Chain, Link, SMALL};
use super::fence::{Fence, LOCK};
use super::file::{self, Unwritten};
use super::find::{Found, look, none_intact};
use super::holder::{self, Holder};
use super::names::{in_order, name, ordinals};
use super::orphan::Orphan;
use super::retention::{Kept, first_kept};
use super::small_file::create_anew;
use super::{Ending, Manifest, id};
use crate::atomic::marks;
use crate::error::{Error, Masks, Result, plain};
use crate::files::{FileHandle, FileSystem, kind_if_there, make_lasting_folder};
use crate::notes::Event;
use crate::stage::{Cut, CutKind};
use crate::time::Clock;

/// Locked by a run that takes the folder over.
const TAKE_OVER: &str = "take-over";

/// The prefix of a checkpoint's temporary name; the number of the run follows, so that files of other runs are not mistaken for it.
const ASIDE: &str = ".checkpoint-";

/// A state folder in use.
pub struct StateFolder {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    /// The ordinal of the newest checkpoint; 0 if there is none.
    newest: u64,
    /// The ordinal of the one that was loaded; newer ones are damaged.
    loaded: u64,
    /// The checkpoints that are kept and not known to be damaged, the newest last.
    intact: VecDeque<Kept>,
    /// The base of the next checkpoint: the newest one that this run has written.
    chain: Option<Chain>,
    /// The size in bytes up to which a checkpoint is always complete.
    pub(super) small: u64,
    /// Files to which older checkpoints refer and the next one does not.
    orphans: Vec<Orphan>,
    /// Masks secrets in messages about them.
    masks: Arc<Masks>,
    /// Files about which a message was printed.
    said: BTreeSet<PathBuf>,
    id: Arc<str>,
    fence: Fence,
}

impl StateFolder {
    /// Acquires the folder at `path`, and creates it if it does not exist.
    ///
    /// # Errors
    /// If another run uses it; an I/O error.
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

    /// Acquires the folder for `holder`; `None` if another run uses it.
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
            intact: VecDeque::new(),
            chain: None,
            small: SMALL,
            orphans: Vec::new(),
            masks: Arc::default(),
            said: BTreeSet::new(),
            id: "".into(),
            fence,
        };
        folder.remove_aside();
        folder.id = id::known_or_new(&*folder.files, path).map_err(failed)?;
        marks::tidy(&*folder.files, path);
        Ok(Some(folder))
    }

    /// The same, but kills a run that uses the folder; returns whether there was one. To take its lock away would not be enough: if it is stopped now, it would
    /// continue to write once it is continued.
    ///
    /// If several do this at the same time, the first one gets the folder, and the others kill no run.
    ///
    /// # Errors
    /// As [`StateFolder::open`]; if that run cannot be found or killed; if another run has taken over the folder meanwhile.
    pub fn take_over(files: Arc<dyn FileSystem>, path: &Path) -> Result<(Self, bool)> {
        let begun = Clock::default().read();
        make_own(&*files, path)?;
        let lock = path.join(LOCK);
        let taken = |who: Option<Holder>| {
            let who = who.map_or_else(String::new, |who| format!(": {who}"));
            Error::unavailable(format!("another run has taken over the state folder {}{who}", path.display()))
                .with_help("let that run continue, or give --take-over again to end it")
        };
        // Otherwise they would kill one another.
        let turn = files.lock(&path.join(TAKE_OVER)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => taken(Holder::of(&*files, &path.join(TAKE_OVER))),
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
        // It may have ended meanwhile.
        let ended = holder::end(&lock);
        match Self::acquire(&files, path, &own)? {
            Some(folder) => Ok((folder, ended.is_ok())),
            None => ended.and_then(|()| Err(taken(Holder::of(&*files, &lock)))),
        }
    }

    /// The id of the folder, for the names of part files: it stays the same if the folder is moved.
    pub fn id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    /// Tells whether the run still holds the folder.
    pub(crate) fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finds the newest intact checkpoint, to resume from.
    ///
    /// # Errors
    /// A data error if there are checkpoints and none is intact: a run must not start over silently.
    pub fn load(&mut self) -> Result<Found> {
        // A run may have been killed just after it renamed its checkpoint, which is not durable then. The run that resumes from it
        // does things that cannot be undone, such as publishing.
        self.files
            .sync_folder(&self.path)
            .map_err(|error| Error::io("make durable", self.path.display(), &error))?;
        let found = look(&*self.files, &self.path)?;
        let mut all = in_order(&*self.files, &self.path)?;
        self.newest = all.last().map_or(0, |(ordinal, _)| *ordinal);
        if found.manifest.is_none() && !found.damaged.is_empty() {
            let damaged = found.damaged.iter().map(|(path, why)| (&**path, why));
            return Err(none_intact(&self.path, damaged));
        }
        if let Some((_, path)) = &found.manifest {
            // Older ones are assumed to be intact.
            all.truncate(all.iter().position(|(_, other)| other == path).map_or(0, |at| at + 1));
            self.loaded = all.last().map_or(0, |(ordinal, _)| *ordinal);
            let kept = |(ordinal, path): &(u64, PathBuf)| Kept {
                ordinal: *ordinal,
                is_complete: file::is_complete(&*self.files, path),
            };
            self.intact = all.iter().map(kept).collect();
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
            // Another file may have got that name meanwhile.
            if !matches!(kind_if_there(&*self.files, &orphan.aside), Ok(None)) {
                orphan.aside = Orphan::of(&*self.files, &orphan.output, orphan.records).aside;
            }
        }
        self.orphans
            .extend(left.iter().filter(|orphan| orphan.preserve(&*self.files, &self.path).is_err()).cloned());
        left
    }

    /// The ordinal of the newest checkpoint; 0 if there is none.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// The ordinal of the checkpoint that was loaded; 0 if there was none.
    pub(crate) fn loaded(&self) -> u64 {
        self.loaded
    }

    /// Whether the next checkpoint should contain the complete state of the stages or only changes; a complete state is always accepted.
    pub fn next_kind(&self) -> CutKind {
        match &self.chain {
            Some(chain) if !chain.is_long(self.small) => CutKind::Changes,
            _ => CutKind::Complete,
        }
    }

    /// Writes `manifest` as the newest checkpoint, `ordinal`, with `stages` as the state of the stages; it is durable when this returns. Once all of `stages`
    /// is written, which must not change before, `complete` adds the state of the sinks and makes durable what it refers to; only then the checkpoint gets its name.
    ///
    /// # Errors
    /// If the run no longer holds the folder; an I/O error, or an error of a stage or of `complete`: the previous checkpoint is still the newest then. An
    /// internal error if `stages` has changes and the previous cut was not written.
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
            return Err(Error::internal(format!(
                "checkpoint {ordinal} is not newer than checkpoint {newest}"
            )));
        }
        let path = self.path.join(name(ordinal));
        self.fence.check()?;
        // If it is not written, the next one is complete.
        let chain = self.take_base(ordinal, manifest.ending, &stages)?;
        let names = manifest.sensors.clone();
        let link =
            self.write(manifest, chain.as_ref(), stages, complete, &path).map_err(
                |unwritten| match unwritten {
                    Unwritten::Disk(error) => Error::io("write the checkpoint", path.display(), &error),
                    Unwritten::Run(error) => error,
                },
            )?;
        self.newest = ordinal;
        self.intact.push_back(Kept { ordinal, is_complete: chain.is_none() });
        self.chain = Some(Chain::new(chain, Link { ordinal, ..link }, names));
        // The new one is durable, and does not refer to these. What fails now is tried again at the next checkpoint.
        self.preserve_pending();
        self.remove_old();
        Ok(())
    }

    /// The bytes of the newest checkpoint that this run has written; 0 if there is none.
    pub fn newest_bytes(&self) -> u64 {
        self.chain.as_ref().map_or(0, |chain| chain.last.length)
    }

    /// Takes the base of the checkpoint `ordinal`, with `stages` as the state of the stages; `None` if it is complete.
    fn take_base(&mut self, ordinal: u64, ending: Ending, stages: &[Cut]) -> Result<Option<Chain>> {
        let has_changes = stages.iter().any(|cut| cut.kind == CutKind::Changes);
        // The last checkpoint of a run does not depend on earlier ones.
        let is_due = ending != Ending::Running || self.next_kind() == CutKind::Complete;
        match self.chain.take() {
            chain if has_changes && chain.as_ref().is_none_or(|chain| chain.last.ordinal + 1 != ordinal) => {
                Err(Error::internal(format!(
                    "checkpoint {ordinal} has changes since one that was not written"
                )))
            }
            chain => Ok(chain.filter(|_| has_changes || !is_due)),
        }
    }

    /// Preserves files that no checkpoint refers to.
    fn preserve_pending(&mut self) {
        for orphan in std::mem::take(&mut self.orphans) {
            let Err(error) = orphan.preserve(&*self.files, &self.path) else { continue };
            let what = format!("cannot be renamed to {}", orphan.aside.display());
            self.say_once(&orphan.output.part, &what, &error);
            self.orphans.push(orphan);
        }
    }

    /// Prints, once for each file, that it stays where it is.
    fn say_once(&mut self, path: &Path, what: &str, error: &io::Error) {
        if self.said.insert(path.to_owned()) {
            let (path, why) = (path.display(), plain(error));
            let said = format!("{path} {what}: {why}; this is tried again at every checkpoint");
            Event::warn("file_stays").say(&self.masks, &said);
        }
    }

    /// Removes checkpoints that are no longer needed, also those that a killed run has left. Damaged ones do not count: they must not displace
    /// the one that the run resumed from.
    fn remove_old(&mut self) {
        let Some(first) = first_kept(&self.intact) else { return };
        self.intact.drain(..first);
        let Some(&Kept { ordinal: oldest, .. }) = self.intact.front() else { return };
        let mut all = ordinals(&*self.files, &self.path).unwrap_or_default();
        all.retain(|(ordinal, _)| *ordinal < oldest);
        // The newest first, so that each that remains still has its base.
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

    /// Removes checkpoints that killed runs have not finished.
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

/// Creates the folder at `path` if it does not exist, and checks that no other user can write to it.
fn make_own(files: &dyn FileSystem, path: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::io("use the state folder", path.display(), &error);
    make_lasting_folder(files, path, true).map_err(failed)?;
    // A user who can write to it could make this run write anywhere.
    files.check_own_folder(path).map_err(|error| {
        failed(error).with_help(format!(
            "run `chmod 700 {}` as its owner, or give a folder of your own as --state",
            path.display()
        ))
    })
}

/// Writes a file from its start.
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
