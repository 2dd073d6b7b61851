//! A run that can resume after a restart: its state folder, and its checkpoints.
//!
//! | module | what it has |
//! |---|---|
//! | `options` | where and when checkpoints are written |
//! | `resumable` | which pipelines can resume |
//! | `loaded` | the files that stages load before the run |
//! | `parts` | the parts of a pipeline in a checkpoint, and how two pipelines differ |
//! | `resume` | what the run resumes from |
//! | `checkpointer` | the thread that makes checkpoints durable |

mod checkpointer;
mod loaded;
mod options;
mod parts;
mod resumable;
mod resume;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use checkpointer::Checkpointer;
use loaded::Loaded;

use super::RunOptions;
use super::durable::Durable;
use super::meters::CheckpointMeters;
use super::schedule::Schedule;
use super::snapshot::{Draft, Snapshot};
use crate::atomic::SavedPart;
use crate::checkpoint::{Ending, Fence, Manifest, PartSpec, StateFolder};
use crate::cuts::CutRequest;
use crate::error::{Error, Result};
use crate::files::{everywhere_over, is_address, kind_if_there};
use crate::pipeline::Pipeline;
use crate::pipeline::secrets::{Key, new_key};
use crate::rows;
use crate::sensor::SharedSensors;
use crate::sink::SinkContext;
use crate::time::Clock;

pub use options::StateOptions;
pub(crate) use resume::Resume;

/// The state folder of a run, and the checkpoint that it resumes from.
pub(crate) struct State {
    pub(super) options: StateOptions,
    checkpointer: Checkpointer,
    /// The parts of the pipeline, for the next checkpoint.
    pipeline: Vec<PartSpec>,
    key: Key,
    loaded: Vec<Option<Loaded>>,
    run: Arc<str>,
    /// The checkpoint to resume from.
    pub(crate) resume: Option<Resume>,
    /// Remarks about how the run resumes.
    pub(crate) remarks: Vec<String>,
    /// That checkpoint as it was found.
    pub(super) found: Option<Manifest>,
    /// The number of the current epoch, which the next cut closes.
    epoch: u64,
}

/// Opens the state folder, if there is to be one, and restores the ids of its sensors.
pub(crate) fn open_state(
    pipeline: &Pipeline,
    options: &RunOptions,
    sensors: &SharedSensors,
) -> Result<Option<State>> {
    let Some(options) = &options.state else { return Ok(None) };
    let state = State::open(options, pipeline)?;
    state.resume.iter().for_each(|resume| sensors.restore(&resume.sensors));
    Ok(Some(state))
}

/// Checks that the state folder is on this machine.
fn check_folder(folder: &Path) -> Result<()> {
    if !is_address(folder) {
        return Ok(());
    }
    Err(Error::config(format!("the state folder {} is not on this machine", folder.display()))
        .with_help("name a folder of a local disk: it has locks, and is synced at each checkpoint"))
}

impl State {
    /// Opens the state folder for a run of `pipeline`.
    ///
    /// # Errors
    /// If it cannot be used; if its checkpoint is of another pipeline and that was not accepted; if a part of the pipeline cannot resume.
    fn open(options: &StateOptions, pipeline: &Pipeline) -> Result<Self> {
        resumable::check(pipeline)?;
        check_folder(&options.folder)?;
        let files = everywhere_over(Arc::clone(&options.files), Some(&options.folder));
        let options = &StateOptions { files: Arc::clone(&files), ..options.clone() };
        let (mut folder, has_ended_other) = match options.takes_over {
            true => StateFolder::take_over(files, &options.folder)?,
            false => (StateFolder::open(files, &options.folder)?, false),
        };
        let found = folder.load()?;
        let key = found.manifest.as_ref().map_or_else(new_key, |(manifest, _)| manifest.key);
        let loaded: Vec<_> = pipeline.stages.iter().map(|entry| Loaded::by(&*entry.stage)).collect();
        let mut state = Self {
            options: options.clone(),
            pipeline: parts::parts(pipeline, &key, &loaded),
            key,
            loaded,
            run: folder.id(),
            resume: None,
            remarks: Vec::new(),
            found: None,
            epoch: folder.newest() + 1,
            checkpointer: Checkpointer::new(folder),
        };
        if has_ended_other {
            state
                .remarks
                .push("ended the run that was using the state folder, and resumed in its place".into());
        }
        state.resume_from(found, pipeline)?;
        Ok(state)
    }

    /// Records that the output of the checkpoint that was found has been published.
    pub(crate) fn published(&mut self) -> Result<()> {
        let Some(found) = &self.found else { return Ok(()) };
        let manifest = Manifest { ending: Ending::Published, ..found.clone() };
        let draft = Draft::over(self.next_epoch(), manifest);
        self.conclude(draft)
    }

    /// The durable positions of the sources.
    pub(crate) fn durable(&self) -> &Arc<Durable> {
        self.checkpointer.durable()
    }

    /// What other threads see of the checkpoints.
    pub(crate) fn meters(&self) -> &Arc<CheckpointMeters> {
        self.checkpointer.meters()
    }

    /// Adds a remark about each outbox of a sink that was changed or removed.
    pub(crate) fn remark_undelivered(&mut self) {
        let found = rows::look(&*self.options.files, &self.options.folder).unwrap_or_default();
        let sinks = self.resume.iter().flat_map(|resume| resume.sinks.iter().flatten());
        let resumed: Vec<&[u8]> = sinks.map(|state| &state[..]).collect();
        // The state of a sink that resumes contains the name of its log.
        let is_resumed = |name: &str| {
            resumed.iter().any(|state| state.windows(name.len()).any(|bytes| bytes == name.as_bytes()))
        };
        let left = found.iter().filter(|(_, name, _)| !is_resumed(name));
        self.remarks.extend(left.map(|(path, ..)| {
            format!("{} has undelivered rows of a sink that was changed or removed", path.display())
        }));
    }

    /// Whether the next cut contains only changes since the last checkpoint.
    pub(crate) fn takes_changes(&self) -> Arc<AtomicBool> {
        Arc::clone(self.checkpointer.takes_changes())
    }

    /// Tells whether the run still holds its state folder.
    pub(crate) fn fence(&self) -> Fence {
        self.checkpointer.folder().fence()
    }

    /// What sink `at` opens with: `plain`, the state folder, and the state of the sink.
    pub(crate) fn context(&self, at: usize, plain: &SinkContext) -> SinkContext {
        let folder = Some(self.options.folder.clone());
        let (files, epoch) = (Arc::clone(&self.options.files), self.epoch);
        let resumed = self.checkpointer.folder().loaded();
        // Unique in the folder.
        let writer = Some(format!("{}-{epoch}-{at}", self.run).into());
        let plain = SinkContext { files, state: folder, epoch, resumed, writer, ..plain.clone() };
        let Some(resume) = &self.resume else {
            return SinkContext { run: Some(Arc::clone(&self.run)), resume: None, ..plain };
        };
        // A sink that starts without state must not touch a file of that name to which the checkpoint refers.
        let run = format!("{}-{}", self.run, self.checkpointer.folder().newest());
        SinkContext { run: Some(run.into()), resume: resume.sinks.get(at).cloned().flatten(), ..plain }
    }

    /// The schedule of checkpoints from now on: by time, and on request by `cuts`.
    pub(crate) fn schedule(&self, cuts: &CutRequest) -> Schedule {
        // A run that waits for each checkpoint makes all of them.
        let is_busy = (!self.options.waits).then(|| Arc::clone(self.checkpointer.is_busy()));
        let meters = Some(Arc::clone(self.checkpointer.meters()));
        Schedule {
            every: Some(self.options.every),
            last: Instant::now(),
            cuts: cuts.clone(),
            is_busy,
            meters,
        }
    }

    /// Whether the run waits for each checkpoint and its delivery.
    pub(crate) fn waits(&self) -> bool {
        self.options.waits
    }

    /// Whether the run only delivers what earlier ones had not.
    pub(crate) fn delivers(&self) -> bool {
        self.options.delivers
    }

    /// Starts the checkpoint thread.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.checkpointer.start()
    }

    /// Passes a checkpoint to the thread, and waits until it is durable if the run [does](StateOptions::waits).
    ///
    /// # Errors
    /// If an earlier one could not be written: then no later one may be.
    pub(crate) fn submit(&self, draft: Draft) -> Result<()> {
        self.checkpointer.submit(draft, self.options.waits)
    }

    /// Ends the thread, and writes a last checkpoint.
    ///
    /// # Errors
    /// If this one or an earlier one could not be written.
    pub(crate) fn conclude(&mut self, draft: Draft) -> Result<()> {
        self.checkpointer.conclude(draft)
    }

    /// Whether the part file of an output exists.
    pub(crate) fn is_unpublished(&self, output: &SavedPart) -> bool {
        matches!(kind_if_there(&*self.options.files, &output.part), Ok(Some(_)))
    }

    /// Later checkpoints are of `pipeline`.
    pub(crate) fn reload(&mut self, pipeline: &Pipeline) {
        self.pipeline = parts::parts(pipeline, &self.key, &self.loaded);
    }

    /// Closes the current epoch; returns its number.
    pub(crate) fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch - 1
    }

    /// A checkpoint of `snapshot`, which closes an epoch; without the parts of the sinks.
    pub(crate) fn draft(&mut self, snapshot: Snapshot<'_>, ending: Ending) -> Draft {
        let made = Clock::default().read().as_nanos();
        let stages = snapshot.stages;
        let manifest = Manifest {
            made,
            ending,
            pipeline: self.pipeline.clone(),
            key: self.key,
            records: snapshot.tally.records(),
            sources: snapshot.sources,
            sensors: snapshot.sensors.read().all_names().clone(),
            stages: Vec::new(),
            sinks: Vec::new(),
            outputs: Vec::new(),
            counts: snapshot.counts,
            orphans: Vec::new(),
            base: None,
        };
        let epoch = self.next_epoch();
        Draft { stages, ..Draft::over(epoch, manifest) }
    }
}
