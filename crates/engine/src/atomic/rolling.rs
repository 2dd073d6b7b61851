//! The files that a rolling sink writes, one after the other (clause 19).
//!
//! | | without checkpoints | with checkpoints |
//! |---|---|---|
//! | a file begins | with the first record behind the one before | likewise |
//! | it ends, when it is due | between two batches | at a cut |
//! | and at the end of the run | always | always |
//! | it has its name | at once | when the checkpoint is durable, which decides |
//! | its number is | that of the file | that of the epoch that the cut closes |
//!
//! What a checkpoint says was closed is delivered by whoever comes first: the run that closed it, or the one that goes on from there.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::template::Template;
use super::{AtomicFile, Job, Output, Outset, Saved, leftovers, marks};
use crate::error::{Error, Result, plain};
use crate::files::{FileSystem, folder, kind_if_there, path_bytes};
use crate::time::{Clock, Timestamp, format_duration};

/// When a file is due to end, and when it is removed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    /// Nanoseconds since its first record.
    pub(crate) every: Option<i64>,
    /// Bytes that it has.
    pub(crate) size: Option<u64>,
    /// Nanoseconds since it was last written to.
    pub(crate) keep: Option<i64>,
}

/// The files of a rolling sink: how each is called, which is in the making, which are to be delivered.
pub(crate) struct RollingFiles {
    template: Template,
    policy: Policy,
    outset: Outset,
    /// By which the next file is begun: the number of the epoch that is open, or of the file.
    number: u64,
    begun: Option<Begun>,
    delivery: Arc<Delivery>,
    /// What was found beside the files when the run began, until it is tidied up.
    hidden: Vec<PathBuf>,
    remarks: Vec<String>,
}

/// The file in the making.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    /// The time of its first record.
    first: Option<Timestamp>,
    /// The number by which it was begun.
    number: u64,
    /// When that was, by the run's clock.
    since: Timestamp,
}

/// A file that is complete, and may not have its name yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Closed {
    epoch: u64,
    /// Its final name, below the root.
    #[serde(with = "path_bytes")]
    name: PathBuf,
    output: Output,
}

/// What is kept of the files at a checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// The file in the making, and what its sink keeps of it.
    begun: Option<(Begun, Vec<u8>)>,
    closed: Vec<Closed>,
    delivered: u64,
}

impl RollingFiles {
    /// The files of a sink that begins as `outset` says, and what it kept of the one that was in the making. What an earlier run had closed
    /// and may not have delivered is delivered.
    ///
    /// # Errors
    /// A data error where files are there that no checkpoint speaks of; what the system says.
    pub(crate) fn open(
        template: Template,
        policy: Policy,
        outset: &Outset,
    ) -> Result<(Self, Option<Vec<u8>>)> {
        let state = match &outset.resume {
            None => State::default(),
            Some(state) => postcard::from_bytes(state).map_err(|error| {
                Error::data(format!("the checkpoint of {} is damaged: {error}", template.path().display()))
            })?,
        };
        let shown = template.path();
        let lying = template
            .look(&*outset.files)
            .map_err(|error| Error::io("look for the files of", shown.display(), &error))?;
        let mut remarks = Vec::new();
        let number = match outset.run {
            Some(_) => {
                if let Some(file) = lying.files.last().filter(|file| file.epoch > outset.resumed) {
                    return Err(not_of_this_run(&file.path, outset.resumed));
                }
                outset.epoch
            }
            None => {
                let number = match lying.files.last() {
                    None => 0,
                    Some(file) => file.epoch.checked_add(1).ok_or_else(|| no_number_left(&file.path))?,
                };
                if number > 0 {
                    let count = lying.files.len();
                    remarks.push(format!(
                        "{}: {count} were there already; this run's begin with number {number}",
                        shown.display()
                    ));
                }
                number
            }
        };
        let (begun, kept) = state.begun.unzip();
        let delivery = Delivery {
            files: Arc::clone(&outset.files),
            template: template.clone(),
            state: outset.state.clone(),
            keep: policy.keep,
            clock: outset.clock.clone(),
            inner: Mutex::new(Delivered {
                closed: state.closed.into(),
                count: state.delivered,
                ..Delivered::default()
            }),
        };
        delivery.up_to(u64::MAX)?;
        let files = Self {
            template,
            policy,
            outset: Outset { resume: None, ..outset.clone() },
            number,
            begun,
            delivery: Arc::new(delivery),
            hidden: lying.hidden,
            remarks,
        };
        Ok((files, kept))
    }

    /// Whether the run keeps checkpoints.
    pub(crate) fn has_checkpoints(&self) -> bool {
        self.outset.run.is_some()
    }

    /// Removes what earlier runs have left in the making, but for what is gone on with: the files called `kept`.
    pub(crate) fn tidy(&mut self, kept: &[&OsStr], is_resumed: bool) {
        let mut bases: Vec<_> =
            std::mem::take(&mut self.hidden).iter().filter_map(|path| leftovers::base(path)).collect();
        bases.sort();
        bases.dedup();
        let files = &*self.outset.files;
        let is_kept = |part: &Path| part.file_name().is_some_and(|name| kept.contains(&name));
        for base in bases {
            match &self.outset.run {
                // One that goes on knows all that is its own; another may only touch what its own earlier tries have left.
                Some(run) => {
                    let id = run.split('-').next().filter(|_| is_resumed).unwrap_or(run);
                    leftovers::remove_of_run(&self.outset, id, &base, is_kept);
                }
                None => leftovers::remove_of_killed(files, &base),
            }
            leftovers::say_of_lost(&self.outset, &base);
            // Nobody looks for them again when the run is over: that they are gone must be durable before. What is left all the same is in nobody's way.
            let _as_it_is = files.sync_folder(folder(&base));
        }
    }

    /// Begins a file with a record of the time `first`.
    ///
    /// # Errors
    /// As [`AtomicFile::begin`].
    pub(crate) fn begin(&mut self, first: Option<Timestamp>) -> Result<AtomicFile> {
        let begun = Begun { first, number: self.number, since: self.outset.clock.read() };
        let (file, _) = AtomicFile::begin(self.place(&begun), &self.outset)?;
        self.begun = Some(begun);
        Ok(file)
    }

    /// Begins the file in the making once more: what there was of it is thrown away.
    ///
    /// # Errors
    /// As [`AtomicFile::begin`].
    pub(crate) fn begin_again(&self) -> Result<AtomicFile> {
        Ok(AtomicFile::begin(self.begun_place()?, &self.outset)?.0)
    }

    /// By which the next file is begun: the number of the epoch that is open, or of the file.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What the run began with, without what was kept.
    pub(crate) fn outset(&self) -> &Outset {
        &self.outset
    }

    /// Goes on with the file in the making, of which `kept` is what it saved itself.
    ///
    /// # Errors
    /// As [`AtomicFile::begin`].
    pub(crate) fn go_on(&self, kept: Vec<u8>) -> Result<AtomicFile> {
        let outset = Outset { resume: Some(kept), ..self.outset.clone() };
        Ok(AtomicFile::begin(self.begun_place()?, &outset)?.0)
    }

    /// Where the file in the making would be under the name that it was begun with.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn begun_place(&self) -> Result<PathBuf> {
        let begun = self.begun.as_ref().ok_or_else(|| Error::internal("no file is in the making"))?;
        Ok(self.place(begun))
    }

    fn place(&self, begun: &Begun) -> PathBuf {
        self.template.root().join(self.template.name(begun.first, begun.number))
    }

    /// Whether the file in the making, which has `length` bytes, is due to end.
    pub(crate) fn is_due(&self, length: u64) -> bool {
        let Some(begun) = &self.begun else { return false };
        let age = || self.outset.clock.read().as_nanos().saturating_sub(begun.since.as_nanos());
        self.policy.size.is_some_and(|size| length >= size)
            || self.policy.every.is_some_and(|every| age() >= every)
    }

    /// Ends a file at once, and gives it its name.
    ///
    /// # Errors
    /// What the system says; a usage error where a file of that name has come meanwhile.
    pub(crate) fn close_now(&mut self, mut file: AtomicFile) -> Result<()> {
        let Some(begun) = self.begun.take() else { return Err(Error::internal("no file is in the making")) };
        file.commit_beside()?;
        self.number = self.number.saturating_add(1);
        self.delivery.done(self.template.name(begun.first, begun.number));
        self.delivery.remove_old();
        Ok(())
    }

    /// What a checkpoint keeps that closes `epoch`, where the file in the making has `saved` so much, and, where it `closes`, is complete by
    /// that.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub(crate) fn save(&mut self, epoch: u64, saved: Option<Saved>, closes: bool) -> Result<Option<Saved>> {
        self.number = epoch.saturating_add(1);
        let (mut kept, mut outputs, mut settle) = (None, Vec::new(), Box::new(|| Ok(())) as Job);
        if let Some(saved) = saved {
            settle = saved.settle;
            match self.begun.take_if(|_| closes) {
                Some(begun) => self.close(epoch, &begun, saved.outputs),
                None => (kept, outputs) = (Some(saved.state), saved.outputs),
            }
        }
        let (closed, delivered) = self.delivery.pending();
        outputs.splice(0..0, closed.iter().map(|closed| closed.output.clone()));
        let deliver = (!closed.is_empty()).then(|| {
            let delivery = Arc::clone(&self.delivery);
            Box::new(move || delivery.up_to(epoch)) as Job
        });
        let state = State { begun: self.begun.clone().zip(kept), closed, delivered };
        let state = postcard::to_stdvec(&state).map_err(|error| {
            Error::internal(format!("the state of a rolling sink cannot be saved: {error}"))
        })?;
        Ok(Some(Saved { state, outputs, settle, deliver }))
    }

    fn close(&self, epoch: u64, begun: &Begun, outputs: Vec<Output>) {
        let name = self.template.name(begun.first, epoch);
        let path = self.template.root().join(&name);
        let path = std::path::absolute(&path).unwrap_or(path);
        // A sink that rolls has one file in the making.
        let closed = outputs.into_iter().map(|output| Closed {
            epoch,
            name: name.clone(),
            output: Output { path: path.clone(), ..output },
        });
        self.delivery.inner().closed.extend(closed);
    }

    /// What is worth knowing at the end of the run.
    pub(crate) fn remarks(&mut self) -> Vec<String> {
        let mut remarks = std::mem::take(&mut self.remarks);
        remarks.extend(self.delivery.remarks());
        remarks
    }
}

/// What makes closed files visible, in the order of their epochs. A second time is harmless.
struct Delivery {
    files: Arc<dyn FileSystem>,
    template: Template,
    /// The state folder.
    state: Option<PathBuf>,
    keep: Option<i64>,
    clock: Clock,
    inner: Mutex<Delivered>,
}

#[derive(Default)]
struct Delivered {
    /// Those still to be delivered.
    closed: VecDeque<Closed>,
    /// How many have been, by all runs that went on from one another.
    count: u64,
    /// The last one.
    last: Option<PathBuf>,
    /// Those that were neither in the making nor under their name.
    taken: Vec<PathBuf>,
    /// How many were too old.
    removed: u64,
    /// Why the last one could not be removed that was.
    kept: Option<String>,
}

impl Delivery {
    /// Delivers what was closed up to `epoch`.
    fn up_to(&self, epoch: u64) -> Result<()> {
        loop {
            // The next cut looks at what is left, and waits for no disk.
            let next = self.inner().closed.front().filter(|closed| closed.epoch <= epoch).cloned();
            let Some(closed) = next else { break };
            self.one(&closed)?;
            self.inner().closed.pop_front();
            self.done(closed.name);
        }
        self.remove_old();
        Ok(())
    }

    fn one(&self, Closed { name, output, .. }: &Closed) -> Result<()> {
        let path = self.template.root().join(name);
        let files = &*self.files;
        let failed = |error: io::Error| Error::io("deliver", path.display(), &error);
        // Its folder may have been moved with all that is in it.
        let part = folder(&path).join(output.part.file_name().unwrap_or_default());
        let is_there = |path: &Path| kind_if_there(files, path).map(|kind| kind.is_some()).map_err(&failed);
        match files.open_own(&part) {
            Ok(handle) => {
                Output { part: part.clone(), ..output.clone() }.check_closed(&*handle)?;
                if is_there(&path)? {
                    let (shown, part) = (path.display(), part.display());
                    return Err(Error::unavailable(format!(
                        "{shown} is there already, and is not what this run wrote, which is {part}"
                    ))
                    .with_help("move it away: the same command goes on, and gives it its name"));
                }
                if let Some(state) = &self.state {
                    marks::remove(files, &part, state);
                }
                files.rename(&part, &path).map_err(&failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Whoever reads along may have taken it away.
                if !is_there(&path)? {
                    self.inner().taken.push(path.clone());
                    return Ok(());
                }
            }
            Err(error) => return Err(failed(error)),
        }
        // The name is durable once the folder is, whoever gave it: a run that was cut off may have come no further.
        files.sync_folder(folder(&path)).map_err(failed)
    }

    fn done(&self, name: PathBuf) {
        let mut inner = self.inner();
        inner.count += 1;
        inner.last = Some(name);
    }

    /// Those still to be delivered, and how many have been.
    fn pending(&self) -> (Vec<Closed>, u64) {
        let inner = self.inner();
        (inner.closed.iter().cloned().collect(), inner.count)
    }

    /// Removes files that are older than those to be kept, and nothing that is called otherwise. What cannot be removed is tried again.
    fn remove_old(&self) {
        let Some(keep) = self.keep else { return };
        let oldest = self.clock.read().as_nanos().saturating_sub(keep);
        let (mut removed, mut kept) = (0, None);
        let lying = self.template.look(&*self.files).unwrap_or_default();
        for file in lying.files {
            let is_old = self.files.modified(&file.path).map(|modified| modified.as_nanos() < oldest);
            match is_old
                .and_then(|is_old| if is_old { self.files.remove(&file.path).map(|()| 1) } else { Ok(0) })
            {
                Ok(count) => removed += count,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => kept = Some(format!("{}: {}", file.path.display(), plain(&error))),
            }
        }
        let mut inner = self.inner();
        inner.removed += removed;
        inner.kept = kept;
    }

    fn remarks(&self) -> Vec<String> {
        let (inner, shown) = (self.inner(), self.template.path());
        let shown = shown.display();
        let files = |count: u64| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        let mut remarks = Vec::new();
        if inner.count > 0 {
            let last = inner
                .last
                .as_ref()
                .map_or_else(String::new, |last| format!(", the last one {}", last.display()));
            remarks.push(format!("{shown}: {} delivered{last}", files(inner.count)));
        }
        remarks.extend(
            inner.taken.iter().map(|path| {
                format!("{} was delivered before, and somebody has taken it away", path.display())
            }),
        );
        if let Some(keep) = self.keep.filter(|_| inner.removed > 0) {
            remarks.push(format!(
                "{shown}: {} older than {} removed",
                files(inner.removed),
                format_duration(keep)
            ));
        }
        remarks.extend(
            inner.kept.iter().map(|why| format!("{shown}: what is older could not be removed: {why}")),
        );
        remarks
    }

    fn inner(&self) -> MutexGuard<'_, Delivered> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that fits the template has the highest number that there is.
fn no_number_left(path: &Path) -> Error {
    Error::usage(format!("{} has the highest number there is: no file can follow it", path.display()))
        .with_help("move it elsewhere")
}

/// Files are there that nobody who goes on from checkpoint `resumed` knows of: what they have would be there twice.
fn not_of_this_run(path: &Path, resumed: u64) -> Error {
    let path = path.display();
    let why = match resumed {
        0 => format!(
            "{path} is there, and this run begins anew: its files would stand among those of another run"
        ),
        _ => format!(
            "{path} is there, and the run goes on from checkpoint {resumed}, which is older: what it has would be written twice"
        ),
    };
    Error::data(why).with_help(
        "give the sink another `path`, or move the rolled files away; then start anew with another --state",
    )
}
