//! The files that a rolling sink writes, one after the other (clause 19).
//!
//! | | without checkpoints | with checkpoints |
//! |---|---|---|
//! | a file begins | with the first record after the previous file | likewise |
//! | it ends, when it is due | between two batches | at a cut, which it requests |
//! | it ends at the end of the run | always | always |
//! | it is renamed | at once | by the delivery of its sink, once the checkpoint is durable |
//! | its number | counts files | is that of the epoch that the cut closes |
//!
//! A file that a checkpoint closed is delivered by the run that made the checkpoint, or by the run that resumes from it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::closed::{Closed, ClosedFiles};
use crate::atomic::{AtomicFile, Job, SavedFile, SavedPart, Template, leftovers};
use crate::context::SinkContext;
use crate::error::{Error, Result};
use crate::files::{absolute, folder};
use crate::sink::SinkCheckpoint;
use crate::time::Timestamp;

/// When a file is due to end, and when it is removed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    /// In nanoseconds since its first record.
    pub(crate) every: Option<i64>,
    /// In bytes.
    pub(crate) size: Option<u64>,
    /// In nanoseconds since its last change.
    pub(crate) keep: Option<i64>,
}

/// The files of a rolling sink: their names, the unfinished file, and those to be delivered.
pub(crate) struct RollingFiles {
    template: Template,
    policy: Policy,
    context: SinkContext,
    /// The number of the next file: that of the current epoch, or of the file.
    number: u64,
    begun: Option<Begun>,
    /// Whether a cut was requested since the last one.
    has_requested: bool,
    closed: Arc<ClosedFiles>,
    /// Leftovers that were found when the run started, until they are removed.
    hidden: Vec<PathBuf>,
    remarks: Vec<String>,
}

/// The unfinished file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    /// The time of its first record.
    first: Option<Timestamp>,
    /// Its number when it was begun.
    number: u64,
    /// When it was begun, by the run's clock.
    since: Timestamp,
}

/// The state in a checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RollingState {
    /// The unfinished file.
    begun: Option<Begun>,
    /// The state of the sink itself.
    kept: Vec<u8>,
    closed: Vec<Closed>,
    delivered: u64,
}

impl RollingFiles {
    /// The files of a sink, and the state that it saved with the unfinished one. Delivers what an earlier run had closed and may not have
    /// delivered.
    ///
    /// # Errors
    /// A data error if there are files that the checkpoint does not know; an error of the system.
    pub(crate) fn open(
        template: Template,
        policy: Policy,
        context: &SinkContext,
    ) -> Result<(Self, Option<Vec<u8>>)> {
        let state = match &context.resume {
            None => RollingState::default(),
            Some(state) => postcard::from_bytes(state).map_err(|error| {
                Error::data(format!("the checkpoint of {} is damaged: {error}", template.path().display()))
            })?,
        };
        let shown = template.path();
        let found = template
            .look(&*context.files)
            .map_err(|error| Error::io("look for the files of", shown.display(), &error))?;
        let mut remarks = Vec::new();
        let number = match context.run {
            Some(_) => {
                if let Some(file) = found.files.last().filter(|file| file.epoch > context.resumed) {
                    return Err(not_of_this_run(&file.path, context.resumed));
                }
                context.epoch
            }
            None => {
                let number = match found.files.last() {
                    None => 0,
                    Some(file) => file.epoch.checked_add(1).ok_or_else(|| no_number_left(&file.path))?,
                };
                if number > 0 {
                    let count = found.files.len();
                    remarks.push(format!(
                        "{}: {count} files from earlier runs; this run numbers its files from {number}",
                        shown.display()
                    ));
                }
                number
            }
        };
        let RollingState { begun, kept, closed, delivered } = state;
        let closed = ClosedFiles::new(&template, policy.keep, context, closed, delivered);
        closed.deliver(u64::MAX)?;
        let files = Self {
            template,
            policy,
            context: SinkContext { resume: None, ..context.clone() },
            number,
            begun,
            has_requested: false,
            closed: Arc::new(closed),
            hidden: found.hidden,
            remarks,
        };
        Ok((files, context.resume.is_some().then_some(kept)))
    }

    /// Whether there is an unfinished file.
    pub(crate) fn is_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Whether the run keeps checkpoints.
    pub(crate) fn has_checkpoints(&self) -> bool {
        self.context.run.is_some()
    }

    /// Removes unfinished files of earlier runs, except those that are resumed: the files named `kept`.
    pub(crate) fn tidy(&mut self, kept: &[&OsStr], is_resumed: bool) {
        let mut bases: Vec<_> =
            std::mem::take(&mut self.hidden).iter().filter_map(|path| leftovers::base(path)).collect();
        bases.sort();
        bases.dedup();
        let files = &*self.context.files;
        let is_kept = |part: &Path| part.file_name().is_some_and(|name| kept.contains(&name));
        for base in bases {
            match &self.context.run {
                // A run that resumes knows all its files; another may only remove those of its own earlier attempts.
                Some(run) => {
                    let id = run.split('-').next().filter(|_| is_resumed).unwrap_or(run);
                    leftovers::remove_of_run(&self.context, id, &base, is_kept);
                }
                None => leftovers::remove_of_killed(files, &base),
            }
            leftovers::say_of_lost(&self.context, &base);
            // No later run looks for them: their removal must be durable before this run ends. A failure leaves harmless files.
            let _as_it_is = files.sync_folder(folder(&base));
        }
    }

    /// Begins a file with a record of the time `first`.
    ///
    /// # Errors
    /// As [`AtomicFile::begin`].
    pub(crate) fn begin(&mut self, first: Option<Timestamp>) -> Result<AtomicFile> {
        let begun = Begun { first, number: self.number, since: self.context.clock.read() };
        let (file, _) = AtomicFile::begin(self.place(&begun), &self.context)?;
        self.begun = Some(begun);
        Ok(file)
    }

    /// Begins the unfinished file again, discarding its contents.
    ///
    /// # Errors
    /// As [`AtomicFile::begin`].
    pub(crate) fn begin_again(&self) -> Result<AtomicFile> {
        Ok(AtomicFile::begin(self.begun_place()?, &self.context)?.0)
    }

    /// The number of the next file: that of the current epoch, or of the file.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Resumes the unfinished file from `kept`, the state that it saved.
    ///
    /// # Errors
    /// As [`AtomicFile::begin`].
    pub(crate) fn resume(&self, kept: Vec<u8>) -> Result<AtomicFile> {
        let context = SinkContext { resume: Some(kept), ..self.context.clone() };
        Ok(AtomicFile::begin(self.begun_place()?, &context)?.0)
    }

    /// The path of the unfinished file by the name that it was begun with.
    ///
    /// # Errors
    /// An internal error if there is none.
    pub(crate) fn begun_place(&self) -> Result<PathBuf> {
        let begun = self.begun.as_ref().ok_or_else(|| Error::internal("there is no unfinished file"))?;
        Ok(self.place(begun))
    }

    fn place(&self, begun: &Begun) -> PathBuf {
        self.template.root().join(self.template.name(begun.first, begun.number))
    }

    /// Whether the unfinished file, which has `length` bytes, is due to end.
    pub(crate) fn is_due(&self, length: u64) -> bool {
        let Some(begun) = &self.begun else { return false };
        let age = || self.context.clock.read().as_nanos().saturating_sub(begun.since.as_nanos());
        self.policy.size.is_some_and(|size| length >= size)
            || self.policy.every.is_some_and(|every| age() >= every)
    }

    /// Requests a cut, once, if files end at cuts and the unfinished one, which has `length` bytes, is due.
    pub(crate) fn request_if_due(&mut self, length: u64) {
        if self.has_checkpoints() && !self.has_requested && self.is_due(length) {
            self.context.cuts.ask();
            self.has_requested = true;
        }
    }

    /// Ends a file and renames it at once.
    ///
    /// # Errors
    /// An error of the system; a usage error if a file of that name has appeared.
    pub(crate) fn close_now(&mut self, mut file: AtomicFile) -> Result<()> {
        let Some(begun) = self.begun.take() else {
            return Err(Error::internal("there is no unfinished file"));
        };
        file.commit_beside()?;
        self.number = self.number.saturating_add(1);
        self.closed.done(self.template.name(begun.first, begun.number));
        self.closed.remove_old();
        Ok(())
    }

    /// The checkpoint that closes `epoch` without ending a file: `kept` is the state of the sink, `outputs` are its unfinished files.
    ///
    /// # Errors
    /// An internal error if the state cannot be encoded.
    pub(crate) fn keep(
        &mut self,
        epoch: u64,
        kept: Vec<u8>,
        outputs: Vec<SavedPart>,
        settle: Job,
    ) -> Result<SinkCheckpoint> {
        (self.number, self.has_requested) = (epoch.saturating_add(1), false);
        let (closed, delivered) = self.closed.pending();
        let outputs = closed.iter().map(|closed| closed.file.clone()).chain(outputs).collect();
        let delivery = Arc::clone(&self.closed);
        let deliver: Box<dyn FnMut() -> Result<()> + Send> = Box::new(move || delivery.deliver(epoch));
        let deliver = Some(deliver).filter(|_| !closed.is_empty());
        let state = RollingState { begun: self.begun.clone(), kept, closed, delivered };
        let state = postcard::to_stdvec(&state).map_err(|error| {
            Error::internal(format!("the state of a rolling sink cannot be saved: {error}"))
        })?;
        Ok(SinkCheckpoint { state, outputs, settle, deliver })
    }

    /// The checkpoint that closes `epoch` and ends `file`.
    ///
    /// # Errors
    /// An internal error if the state cannot be encoded, or if no file was begun.
    pub(crate) fn close(&mut self, epoch: u64, kept: Vec<u8>, file: SavedFile) -> Result<SinkCheckpoint> {
        let begun = self.begun.take().ok_or_else(|| Error::internal("there is no unfinished file"))?;
        let name = self.template.name(begun.first, epoch);
        let path = absolute(&self.template.root().join(&name));
        self.closed.add(Closed { epoch, name, file: SavedPart { path, ..file.part } });
        self.keep(epoch, kept, Vec::new(), file.settle)
    }

    /// Remarks for the end of the run.
    pub(crate) fn remarks(&mut self) -> Vec<String> {
        let mut remarks = std::mem::take(&mut self.remarks);
        remarks.extend(self.closed.remarks());
        remarks
    }
}

/// The error if a file that fits the template has the highest possible number.
fn no_number_left(path: &Path) -> Error {
    Error::usage(format!("{} has the highest possible number: no file can follow it", path.display()))
        .with_help("move it elsewhere")
}

/// The error if there are files that checkpoint `resumed` does not know: their records would be duplicated.
fn not_of_this_run(path: &Path, resumed: u64) -> Error {
    let path = path.display();
    let why = match resumed {
        0 => {
            format!("{path} exists, but this run starts anew: its files would mix with those of another run")
        }
        _ => format!(
            "{path} exists, but the run resumes from checkpoint {resumed}, which is older: the records of that file would be written twice"
        ),
    };
    Error::data(why).with_help(
        "give the sink another `path`, or move the rolled files away; then start a new run with another --state",
    )
}
