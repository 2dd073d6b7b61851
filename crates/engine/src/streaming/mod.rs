//! The unbounded runtime: reads an input that may never end, and hands on what is there.
//!
//! ```text
//! threads of sources → channel → workers: decode → stages → queue of each sink, in order → sink's thread: write → flush
//! ```
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | source | [`run`]; one reads all sources that end, then there is one for each that does not | input, for a moment at a time; room among what waits for the workers; the others at a cut | with the input, at a stop, at a failure |
//! | worker | [`run`] | the channel; its turn behind workers of earlier pieces; room in the queue of a sink | when the sources' threads have ended and the channel is empty, at a failure |
//! | sink | `runtime/outlet` | its queue; what its sink waits for | when the workers have ended and its queue is empty, at a failure |
//! | the caller's | — | all of them | when it has joined all of them |
//!
//! Pieces hold whatever was there when the source looked; nothing waits for one to fill. What is between the source and the sinks
//! is bounded in bytes, for each source: a slow sink makes the source wait, and nothing is dropped. A stop ends the reading; what has come in goes all
//! the way and is committed.

mod gate;
mod intake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam::channel::unbounded;

use crate::checkpoint::Ending;
use crate::error::guard::caught;
use crate::error::{Error, Result};
use crate::files::patient::Patient;
use crate::files::{Disk, FileSystem};
use crate::pipeline::{Pipeline, SourceEntry, WhenFull, plan};
use crate::runtime::crew::Crew;
use crate::runtime::effects::{untimed, without_effect};
use crate::runtime::inlets::Inlets;
use crate::runtime::outlet::{Around, Outlets};
use crate::runtime::over::after_the_end;
use crate::runtime::setup::Setup;
use crate::runtime::state::{State, open_state};
use crate::runtime::{Observer, Report, RunOptions};
use crate::sensor::{SensorIds, SharedSensors};
use crate::sink::Outset;
use crate::stage::{Reach, Stage};

use gate::Gate;
use intake::{Ended, Intake, Policy, Read, Reader};

/// Runs `pipeline` until its input ends, or [`RunOptions::stop`] is set; then what has come in is committed.
///
/// # Errors
/// Whatever ends the run early; then no sink has made anything visible under its final name.
pub fn run(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<Report> {
    options.check()?;
    // What no guard has caught, a getter of a part for one, ends the run and not the caller.
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
    let (mut options, plain) = patient(&options.of(pipeline));
    let state = open_state(pipeline, &options, &sensors)?;
    match state.as_ref().and_then(State::ending) {
        None | Some(Ending::Running) => {}
        Some(ending) => return after_the_end(pipeline, &options, state, ending),
    }
    // A record whose time is not believed is set aside in full.
    options.open.origins = true;
    options.resume = state.as_ref().map(State::resumptions).unwrap_or_default();
    let options = &options;
    let mut setup = Setup::open(pipeline, &stages, options)?;
    let workers = workers(options);
    let asked = setup.plan.graph.asked();
    let mut crew = Crew::new(pipeline, &stages, &setup, &asked, workers, options, &sensors)?;
    setup.sources.begin()?;
    let mut outlets = Outlets::open(pipeline, &setup.plan, state, &plain)?;
    crew.resume(&mut setup.sources, &mut outlets)?;
    crew.begin(&setup.sources, &mut outlets, options)?;
    outlets.go_live()?;
    // Workers wait for input that may not come: what sinks have left to do is done by their threads.
    outlets.start(Around { cancelled: crew.cancelled(), stop: None, workers: 0 })?;
    let cancelled = crew.cancelled();
    let policy = Policy {
        when_full: pipeline.sources.iter().map(when_full).collect(),
        finishes: options.state.as_ref().is_some_and(|state| state.finishes),
        goes_on: options.state.is_some(),
        stop: Arc::clone(&options.stop),
        cancelled: Arc::clone(&cancelled),
    };
    let (sender, receiver) = unbounded();
    let positions = setup.sources.save()?;
    let arrival = setup.sources.arrival();
    let gate = Gate::new(sender, outlets.schedule(), positions, Arc::clone(&cancelled), arrival);
    let gate = Arc::new(gate);
    let is_bounded = |at: usize| pipeline.sources[at].spec.traits().is_bounded;
    let (history, live) = setup.sources.apart(is_bounded);
    // Records that a source decodes itself wait for a worker.
    let reader = |inlets| {
        let ids = SensorIds::ahead(Arc::clone(&sensors));
        Reader::new(inlets, ids, Arc::clone(&gate), policy.clone())
    };
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
    let AllRead { ended, dropped, mut sources } = read;
    dropped.into_iter().for_each(|(source, dropped)| crew.note_dropped(source, dropped));
    let mut report = Report::default();
    sources.close(&mut report)?;
    let pauses = ended == Ended::Stopped && outlets.has_state();
    crew.finish(driven?, !pauses, &mut outlets)?;
    conclude(&mut crew, &mut sources, ended, outlets, observer, &mut report)?;
    crew.close(&mut report);
    report.remarks.extend(without_effect(pipeline, &sensors.read()));
    report.remarks.extend(untimed(pipeline, &setup.plan.schemas));
    report.elapsed = start.elapsed();
    report.check(&setup.plan.graph)?;
    Ok(report)
}

/// The same options for a run that waits while a disk is full, and what its sinks begin with.
fn patient(options: &RunOptions) -> (RunOptions, Outset) {
    let mut options = options.clone();
    let stop = Arc::clone(&options.stop);
    let patient = |files| Arc::new(Patient::new(files, &stop)) as Arc<dyn FileSystem>;
    if let Some(state) = &mut options.state {
        state.files = patient(Arc::clone(&state.files));
    }
    options.open.record = options.open.record.map(|recorder| recorder.on(patient));
    let files = patient(Arc::new(Disk));
    let clock = options.open.clock.clone();
    (options, Outset { files, stop, clock, ..Outset::default() })
}

/// Lets the workers end when the sources have been read, be it by a panic.
struct Closes<'a>(&'a Gate);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the threads of all sources give back.
struct AllRead {
    ended: Ended,
    /// By source.
    dropped: Vec<(usize, u64)>,
    sources: Inlets,
}

/// Reads the sources that end, in order, then all others at the same time; one of those on this thread.
fn read_all(
    history: Inlets,
    mut live: Vec<Inlets>,
    reader: &(dyn Fn(Inlets) -> Reader + Sync),
) -> Result<AllRead> {
    let mut all = Vec::new();
    if !history.is_empty() {
        all.push(reader(history).read());
    }
    if all.iter().any(|read| read.ended == Ended::Failed) {
        let unread = live.into_iter().map(|inlets| Read { ended: Ended::Failed, dropped: (0, 0), inlets });
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
    let ended = all.iter().map(|read| read.ended).max().unwrap_or(Ended::Over);
    let (dropped, inlets): (Vec<_>, Vec<_>) = all.into_iter().map(|read| (read.dropped, read.inlets)).unzip();
    Ok(AllRead { ended, dropped, sources: Inlets::together(inlets) })
}

fn on_thread<'s, 'e, T: Send + 's>(
    name: &str,
    scope: &'s thread::Scope<'s, 'e>,
    work: impl FnOnce() -> T + Send + 's,
) -> Result<thread::ScopedJoinHandle<'s, T>> {
    let thread = thread::Builder::new().name(name.into()).spawn_scoped(scope, work);
    thread.map_err(|error| no_thread(&error))
}

/// What happens to input that comes faster than it can be handled: what lies in files waits.
fn when_full(source: &SourceEntry) -> WhenFull {
    if source.spec.traits().is_bounded { WhenFull::Wait } else { source.input.when_full }
}

/// Where a panic ends the run, the source's thread must not wait for its workers.
struct Cancels<'a>(&'a AtomicBool);

impl Drop for Cancels<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// Makes the output visible, behind the last record; one that goes on after a restart is kept as it is when it was stopped.
fn conclude(
    crew: &mut Crew,
    sources: &mut Inlets,
    ended: Ended,
    outlets: Outlets,
    observer: &mut (dyn Observer + Send),
    report: &mut Report,
) -> Result<()> {
    let is_stopped = ended == Ended::Stopped;
    if is_stopped {
        report.remarks.push("stopped when asked to; all that had come in was written".into());
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

/// Calls `work` once for each of `count` workers, at the same time. The first is the caller's thread, so that there is one whatever
/// the system grants.
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
    Error::internal(format!("no thread to read with: {error}"))
}

/// How many threads work.
fn workers(options: &RunOptions) -> usize {
    options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// A stage that has to see all of the input first cannot run on one that does not end.
fn check_one_pass(stage: &dyn Stage) -> Result<()> {
    if stage.reach() != Reach::Global {
        return Ok(());
    }
    let name = stage.name();
    Err(Error::config(format!("`{name}` needs a first pass, and this source cannot be read twice"))
        .with_help("read from files, or load constants that an earlier `tidemill fit` saved"))
}
