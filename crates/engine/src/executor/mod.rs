//! The bounded runtime: reads the input to its end, once per `Global` stage and once for the output.
//!
//! `parallel` runs on all cores; `sequential` is the one-thread loop that serves as its reference. Both pass records to a `Drain`. Memory
//! does not grow with the input: each worker has one chunk in flight.

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
#[cfg(test)]
mod outage_tests;
mod parallel;
#[cfg(test)]
mod rejection_tests;
mod sequential;
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
use crate::checkpoint::{Ending, Fence};
use crate::cuts::CutRequest;
use crate::error::guard::{caught, guarded};
use crate::error::{Error, Result};
use crate::files::patient::Patient;
use crate::notes::event::in_span;
use crate::pipeline::label::stage_label;
use crate::pipeline::{Graph, OnFailure, Pipeline, Plan, plan};
use crate::runtime::drain::{Drain, FirstPass};
use crate::runtime::effects::without_effect;
use crate::runtime::inlets::Inlets;
use crate::runtime::outlet::Outlets;
use crate::runtime::over::after_the_end;
use crate::runtime::reload::{AcceptsReloads, Reloads};
use crate::runtime::state::{State, open_state};
use crate::sensor::SharedSensors;
use crate::sink::SinkContext;
use crate::source::OpenOptions;
use crate::stage::{Reach, Stage};

pub use crate::runtime::{FirstPassReport, Observer, Rejects, Report, RunOptions, Shown};

/// Runs `pipeline` to the end of its input. Blocks the calling thread.
///
/// # Errors
/// Any error that ends the run early; then no sink has made anything visible.
pub fn run(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<Report> {
    if options.sequential && options.state.is_some() {
        return Err(Error::usage("the one-thread loop does not support checkpoints")
            .with_help("run without `sequential`, with one thread if necessary"));
    }
    options.check()?;
    let options = &options.of(pipeline);
    on_threads(options, || match options.sequential {
        true => run_by::<sequential::Pass>(pipeline, options, observer),
        false => run_by::<parallel::Pass>(pipeline, options, observer),
    })
}

/// Runs the first passes of `pipeline` and returns its stages, with the `Global` ones fitted.
///
/// # Errors
/// Any error that ends a pass early.
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

/// One pass over the input through some of the stages.
trait InputPass: Sized {
    /// Opens the sources and starts `stages`, a prefix of those of `pipeline` that was checked before, for the output of the ports `asked`.
    fn open(
        pipeline: &Pipeline,
        stages: &[Arc<dyn Stage>],
        asked: &[usize],
        options: &RunOptions,
        sensors: &Arc<SharedSensors>,
    ) -> Result<Self>;

    /// The plan that is run.
    fn plan(&self) -> &Plan;

    /// Resumes from the checkpoint in `outlets`, if any, and starts making checkpoints; then the sinks are ready.
    fn begin(&mut self, _outlets: &mut Outlets, _options: &RunOptions) -> Result<()> {
        Ok(())
    }

    /// Lets the reading take other options, until what is given is dropped; `None` where it takes none.
    fn take_reloads(&self, _pipeline: &Pipeline) -> Option<AcceptsReloads> {
        None
    }

    /// Makes the output visible at the end.
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

    /// Writes the ledgers to `report`.
    ///
    /// # Errors
    /// If the source cannot report what it has read.
    fn close(self, report: &mut Report) -> Result<()>;
}

/// Runs `act` in a pool with the number of threads in `options`.
pub fn on_threads<T: Send>(options: &RunOptions, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.unwrap_or(0))
        .build()
        .map_err(|error| Error::internal(format!("cannot start worker threads: {error}")))?;
    // A panic outside of all guards, such as in a getter of a component, ends the run and not the caller.
    pool.install(in_span(|| caught("the run", act)))
}

fn run_by<R: InputPass>(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<Report> {
    let start = Instant::now();
    let sensors = Arc::new(SharedSensors::new(pipeline.sensor_limits()));
    let mut report = Report::default();
    let mut options = options.clone();
    options.open.cuts = CutRequest::default();
    if let Some(state) = &mut options.state
        && pipeline.sinks.iter().any(|sink| sink.on_failure == Some(OnFailure::Wait))
    {
        // It is mostly the same disk.
        let (files, masks) = (Arc::clone(&state.files), pipeline.secrets.masks());
        state.files = Arc::new(Patient::new(files, &options.stop, "the state folder", masks));
    }
    let state = open_state(pipeline, &options, &sensors)?;
    match state.as_ref().and_then(State::ending) {
        None | Some(Ending::Running) => {}
        Some(ending) => return after_the_end(pipeline, &options, state, ending),
    }
    options.resume = state.as_ref().map(State::resumptions).unwrap_or_default();
    let fence = state.as_ref().map(State::fence);
    passes::<R>(pipeline, &options, &sensors, state, observer, &mut report)
        .map_err(|error| Fence::cause(fence.as_ref(), error))?;
    report.remarks.extend(without_effect(pipeline, &sensors.read()));
    report.elapsed = start.elapsed();
    report.check(&Graph::new(pipeline)?)?;
    Ok(report)
}

/// Runs the first passes and the last one.
fn passes<R: InputPass>(
    pipeline: &Pipeline,
    options: &RunOptions,
    sensors: &Arc<SharedSensors>,
    state: Option<State>,
    observer: &mut (dyn Observer + Send),
    report: &mut Report,
) -> Result<()> {
    let (early, state) = outlets_before_first_pass(pipeline, options, state)?;
    let stages = fit_stages::<R>(pipeline, options, sensors, observer, report)?;
    let asked = Graph::new(pipeline)?.asked();
    let mut reading = R::open(pipeline, &stages, &asked, options, sensors)?;
    let mut outlets =
        early.map_or_else(|| Outlets::open(pipeline, reading.plan(), state, &plain(options)), Ok)?;
    reading.begin(&mut outlets, options)?;
    let taking = reading.take_reloads(pipeline);
    reading.drive("run", observer, &mut outlets)?;
    drop(taking);
    reading.conclude(outlets, observer, report)?;
    reading.close(report)
}

/// Opens the sinks before the first pass, so that an error in opening them is reported at once and not before the last pass. If there is
/// one pass only, they are opened with it.
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

/// The context of sinks in a run without checkpoints.
fn plain(options: &RunOptions) -> SinkContext {
    let (stop, clock, cuts) =
        (Arc::clone(&options.stop), options.open.clock.clone(), options.open.cuts.clone());
    SinkContext { stop, clock, cuts, ..SinkContext::default() }
}

/// Runs the first passes. Returns `pipeline` with the fitted stages, so that one pass on either runtime is enough, and the report of the
/// first passes.
///
/// # Errors
/// Any error that ends a pass early.
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

fn fit_stages<R: InputPass>(
    pipeline: &Pipeline,
    options: &RunOptions,
    sensors: &Arc<SharedSensors>,
    observer: &mut (dyn Observer + Send),
    report: &mut Report,
) -> Result<Vec<Arc<dyn Stage>>> {
    let mut stages = plan::stages(pipeline)?;
    // A first pass has no checkpoints, so a stop is a failure. Its input is read again later, and recorded then.
    let open = OpenOptions { record: None, ..options.open.clone() };
    let reloads = Reloads::default();
    let options = &RunOptions { state: None, open, resume: Vec::new(), reloads, ..options.clone() };
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
            // Constants fitted to part of the input would be wrong without looking wrong.
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

/// Writes the fitted constants of `stage` to its `save` file.
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
        .with_help("read what can be read twice, such as a file or a table, or load constants that an earlier `tidemill fit` saved"))
}

/// Checks `pipeline` against its input without running it.
///
/// # Errors
/// A configuration error, or an error in opening a source.
pub fn plan(pipeline: &Pipeline, options: &OpenOptions) -> Result<Plan> {
    Plan::new(pipeline, columns(pipeline, options)?)
}

/// The columns of each source of `pipeline`.
///
/// # Errors
/// An error in opening a source.
pub fn columns(pipeline: &Pipeline, options: &OpenOptions) -> Result<Vec<Arc<Schema>>> {
    let open = pipeline.opening(options);
    Inlets::open(pipeline, |_| Ok(open.clone()))?.schemas()
}
