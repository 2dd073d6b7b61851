//! The bounded runtime: reads the input to its end, once for every `Global` stage and once for the output.
//!
//! `parallel` runs on all cores; `sequential` is the loop that judges it. Both hand what comes out to a
//! `Drain`. Memory does not grow with the input: one chunk a worker is in flight.

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod delivery_tests;
#[cfg(test)]
mod durable_tests;
#[cfg(test)]
mod foreseen_tests;
#[cfg(test)]
mod idle_tests;
mod parallel;
mod sequential;
#[cfg(test)]
mod set_aside_tests;
#[cfg(test)]
mod sink_threads_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod unfold_tests;
#[cfg(test)]
mod unpivot_tests;

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use crate::atomic::AtomicFile;
use crate::batch::Schema;
use crate::checkpoint::Ending;
use crate::error::guard::{caught, guarded};
use crate::error::{Error, Result};
use crate::files::patient::Patient;
use crate::pipeline::label::stage_label;
use crate::pipeline::{Graph, OnFailure, Pipeline, Plan, plan};
use crate::runtime::drain::{Drain, FirstPass};
use crate::runtime::effects::without_effect;
use crate::runtime::inlets::Inlets;
use crate::runtime::outlet::Outlets;
use crate::runtime::over::after_the_end;
use crate::runtime::state::{State, open_state};
use crate::sensor::SharedSensors;
use crate::sink::Outset;
use crate::source::OpenOptions;
use crate::stage::{Reach, Stage};

pub use crate::runtime::{FirstPassReport, Observer, Rejects, Report, RunOptions, Shown};

/// Runs `pipeline` to the end of its input.
///
/// # Errors
/// Whatever ends the run early; then no sink has made anything visible.
pub fn run(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<Report> {
    if options.sequential && options.state.is_some() {
        return Err(Error::usage("the one-thread loop keeps no checkpoints")
            .with_help("run without `sequential`, on one thread where that is wanted"));
    }
    options.check()?;
    let options = &options.of(pipeline);
    on_threads(options, || match options.sequential {
        true => run_by::<sequential::Pass>(pipeline, options, observer),
        false => run_by::<parallel::Pass>(pipeline, options, observer),
    })
}

/// Runs the first passes of `pipeline` and gives its stages, the `Global` ones with their constants.
///
/// # Errors
/// Whatever ends a pass early.
pub fn fit(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<(Vec<Arc<dyn Stage>>, Report)> {
    options.check()?;
    let start = Instant::now();
    let sensors = Arc::new(SharedSensors::new(pipeline.sensor_limits()));
    let mut report = Report::default();
    let stages = on_threads(options, || match options.sequential {
        true => fit_stages::<sequential::Pass>(pipeline, options, &sensors, observer, &mut report),
        false => fit_stages::<parallel::Pass>(pipeline, options, &sensors, observer, &mut report),
    })?;
    report.elapsed = start.elapsed();
    Ok((stages, report))
}

/// One reading of the input through some of the stages.
trait Reading: Sized {
    /// Opens the sources and gets `stages` ready, the first ones of `pipeline`, all of them checked before, for what comes out of the ports `asked`.
    fn open(
        pipeline: &Pipeline,
        stages: &[Arc<dyn Stage>],
        asked: &[usize],
        options: &RunOptions,
        sensors: &Arc<SharedSensors>,
    ) -> Result<Self>;

    /// What runs, with its columns.
    fn plan(&self) -> &Plan;

    /// Goes on from the checkpoint that `outlets` have, if they have one, and keeps more of them; then the sinks are ready to be handed to.
    fn begin(&mut self, _outlets: &mut Outlets, _options: &RunOptions) -> Result<()> {
        Ok(())
    }

    /// Makes the output visible, behind the last record.
    fn conclude(
        &mut self,
        outlets: Outlets,
        observer: &mut (dyn Observer + Send),
        report: &mut Report,
    ) -> Result<()> {
        outlets.finish(None, observer, report)
    }

    /// Reads the input to its end.
    fn drive<D: Drain>(
        &mut self,
        name: &str,
        observer: &mut (dyn Observer + Send),
        drain: &mut D,
    ) -> Result<()>;

    /// Writes the ledgers into `report`.
    ///
    /// # Errors
    /// When the source cannot say what it has done.
    fn close(self, report: &mut Report) -> Result<()>;
}

/// Runs `act` in a pool of the threads that `options` ask for.
pub fn on_threads<T: Send>(options: &RunOptions, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.unwrap_or(0))
        .build()
        .map_err(|error| Error::internal(format!("no threads to work with: {error}")))?;
    // What no guard has caught, a getter of a part for one, ends the run and not the caller.
    pool.install(|| caught("the run", act))
}

fn run_by<R: Reading>(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<Report> {
    let start = Instant::now();
    let sensors = Arc::new(SharedSensors::new(pipeline.sensor_limits()));
    let mut report = Report::default();
    let mut options = options.clone();
    if let Some(state) = &mut options.state
        && pipeline.sinks.iter().any(|sink| sink.on_failure == Some(OnFailure::Wait))
    {
        // It is mostly the same disk.
        state.files = Arc::new(Patient::new(Arc::clone(&state.files), &options.stop));
    }
    let state = open_state(pipeline, &options, &sensors)?;
    match state.as_ref().and_then(State::ending) {
        None | Some(Ending::Running) => {}
        Some(ending) => return after_the_end(pipeline, &options, state, ending),
    }
    options.resume = state.as_ref().map(State::resumptions).unwrap_or_default();
    let options = &options;
    let (early, state) = outlets_before_first_pass(pipeline, options, state)?;
    let stages = fit_stages::<R>(pipeline, options, &sensors, observer, &mut report)?;
    let graph = Graph::new(pipeline)?;
    let mut reading = R::open(pipeline, &stages, &graph.asked(), options, &sensors)?;
    let mut outlets =
        early.map_or_else(|| Outlets::open(pipeline, reading.plan(), state, &plain(options)), Ok)?;
    reading.begin(&mut outlets, options)?;
    reading.drive("run", observer, &mut outlets)?;
    reading.conclude(outlets, observer, &mut report)?;
    reading.close(&mut report)?;
    report.remarks.extend(without_effect(pipeline, &sensors.read()));
    report.elapsed = start.elapsed();
    report.check(&graph)?;
    Ok(report)
}

/// The sinks of a run that reads its input more than once: one that cannot be opened should not be noticed only at
/// the last reading. Other inputs, which may not be readable twice, are looked at once.
fn outlets_before_first_pass(
    pipeline: &Pipeline,
    options: &RunOptions,
    state: Option<State>,
) -> Result<(Option<Outlets>, Option<State>)> {
    if !pipeline.has_first_pass() || !pipeline.traits().is_replayable {
        return Ok((None, state));
    }
    let plan = plan(pipeline, &options.open)?;
    Ok((Some(Outlets::open(pipeline, &plan, state, &plain(options))?), None))
}

/// What sinks begin with.
fn plain(options: &RunOptions) -> Outset {
    let (stop, clock) = (Arc::clone(&options.stop), options.open.clock.clone());
    Outset { stop, clock, ..Outset::default() }
}

/// `pipeline` with what its stages learn in first passes, so that one pass is enough, by either runtime; and what is to be said of those.
///
/// # Errors
/// Whatever ends a pass early.
pub(crate) fn learnt(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<(Pipeline, Report)> {
    let (stages, report) = fit(pipeline, options, observer)?;
    let mut learnt = pipeline.clone();
    let stages = stages.into_iter().skip(pipeline.stages_before());
    learnt.stages.iter_mut().zip(stages).for_each(|(entry, stage)| entry.stage = stage);
    Ok((learnt, report))
}

fn fit_stages<R: Reading>(
    pipeline: &Pipeline,
    options: &RunOptions,
    sensors: &Arc<SharedSensors>,
    observer: &mut (dyn Observer + Send),
    report: &mut Report,
) -> Result<Vec<Arc<dyn Stage>>> {
    let mut stages = plan::stages(pipeline)?;
    // A first pass is whole or it is nothing: it keeps no checkpoints, and a stop is a failure. Its input comes again, and is recorded then.
    let open = OpenOptions { record: None, ..options.open.clone() };
    let options = &RunOptions { state: None, open, resume: Vec::new(), ..options.clone() };
    for at in 0..stages.len() {
        if stages[at].reach() != Reach::Global {
            continue;
        }
        check_replayable(pipeline, &*stages[at])?;
        let plan = plan(pipeline, &options.open)?;
        let label = stage_label(pipeline, at, &*stages[at]);
        let Some(fit) = guarded(&label, || stages[at].fit(plan.into_stage(at)))? else { continue };
        let asked = &plan.graph.stages[at];
        let mut fit = FirstPass::new(stages[at].name(), label.clone(), asked, fit);
        let fitted = loop {
            let start = Instant::now();
            let mut reading = R::open(pipeline, &stages[..at], asked, options, sensors)?;
            reading.drive("fit", observer, &mut fit)?;
            reading.close(report)?;
            // Constants of a part of the input would be wrong and look right.
            report.check_complete()?;
            report.end_first_pass(fit.take_entry(), start.elapsed());
            if let Some(fitted) = fit.finish(&sensors.read())? {
                break fitted;
            }
        };
        guarded(&label, || save(&*stages[at], &*fitted.stage))?;
        stages[at] = Arc::from(fitted.stage);
        report.remarks.extend(fitted.remarks);
    }
    Ok(stages)
}

/// Writes what the first pass of `stage` has learnt to the file that is for it.
fn save(stage: &dyn Stage, fitted: &dyn Stage) -> Result<()> {
    let (Some(path), Some(text)) = (stage.saves(), fitted.fitted()) else { return Ok(()) };
    let mut file = AtomicFile::create(path.place())?;
    file.write_all(text.as_bytes()).map_err(|error| file.failed(&error))?;
    file.commit()
}

fn check_replayable(pipeline: &Pipeline, stage: &dyn Stage) -> Result<()> {
    if pipeline.traits().is_replayable {
        return Ok(());
    }
    let name = stage.name();
    Err(Error::config(format!("`{name}` needs a first pass, and this source cannot be read twice"))
        .with_help("read from files, or load constants that an earlier `tidemill fit` saved"))
}

/// Checks `pipeline` against its input without running it.
///
/// # Errors
/// A configuration error, or what keeps a source from being opened.
pub fn plan(pipeline: &Pipeline, options: &OpenOptions) -> Result<Plan> {
    Plan::new(pipeline, columns(pipeline, options)?)
}

/// The columns that each source of `pipeline` gives.
///
/// # Errors
/// What keeps a source from being opened.
pub fn columns(pipeline: &Pipeline, options: &OpenOptions) -> Result<Vec<Arc<Schema>>> {
    let open = pipeline.opening(options);
    Inlets::open(pipeline, |_| Ok(open.clone()))?.schemas()
}
