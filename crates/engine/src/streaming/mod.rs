//! The unbounded runtime: reads input that may never end and passes on whatever has arrived.
//!
//! ```text
//! threads of sources → channel → workers: decode → stages → queue of each sink, in order → sink's thread: write → flush
//! ```
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | source | [`run`]; one reads all sources that end, then there is one for each that does not | input, briefly at a time; room in the channel; the others at a cut | with the input, at a stop, at a failure |
//! | worker | [`run`] | the channel; its turn after workers of earlier pieces; room in the queue of a sink | when the sources' threads have ended and the channel is empty, at a failure |
//! | sink | `runtime/outlet` | its queue; its sink | when the workers have ended and its queue is empty, at a failure |
//! | the caller's | — | all of them | when it has joined all of them |
//!
//! A piece is whatever had arrived when the source was read; nothing waits for a piece to fill. The bytes in flight are bounded for each
//! source: a slow sink makes the source wait (back-pressure), and nothing is dropped unless `when_full = "drop"`. A stop ends reading; what
//! has arrived is processed and committed.

mod gate;
mod intake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam::channel::unbounded;

use crate::checkpoint::{Ending, Fence};
use crate::cuts::CutRequest;
use crate::error::guard::caught;
use crate::error::{Error, Result};
use crate::files::patient::Patient;
use crate::files::{FileSystem, everywhere};
use crate::notes::event::in_span;
use crate::pipeline::{Pipeline, SourceEntry, WhenFull, plan};
use crate::runtime::crew::Crew;
use crate::runtime::effects::{untimed, without_effect};
use crate::runtime::inlets::Inlets;
use crate::runtime::outlet::{Outlets, RunControl};
use crate::runtime::over::after_the_end;
use crate::runtime::setup::Setup;
use crate::runtime::state::{State, open_state};
use crate::runtime::{Observer, Report, RunOptions};
use crate::sensor::{SensorIds, SharedSensors};
use crate::sink::SinkContext;
use crate::stage::{Reach, Stage};

use gate::Gate;
use intake::{Intake, Policy, ReadEnd, ReadResult, SourceReader};

/// Runs `pipeline` until its input ends or [`RunOptions::stop`] is set; then commits what has arrived. Blocks the calling thread.
///
/// # Errors
/// Any error that ends the run early; then no sink has made anything visible under its final name.
pub fn run(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<Report> {
    options.check()?;
    // A panic outside of all guards, such as in a getter of a component, ends the run and not the caller.
    caught("the run", || run_guarded(pipeline, options, observer))
}

fn run_guarded(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<Report> {
    let start = Instant::now();
    let stages = plan::stages(pipeline)?;
    stages.iter().try_for_each(|stage| check_one_pass(&**stage))?;
    let sensors = Arc::new(SharedSensors::new(pipeline.sensor_limits()));
    let (mut options, plain) = patient(pipeline, &options.of(pipeline));
    let state = open_state(pipeline, &options, &sensors)?;
    match state.as_ref().and_then(State::ending) {
        None | Some(Ending::Running) => {}
        Some(ending) => return after_the_end(pipeline, &options, state, ending),
    }
    // A record ahead of the clock is rejected with its raw text.
    options.open.origins = true;
    options.resume = state.as_ref().map(State::resumptions).unwrap_or_default();
    let fence = state.as_ref().map(State::fence);
    let mut report = read_and_run(pipeline, &stages, &options, &plain, state, &sensors, observer)
        .map_err(|error| Fence::cause(fence.as_ref(), error))?;
    report.elapsed = start.elapsed();
    Ok(report)
}

/// Runs the pipeline: one thread for each source that is read at the same time as others, and the crew.
fn read_and_run(
    pipeline: &Pipeline,
    stages: &[Arc<dyn Stage>],
    options: &RunOptions,
    plain: &SinkContext,
    state: Option<State>,
    sensors: &Arc<SharedSensors>,
    observer: &mut (dyn Observer + Send),
) -> Result<Report> {
    let mut setup = Setup::open(pipeline, stages, options)?;
    let workers = workers(options);
    let asked = setup.plan.graph.asked();
    let mut crew = Crew::new(pipeline, stages, &setup, &asked, workers, options, sensors)?;
    // A run that only finishes, or only delivers, takes nothing from others: a broker would give it more.
    if !options.state.as_ref().is_some_and(|state| state.delivers || state.finishes) {
        setup.sources.begin()?;
    }
    let mut outlets = Outlets::open(pipeline, &setup.plan, state, plain)?;
    crew.resume(&mut setup.sources, &mut outlets)?;
    crew.begin(&setup.sources, &mut outlets, options)?;
    outlets.go_live()?;
    // Workers may wait for input forever, so jobs are done by the sinks' threads.
    outlets.start(RunControl { cancelled: crew.cancelled(), stop: None, workers: 0 })?;
    let cancelled = crew.cancelled();
    let policy = Policy {
        when_full: pipeline.sources.iter().map(when_full).collect(),
        finishes: options.state.as_ref().is_some_and(|state| state.finishes),
        delivers: options.state.as_ref().is_some_and(|state| state.delivers),
        can_resume: options.state.is_some(),
        stop: Arc::clone(&options.stop),
        cancelled: Arc::clone(&cancelled),
        meters: crew.meters().cloned(),
    };
    let (sender, receiver) = unbounded();
    let positions = setup.sources.save()?;
    let arrival = setup.sources.arrival();
    let (schedule, reloads) = (outlets.schedule(&options.open.cuts), options.reloads.clone());
    let gate = Gate::new(sender, schedule, positions, Arc::clone(&cancelled), arrival, reloads);
    let gate = Arc::new(gate);
    let is_bounded = |at: usize| pipeline.sources[at].spec.traits().is_bounded;
    let (history, live) = setup.sources.split(is_bounded);
    // Records that a source decodes itself go to the workers too.
    let reader = |inlets| {
        let ids = SensorIds::ahead(Arc::clone(sensors));
        SourceReader::new(inlets, ids, Arc::clone(&gate), policy.clone())
    };
    let taking = options.reloads.take(pipeline, &setup.plan, setup.foresees.clone());
    let (driven, read) = thread::scope(|scope| {
        let reading = on_thread("source", scope, || {
            let _at_its_end = Closes(&gate);
            read_all(history, live, &reader)
        })?;
        let _at_a_panic = Cancels(&cancelled);
        let intake = Intake::new(receiver);
        let driven = crew.drive("run", &intake, observer, &mut outlets, |work| on_threads(workers, work));
        if driven.is_err() {
            cancelled.store(true, Ordering::Release);
        }
        let read = reading.join().map_err(|_| Error::internal("the source's thread panicked"));
        Ok::<_, Error>((driven, read??))
    })?;
    drop(taking);
    let AllRead { ended, dropped, mut sources } = read;
    dropped.into_iter().for_each(|(source, dropped)| crew.note_dropped(source, dropped));
    let mut report = Report::default();
    sources.close(&mut report)?;
    let pauses = ended == ReadEnd::Stopped && outlets.has_state();
    crew.finish(driven?, !pauses, &mut outlets)?;
    conclude(&mut crew, &mut sources, ended, outlets, observer, &mut report)?;
    crew.close(&mut report);
    report.remarks.extend(without_effect(pipeline, &sensors.read()));
    report.remarks.extend(untimed(pipeline, &setup.plan.schemas));
    report.check(&setup.plan.graph)?;
    Ok(report)
}

/// The same options for a run that waits while a disk is full, and what its sinks begin with.
fn patient(pipeline: &Pipeline, options: &RunOptions) -> (RunOptions, SinkContext) {
    let mut options = options.clone();
    let stop = Arc::clone(&options.stop);
    let patient = |files, writer: &str| {
        Arc::new(Patient::new(files, &stop, writer, pipeline.secrets.masks())) as Arc<dyn FileSystem>
    };
    if let Some(state) = &mut options.state {
        state.files = patient(Arc::clone(&state.files), "the state folder");
    }
    let recorder = options.open.record.take();
    options.open.record = recorder.map(|recorder| recorder.on(|files| patient(files, "the recording")));
    let files = patient(everywhere(None), "a sink");
    options.open.cuts = CutRequest::default();
    let (clock, cuts) = (options.open.clock.clone(), options.open.cuts.clone());
    (options, SinkContext { files, stop, clock, cuts, ..SinkContext::default() })
}

/// Closes the channel when the sources have been read, even after a panic, so that the workers end.
struct Closes<'a>(&'a Gate);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The results of the threads of all sources.
struct AllRead {
    ended: ReadEnd,
    /// By source.
    dropped: Vec<(usize, u64)>,
    sources: Inlets,
}

/// Reads the sources that end, in order, then all others concurrently, one of them on this thread.
fn read_all(
    history: Inlets,
    mut live: Vec<Inlets>,
    reader: &(dyn Fn(Inlets) -> SourceReader + Sync),
) -> Result<AllRead> {
    let mut all = Vec::new();
    if !history.is_empty() {
        all.push(reader(history).read());
    }
    if all.iter().any(|read| read.ended == ReadEnd::Failed) {
        let unread =
            live.into_iter().map(|inlets| ReadResult { ended: ReadEnd::Failed, dropped: (0, 0), inlets });
        all.extend(unread);
    } else if let Some(first) = live.pop() {
        // All of them take part in the first cut.
        let first = reader(first);
        let others: Vec<_> = live.into_iter().map(reader).collect();
        thread::scope(|scope| {
            let others = others.into_iter().map(|other| on_thread("source", scope, || other.read()));
            let others: Vec<_> = others.collect::<Result<_>>()?;
            all.push(first.read());
            for other in others {
                all.push(other.join().map_err(|_| Error::internal("a source's thread panicked"))?);
            }
            Ok::<_, Error>(())
        })?;
    }
    let ended = all.iter().map(|read| read.ended).max().unwrap_or(ReadEnd::Over);
    let (dropped, inlets): (Vec<_>, Vec<_>) = all.into_iter().map(|read| (read.dropped, read.inlets)).unzip();
    Ok(AllRead { ended, dropped, sources: Inlets::join(inlets) })
}

fn on_thread<'s, 'e, T: Send + 's>(
    name: &str,
    scope: &'s thread::Scope<'s, 'e>,
    work: impl FnOnce() -> T + Send + 's,
) -> Result<thread::ScopedJoinHandle<'s, T>> {
    let thread = thread::Builder::new().name(name.into()).spawn_scoped(scope, in_span(work));
    thread.map_err(|error| no_thread(&error))
}

/// What to do when input arrives faster than it is processed: input at rest waits.
fn when_full(source: &SourceEntry) -> WhenFull {
    if source.spec.traits().is_bounded { WhenFull::Wait } else { source.input.when_full }
}

/// Sets a flag when dropped: after a panic, the source's thread must not wait for the workers.
struct Cancels<'a>(&'a AtomicBool);

impl Drop for Cancels<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// Makes the output visible at the end; if the run can resume, it is kept as it is after a stop.
fn conclude(
    crew: &mut Crew,
    sources: &mut Inlets,
    ended: ReadEnd,
    outlets: Outlets,
    observer: &mut (dyn Observer + Send),
    report: &mut Report,
) -> Result<()> {
    let is_stopped = ended == ReadEnd::Stopped;
    if is_stopped {
        report.remarks.push("stopped on request; all input that had arrived was written".into());
    }
    if !outlets.has_state() {
        return outlets.finish(None, observer, report);
    }
    crew.last_cut(sources.save()?, !is_stopped, |last| match is_stopped {
        true => outlets.pause(last, observer, report),
        false => outlets.finish(Some(last), observer, report),
    })?;
    sources.acknowledge()
}

/// Calls `work` once for each of `count` workers, concurrently. The first one is the calling thread, so that there is at least one.
fn on_threads(count: usize, work: &(dyn Fn(usize) + Sync)) {
    std::thread::scope(|scope| {
        for index in 1..count {
            let name = format!("worker {index}");
            let _fewer_will_do = thread::Builder::new().name(name).spawn_scoped(scope, move || work(index));
        }
        work(0);
    });
}

fn no_thread(error: &std::io::Error) -> Error {
    Error::internal(format!("cannot start a worker thread: {error}"))
}

/// The number of workers.
fn workers(options: &RunOptions) -> usize {
    options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// A stage that must see all of the input first cannot run on an unbounded input.
fn check_one_pass(stage: &dyn Stage) -> Result<()> {
    if stage.reach() != Reach::Global {
        return Ok(());
    }
    let name = stage.name();
    Err(Error::config(format!("`{name}` needs a first pass, and this source cannot be read twice"))
        .with_help("read what can be read twice, such as a file or a table, or load constants that an earlier `tidemill fit` saved"))
}
