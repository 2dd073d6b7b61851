//! The unbounded runtime: reads an input that may never end, and hands on what is there.
//!
//! ```text
//! source's thread → bounded channel → workers: decode → stages → queue of each sink, in order → sink's thread: write → flush
//! ```
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | source | [`run`] | input, for a moment at a time; room among what waits for the workers | with the input, at a stop, at a failure |
//! | worker | [`run`] | the channel; its turn behind workers of earlier pieces; room in the queue of a sink | when the source's thread has ended and the channel is empty, at a failure |
//! | sink | `runtime/outlet` | its queue; what its sink waits for | when the workers have ended and its queue is empty, at a failure |
//! | the caller's | — | all of them | when it has joined all of them |
//!
//! Pieces hold whatever was there when the source looked; nothing waits for one to fill. What is between the source and the sinks
//! is bounded in bytes: a slow sink makes the source wait, and nothing is dropped. A stop ends the reading; what has come in goes all
//! the way and is committed.

mod intake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::checkpoint::Ending;
use crate::error::guard::caught;
use crate::error::{Error, Result};
use crate::files::patient::Patient;
use crate::files::{Disk, FileSystem};
use crate::pipeline::{Pipeline, plan};
use crate::runtime::crew::Crew;
use crate::runtime::effects::{untimed, without_effect};
use crate::runtime::inlet::Inlet;
use crate::runtime::outlet::{Around, Outlets};
use crate::runtime::over::after_the_end;
use crate::runtime::setup::Setup;
use crate::runtime::state::{State, open_state};
use crate::runtime::{Observer, Report, RunOptions};
use crate::sensor::{SensorIds, SharedSensors};
use crate::sink::Outset;
use crate::stage::{Reach, Stage};

use intake::{Ended, Policy, Read, between};

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
    let sensors = Arc::new(SharedSensors::new(pipeline.input.sensor_limits(&*pipeline.source)));
    let (mut options, plain) = patient(&options.of(pipeline));
    let state = open_state(pipeline, &options, &sensors)?;
    match state.as_ref().and_then(State::ending) {
        None | Some(Ending::Running) => {}
        Some(ending) => return after_the_end(pipeline, &options, state, ending),
    }
    // A record whose time is not believed is set aside in full.
    options.open.origins = true;
    options.open.resume = state.as_ref().and_then(State::resumption);
    let options = &options;
    let mut setup = Setup::open(pipeline, &stages, options)?;
    let workers = workers(options);
    let asked = setup.plan.graph.asked();
    let mut crew = Crew::new(pipeline, &stages, &setup, &asked, workers, options, &sensors)?;
    setup.source.begin()?;
    let mut outlets = Outlets::open(pipeline, &setup.plan, state, &plain)?;
    crew.resume(&mut setup.source, &mut outlets)?;
    crew.begin(&setup.source, &mut outlets, options)?;
    outlets.go_live()?;
    // Workers wait for input that may not come: what sinks have left to do is done by their threads.
    outlets.start(Around { cancelled: crew.cancelled(), stop: None, workers: 0 })?;
    let schedule = outlets.schedule();
    // Records that the source decodes itself wait for a worker.
    let ids = SensorIds::ahead(Arc::clone(&sensors));
    let cancelled = crew.cancelled();
    let policy = Policy {
        max_ahead: pipeline.input.max_ahead()?,
        when_full: pipeline.input.when_full,
        finishes: options.state.as_ref().is_some_and(|state| state.finishes),
        goes_on: options.state.is_some(),
    };
    let stop = Arc::clone(&options.stop);
    let (reader, intake) = between(
        setup.source,
        ids,
        stop,
        Arc::clone(&cancelled),
        schedule,
        policy,
        options.open.record.clone(),
    );
    let (driven, read) = thread::scope(|scope| {
        let reading = thread::Builder::new().name("source".into()).spawn_scoped(scope, || reader.read());
        let reading = reading.map_err(|error| no_thread(&error))?;
        let _at_a_panic = Cancels(&cancelled);
        let driven = crew.drive("run", &intake, observer, &mut outlets, |work| on_threads(workers, work));
        if driven.is_err() {
            cancelled.store(true, Ordering::Release);
        }
        let read = reading.join().map_err(|_| Error::internal("the source's thread panicked"));
        Ok::<_, Error>((driven, read?))
    })?;
    let Read { ended, dropped, source } = read;
    crew.note_dropped(dropped);
    let mut report = Report {
        bytes: source.bytes()?,
        remarks: source.remarks()?,
        missing: source.missing()?,
        ..Report::default()
    };
    let pauses = ended == Ended::Stopped && outlets.has_state();
    crew.finish(driven?, !pauses, &mut outlets)?;
    conclude(&mut crew, &source, ended, outlets, observer, &mut report)?;
    crew.close(&mut report);
    report.remarks.extend(without_effect(pipeline, &sensors.read()));
    report.remarks.extend(untimed(pipeline, &setup.plan.schemas[0]));
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
    source: &Inlet,
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
    crew.last_cut(source.save()?, !is_stopped, |last| match is_stopped {
        true => outlets.pause(last, observer, report),
        false => outlets.finish(Some(last), observer, report),
    })
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
