//! A run that can resume after a restart: its state folder, and the thread that writes checkpoints while the run continues.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | checkpoint | [`State::begin`] | the next cut; the answers of all sinks to it; jobs of workers; the disk | when the run lets go of it, after the cut in hand |

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Sender, bounded};

use super::RunOptions;
use super::durable::Durable;
use super::schedule::Schedule;
use super::snapshot::{Draft, Resume, Snapshot};
use crate::atomic::SavedPart;
use crate::checkpoint::{
    Change, Ending, Fence, Found, Manifest, Orphan, PartSpec, StateFolder, changes, matches, moved,
    successors,
};
use crate::cuts::CutRequest;
use crate::error::guard::{caught, guarded};
use crate::error::{Error, Part, Result};
use crate::files::{Disk, FileSystem, kind_if_there};
use crate::pipeline::leading::leading;
use crate::pipeline::secrets::{Key, new_key};
use crate::pipeline::sources::source_label;
use crate::pipeline::{Parameters, Pipeline, SourceEntry};
use crate::rows;
use crate::sensor::SharedSensors;
use crate::sink::{Outset, Repeat};
use crate::source::Resumption;
use crate::stage::{CutKind, Stage};
use crate::time::Clock;

/// Where and when a run writes the checkpoints from which it resumes after a restart.
#[derive(Clone, Debug)]
pub struct StateOptions {
    /// The folder of the checkpoints.
    pub folder: PathBuf,
    /// The minimum time between two checkpoints, requested ones excepted.
    pub every: Duration,
    /// Whether the run resumes if the pipeline or its input differs from that of the checkpoint: unchanged parts resume, the others start without state.
    pub accept_changes: bool,
    /// Whether the run ends at its checkpoint: it reads nothing more, and publishes its output.
    pub finishes: bool,
    /// Whether another run that uses the folder is killed, and this one resumes in its place.
    pub takes_over: bool,
    /// Whether the run waits until each checkpoint is durable and its epoch is delivered. Otherwise it continues, and starts no other checkpoint meanwhile.
    pub waits: bool,
    /// The file system of the folder and of the output.
    pub files: Arc<dyn FileSystem>,
}

impl StateOptions {
    /// Checkpoints in `folder`, every second.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            every: Duration::from_secs(1),
            accept_changes: false,
            finishes: false,
            takes_over: false,
            waits: false,
            files: Arc::new(Disk),
        }
    }
}

/// The state folder of a run, and what was found in it.
pub(crate) struct State {
    pub(super) options: StateOptions,
    folder: Arc<Mutex<StateFolder>>,
    pipeline: Vec<PartSpec>,
    key: Key,
    loaded: Vec<Option<Loaded>>,
    run: Arc<str>,
    /// The checkpoint from which the run goes on, its parts in the order of the pipeline.
    pub(crate) resume: Option<Resume>,
    /// What is worth knowing about how the run goes on.
    pub(crate) remarks: Vec<String>,
    /// That checkpoint as it was found.
    pub(super) found: Option<Manifest>,
    keeper: Option<Keeper>,
    /// Whether a cut is on its way to become a checkpoint.
    is_busy: Arc<AtomicBool>,
    /// Whether the next one has only what has changed since the last one.
    takes_changes: Arc<AtomicBool>,
    /// How far the sources are durable.
    durable: Arc<Durable>,
    /// The number of the epoch that is open: the next cut closes it.
    epoch: u64,
}

/// The thread that keeps checkpoints.
struct Keeper {
    sender: Sender<Draft>,
    thread: JoinHandle<()>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl State {
    /// Takes the state folder of a run of `pipeline` into use.
    ///
    /// # Errors
    /// When it cannot be used; when its checkpoint is of another pipeline and that was not accepted; when a part of the pipeline
    /// cannot go on after a restart.
    pub(crate) fn open(options: &StateOptions, pipeline: &Pipeline) -> Result<Self> {
        check_sources(pipeline)?;
        check_stages(pipeline)?;
        check_sinks(pipeline)?;
        let files = Arc::clone(&options.files);
        let (mut folder, has_ended_one) = match options.takes_over {
            true => StateFolder::take_over(files, &options.folder)?,
            false => (StateFolder::open(files, &options.folder)?, false),
        };
        let found = folder.load()?;
        let key = found.manifest.as_ref().map_or_else(new_key, |(manifest, _)| manifest.key);
        let epoch = folder.newest() + 1;
        let loaded: Vec<_> = pipeline.stages.iter().map(|entry| Loaded::by(&*entry.stage)).collect();
        let mut state = Self {
            options: options.clone(),
            run: folder.id(),
            folder: Arc::new(Mutex::new(folder)),
            pipeline: parts(pipeline, &key, &loaded),
            key,
            loaded,
            resume: None,
            remarks: Vec::new(),
            found: None,
            keeper: None,
            is_busy: Arc::default(),
            takes_changes: Arc::default(),
            durable: Arc::default(),
            epoch,
        };
        if has_ended_one {
            state
                .remarks
                .push("the run that used the state folder was ended: this one goes on in its place".into());
        }
        state.resume_from(found, pipeline)?;
        Ok(state)
    }

    fn resume_from(&mut self, found: Found, pipeline: &Pipeline) -> Result<()> {
        for (path, why) in &found.damaged {
            self.remarks.push(format!("{} was left out: {why}", path.display()));
        }
        let Some((manifest, path)) = found.manifest else {
            let nothing = || {
                format!("no checkpoint is in {}: there is nothing to finish", self.options.folder.display())
            };
            return match self.options.finishes {
                true => Err(Error::config(nothing())
                    .with_help("name the folder that was given to the run as --state")),
                false => Ok(()),
            };
        };
        let changed = self.changes(&manifest);
        let is_over = manifest.ending != Ending::Running;
        if !changed.is_empty() && (is_over || !self.options.accept_changes) {
            return Err(self.changed(&changed, manifest.ending));
        }
        let resume = self.matched(manifest.clone(), pipeline);
        let orphans = self.orphans(&manifest, &resume);
        let before = lock(&self.folder).preserve_orphans_now(&manifest.orphans);
        self.remarks.extend(changed.iter().map(|change| format!("not as at the checkpoint: {change}")));
        self.remarks.extend(before.iter().chain(&orphans).map(|Orphan { output, aside, .. }| {
            let (path, aside) = (output.path.display(), aside.display());
            format!("what had been written to {path} until then is in {aside}")
        }));
        let records = match manifest.records {
            1 => "1 record".into(),
            records => format!("{records} records"),
        };
        self.remarks.push(format!("resumed from {}, after {records}", path.display()));
        lock(&self.folder).preserve_orphans(orphans, pipeline.secrets.masks());
        self.resume = Some(resume);
        self.found = Some(manifest);
        Ok(())
    }

    fn changes(&self, manifest: &Manifest) -> Vec<Change> {
        let kinds = ["source", "stage", "sink"].iter();
        kinds.flat_map(|kind| self.changes_of(kind, manifest)).collect()
    }

    fn changes_of(&self, kind: &str, manifest: &Manifest) -> Vec<Change> {
        let of = |parts: &[PartSpec]| of_kind(parts, kind).cloned().collect::<Vec<_>>();
        let (before, now) = (of(&manifest.pipeline), of(&self.pipeline));
        let mut changes = changes(&before, &now);
        // Each sink is given the same, wherever it stands.
        if kind != "sink" {
            changes.extend(moved(&before, &now));
        }
        changes
    }

    fn changed(&self, changed: &[Change], ending: Ending) -> Error {
        let list = changed.iter().map(|change| format!("  {change}"));
        let message =
            format!("the pipeline is not the one of the checkpoint in {}:", self.options.folder.display());
        Error::config(message).with_lines(list).with_help(match ending {
            Ending::Running => "undo that, or give `--accept changes`: unchanged parts go on, and so do those whose options may change while a run goes on; other changed ones begin anew with the next record; or start anew with another --state",
            Ending::Complete => "that run was cut off when its output was complete: undo the changes and run it again to publish that, or start anew with another --state",
            Ending::Published => "that run is over: start anew with another --state",
        })
    }

    /// The unfinished files that no sink resumes.
    fn orphans(&self, manifest: &Manifest, resume: &Resume) -> Vec<Orphan> {
        let is_resumed = |at: usize| resume.sinks_before.contains(&Some(at));
        let outputs = manifest.outputs.iter().enumerate().filter(|(at, _)| !is_resumed(*at));
        let orphan = |output: &SavedPart| Orphan::of(&*self.options.files, output, manifest.records);
        let orphans = outputs.flat_map(|(_, outputs)| outputs.iter().map(orphan));
        orphans.filter(|orphan| orphan.is_there(&*self.options.files)).collect()
    }

    /// What each part of the pipeline goes on with; one whose options may change while a run goes on, with what it had under others.
    fn matched(&self, manifest: Manifest, pipeline: &Pipeline) -> Resume {
        let kind = |parts: &[PartSpec], kind: &str| {
            of_kind(parts, kind).map(|part| without_reloads(part, kind, pipeline)).collect::<Vec<_>>()
        };
        let of = |name: &str| matches(&kind(&manifest.pipeline, name), &kind(&self.pipeline, name));
        // A source that has changed goes on where it was.
        let sources_before = successors(&kind(&manifest.pipeline, "source"), &kind(&self.pipeline, "source"));
        let (stages_before, sinks_before) = (of("stage"), of("sink"));
        let is_all = |before: &[Option<usize>], count: usize| before.iter().copied().eq((0..count).map(Some));
        let is_whole =
            is_all(&sources_before, manifest.sources.len()) && is_all(&stages_before, manifest.stages.len());
        let sources = sources_before.iter().map(|&at| manifest.sources.get(at?).cloned().flatten()).collect();
        let stages = stages_before.iter().map(|&at| manifest.stages.get(at?).cloned()).collect();
        let sinks = sinks_before.iter().map(|&at| manifest.sinks.get(at?).cloned().flatten()).collect();
        Resume {
            ending: Some(manifest.ending),
            sources,
            sources_before,
            sensors: manifest.sensors,
            stages,
            stages_before,
            is_whole,
            sinks,
            sinks_before,
            counts: manifest.counts,
        }
    }

    /// Whether the run was over when its last checkpoint was made.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.resume.as_ref()?.ending
    }

    /// What each source knows before it is opened, where the run goes on with the same one.
    pub(crate) fn resumptions(&self) -> Vec<Option<Resumption>> {
        let Some((found, resume)) = self.found.as_ref().zip(self.resume.as_ref()) else { return Vec::new() };
        let of = |parts: &[PartSpec]| of_kind(parts, "source").cloned().collect::<Vec<_>>();
        let is_same = matches(&of(&found.pipeline), &of(&self.pipeline));
        // What is complete needs its input no more.
        let finishes = self.options.finishes || found.ending != Ending::Running;
        let known = |(place, same): (&Option<Vec<u8>>, Option<usize>)| {
            let place = place.as_deref().filter(|_| same.is_some())?.into();
            Some(Resumption { place, finishes })
        };
        resume.sources.iter().zip(is_same).map(known).collect()
    }

    /// The checkpoint to go on from. What sinks keep may be large: it is not held for the whole run.
    pub(crate) fn take_resume(&mut self) -> Option<Resume> {
        self.found = None;
        self.resume.take()
    }

    /// Keeps that the output of the checkpoint that was found has been published.
    pub(crate) fn published(&mut self) -> Result<()> {
        let Some(found) = &self.found else { return Ok(()) };
        let manifest = Manifest { ending: Ending::Published, ..found.clone() };
        let draft = Draft::over(self.next_epoch(), manifest);
        self.conclude(draft)
    }

    /// Gives the sensors of the checkpoint the ids that they had.
    pub(crate) fn name_sensors(&self, sensors: &SharedSensors) -> Result<()> {
        self.resume.iter().for_each(|resume| sensors.restore(&resume.sensors));
        Ok(())
    }

    /// Says how far the sources are durable.
    pub(crate) fn durable(&self) -> &Arc<Durable> {
        &self.durable
    }

    /// Reports what was not delivered by sinks that were removed from the pipeline.
    pub(crate) fn remark_left(&mut self) {
        let found = rows::look(&*self.options.files, &self.options.folder).unwrap_or_default();
        let resumed: Vec<&[u8]> = self
            .resume
            .iter()
            .flat_map(|resume| resume.sinks.iter().flatten())
            .map(|kept| &kept[..])
            .collect();
        // The state of a resumed sink contains the name of its log.
        let is_its = |name: &str| {
            resumed.iter().any(|kept| kept.windows(name.len()).any(|bytes| bytes == name.as_bytes()))
        };
        let left = found.iter().filter(|(_, name, _)| !is_its(name));
        self.remarks.extend(left.map(|(path, ..)| {
            format!("{} has what was not delivered by a sink that has changed or is gone", path.display())
        }));
    }

    /// Whether the next cut has only what has changed since the last one; known as soon as that is kept.
    pub(crate) fn takes_changes(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.takes_changes)
    }

    /// What tells whether the run still holds its folder.
    pub(crate) fn fence(&self) -> Fence {
        lock(&self.folder).fence()
    }

    /// What sink `at` begins with, where others would with `plain`.
    pub(crate) fn outset(&self, at: usize, plain: &Outset) -> Outset {
        let folder = Some(self.options.folder.clone());
        let (files, epoch) = (Arc::clone(&self.options.files), self.epoch);
        let resumed = lock(&self.folder).loaded();
        // Nothing else in the folder is called so.
        let writer = Some(format!("{}-{epoch}-{at}", self.run).into());
        let plain = Outset { files, state: folder, epoch, resumed, writer, ..plain.clone() };
        let Some(resume) = &self.resume else {
            return Outset { run: Some(Arc::clone(&self.run)), resume: None, ..plain };
        };
        // One that begins anew must not touch a file of that name which the checkpoint needs.
        let run = format!("{}-{}", self.run, lock(&self.folder).newest());
        Outset { run: Some(run.into()), resume: resume.sinks.get(at).cloned().flatten(), ..plain }
    }

    /// When checkpoints are due, from now on: by time, and when somebody asks for one by `cuts`.
    pub(crate) fn schedule(&self, cuts: &CutRequest) -> Schedule {
        // Whoever waits for each wants all of them.
        let is_busy = (!self.options.waits).then(|| Arc::clone(&self.is_busy));
        Schedule { every: Some(self.options.every), last: Instant::now(), cuts: cuts.clone(), is_busy }
    }

    /// Whether the run waits for each checkpoint, and for what it delivers.
    pub(crate) fn waits(&self) -> bool {
        self.options.waits
    }

    /// Starts the thread that keeps checkpoints.
    pub(crate) fn begin(&mut self) -> Result<()> {
        let (sender, drafts) = bounded::<Draft>(1);
        let (folder, failure) = (Arc::clone(&self.folder), Arc::new(Mutex::new(None)));
        let (failed, is_busy) = (Arc::clone(&failure), Arc::clone(&self.is_busy));
        let (durable, takes_changes) = (Arc::clone(&self.durable), Arc::clone(&self.takes_changes));
        let work = move || {
            for mut draft in drafts {
                // Hangs up at the end of this turn, when a failure can be seen.
                let _kept = draft.kept.take();
                let is_kept = caught("a checkpoint", || keep(&folder, &durable, &takes_changes, draft));
                let has_failed = is_kept.is_err();
                *lock(&failed) = is_kept.err();
                // Whoever makes the next cut sees a failure.
                is_busy.store(false, Ordering::Release);
                if has_failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(work);
        let thread =
            thread.map_err(|error| Error::internal(format!("no thread for checkpoints: {error}")))?;
        self.keeper = Some(Keeper { sender, thread, failure });
        Ok(())
    }

    /// Hands a cut to the thread that keeps it, and waits for that where the run [does](StateOptions::waits).
    ///
    /// # Errors
    /// When an earlier one could not be kept: then nothing later may be either.
    pub(crate) fn submit(&self, draft: Draft) -> Result<()> {
        let Some(keeper) = &self.keeper else { return Err(keeper_has_ended()) };
        if self.options.waits {
            // The thread waits for the sinks, and those for nobody but jobs that other workers have begun.
            let (kept, is_kept) = bounded(1);
            let _ended = keeper.sender.send(Draft { kept: Some(kept), ..draft });
            let _hung_up = is_kept.recv();
        } else {
            // There is room: none is made while another is on its way.
            let _ended = keeper.sender.send(draft);
        }
        match lock(&keeper.failure).take() {
            Some(error) => Err(error),
            None if keeper.thread.is_finished() => Err(keeper_has_ended()),
            None => Ok(()),
        }
    }

    /// Whether a file of a checkpoint is still in the making.
    pub(crate) fn is_in_the_making(&self, output: &SavedPart) -> bool {
        matches!(kind_if_there(&*self.options.files, &output.part), Ok(Some(_)))
    }

    /// From here on, the run is one of `pipeline`: it goes on from later checkpoints with that.
    pub(crate) fn reload(&mut self, pipeline: &Pipeline) {
        self.pipeline = parts(pipeline, &self.key, &self.loaded);
    }

    /// Waits for the thread, and keeps a last checkpoint.
    ///
    /// # Errors
    /// When this one or an earlier one could not be kept.
    pub(crate) fn conclude(&mut self, draft: Draft) -> Result<()> {
        self.join()?;
        keep(&self.folder, &self.durable, &self.takes_changes, draft)
    }

    /// Waits for the thread.
    fn join(&mut self) -> Result<()> {
        let Some(Keeper { sender, thread, failure }) = self.keeper.take() else { return Ok(()) };
        drop(sender);
        let joined = thread.join();
        if let Some(error) = lock(&failure).take() {
            return Err(error);
        }
        joined.map_err(|_| Error::internal("the thread that keeps checkpoints panicked"))
    }

    /// Closes the epoch that is open; gives its number.
    pub(crate) fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch - 1
    }

    /// A checkpoint of `snapshot`, which closes an epoch; the sinks are still to be added.
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

impl Drop for State {
    fn drop(&mut self) {
        // A run that failed lets the checkpoint in hand be finished.
        let _failed_already = self.join();
    }
}

/// Takes the state folder into use, if there is to be one, and gives its sensors their ids.
pub(crate) fn open_state(
    pipeline: &Pipeline,
    options: &RunOptions,
    sensors: &SharedSensors,
) -> Result<Option<State>> {
    let Some(state) = &options.state else { return Ok(None) };
    let state = State::open(state, pipeline)?;
    state.name_sensors(sensors)?;
    Ok(Some(state))
}

fn keeper_has_ended() -> Error {
    Error::internal("the thread that keeps checkpoints is gone")
        .with_help("the same command goes on from the last checkpoint; please report this")
}

/// First what the manifest speaks of is made durable, then the manifest: that decides. Then the epoch is handed to the deliveries.
fn keep(
    folder: &Mutex<StateFolder>,
    durable: &Durable,
    takes_changes: &AtomicBool,
    draft: Draft,
) -> Result<()> {
    let Draft { epoch, manifest, stages, settle, mut release, awaited, .. } = draft;
    let positions = manifest.sources.clone();
    let mut folder = lock(folder);
    folder.keep(epoch, manifest, stages, |manifest| {
        settle.into_iter().try_for_each(|settle| settle())?;
        release.extend(awaited.map_or_else(|| Ok(Vec::new()), |awaited| awaited.complete(manifest))?);
        Ok(())
    })?;
    takes_changes.store(folder.next_kind() == CutKind::Changes, Ordering::Release);
    drop(folder);
    durable.set(epoch, positions);
    release.into_iter().try_for_each(|release| release())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The content of a file that a stage loads before the run: a run with another one is a changed pipeline.
struct Loaded {
    /// What it is called among the options of the stage.
    name: String,
    crc: u32,
}

impl Loaded {
    /// `None` where `stage` loads none, or where it cannot be read, which ends the run later.
    fn by(stage: &dyn Stage) -> Option<Self> {
        let path = stage.loads()?;
        let crc = crc32c::crc32c(&std::fs::read(path).ok()?);
        Some(Self { name: format!("CRC-32C of {}", path.written()), crc })
    }
}

/// The parts of a pipeline as they are written into a checkpoint; values from the environment as fingerprints under `key`, with what the stages have `loaded`.
fn parts(pipeline: &Pipeline, key: &Key, loaded: &[Option<Loaded>]) -> Vec<PartSpec> {
    let part = |place: String, name: &str, options: &serde_json::Value| PartSpec {
        place,
        name: name.to_owned(),
        options: options.to_string(),
    };
    let Parameters { sources, mut stages, sinks } = pipeline.parameters_with(Some(key));
    for (options, loaded) in stages.iter_mut().zip(loaded) {
        if let (Some(options), Some(Loaded { name, crc })) = (options.as_object_mut(), loaded) {
            options.insert(name.clone(), format!("{crc:08x}").into());
        }
    }
    let mut parts = Vec::new();
    for (at, (entry, options)) in pipeline.sources.iter().zip(&sources).enumerate() {
        let place = if sources.len() == 1 { "source".into() } else { source_label(pipeline, at) };
        parts.push(part(place, entry.spec.name(), options));
    }
    for (entry, source) in pipeline.sources.iter().zip(&sources) {
        parts.extend(leading(entry).unwrap_or_default().iter().map(|stage| {
            // Their options are the source's, and named alike.
            let parameters = stage.parameters();
            let options = parameters.as_object().into_iter().flat_map(|options| options.keys());
            let options = options.map(|name| (name.clone(), source[name].clone())).collect();
            let place = format!("stage before ({})", stage.name());
            part(place, stage.name(), &serde_json::Value::Object(options))
        }));
    }
    parts.extend(pipeline.stages.iter().zip(&stages).enumerate().map(|(at, (entry, options))| {
        let name = entry.stage.name();
        part(format!("stage {at} ({name})"), name, options)
    }));
    parts.extend(pipeline.sinks.iter().zip(&sinks).enumerate().map(|(at, (sink, options))| {
        part(format!("sink {at} ({})", sink.spec.name()), sink.spec.name(), options)
    }));
    parts
}

/// Those that run as this kind: `source`, `stage` or `sink`.
fn of_kind<'a>(parts: &'a [PartSpec], kind: &'a str) -> impl Iterator<Item = &'a PartSpec> {
    parts.iter().filter(move |part| part.place.starts_with(kind))
}

/// A part of this `kind` but for the options that may change while a run goes on.
fn without_reloads(part: &PartSpec, kind: &str, pipeline: &Pipeline) -> PartSpec {
    let stages = pipeline.stages.iter().map(|entry| &entry.stage);
    let stage = stages.filter(|_| kind == "stage").find(|stage| stage.name() == part.name);
    let sinks = pipeline.sinks.iter().map(|entry| &entry.spec);
    let sink = sinks.filter(|_| kind == "sink").find(|sink| sink.name() == part.name);
    let reloads = |option: &str| {
        stage.is_some_and(|stage| stage.reloads(option)) || sink.is_some_and(|sink| sink.reloads(option))
    };
    let Ok(mut options) = serde_json::from_str::<serde_json::Map<_, _>>(&part.options) else {
        return part.clone();
    };
    options.retain(|option, _| !reloads(option));
    PartSpec { options: serde_json::Value::Object(options).to_string(), ..part.clone() }
}

/// A source that would give everything once more, to sinks that go on, cannot take part.
fn check_sources(pipeline: &Pipeline) -> Result<()> {
    for (at, SourceEntry { spec, .. }) in pipeline.sources.iter().enumerate() {
        let label = source_label(pipeline, at);
        resumable(&label, Part::Source(at), || spec.check_resumable())?;
        if spec.traits().is_replayable && !spec.can_resume() {
            return Err(Error::config(format!("the {label} cannot go on where it was after a restart"))
                .with_help("read csv or jsonl, or run without --state")
                .with_part(Part::Source(at)));
        }
    }
    Ok(())
}

fn check_stages(pipeline: &Pipeline) -> Result<()> {
    let stages = pipeline.stages.iter().enumerate();
    stages.map(|(at, entry)| (at, &entry.stage)).try_for_each(|(at, stage)| {
        resumable(&format!("stage {at} ({})", stage.name()), Part::Stage(at), || stage.check_resumable())
    })
}

/// Whether a part can take part in a run with checkpoints, as it says itself.
fn resumable(label: &str, part: Part, check: impl FnOnce() -> Result<()>) -> Result<()> {
    guarded(label, check).map_err(|error| error.with_part(part))
}

/// A sink whose output would be lost or torn by a restart cannot take part.
fn check_sinks(pipeline: &Pipeline) -> Result<()> {
    for (at, sink) in pipeline.sinks.iter().enumerate() {
        let name = sink.spec.name();
        resumable(&format!("sink {at} ({name})"), Part::Sink(at), || sink.spec.check_resumable())?;
        if !sink.spec.can_resume() && !sink.spec.delivers() && sink.spec.repeat() == Repeat::Harmless {
            return Err(Error::config(format!(
                "sink {at} ({name}) cannot go on with its file after a restart"
            ))
            .with_help(match name {
                "parquet" => "let it roll: `roll = { every = \"1h\" }` with a path such as `out/{date}/{hour}-{epoch}.parquet`; or run without --state",
                _ => "write csv or jsonl, or run without --state",
            })
            .with_part(Part::Sink(at)));
        }
    }
    Ok(())
}
