//! The bounded runtime: reads the input to its end, once for every `Global` stage and once for the output.
//!
//! One thread, in a loop that is plainly right: chunk by chunk, decode, every stage, every sink.
//! Memory does not grow with the input: one chunk is in flight.

mod limit;
mod outlet;
mod pass;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::{Error, ErrorKind, Part, Result};
use crate::pipeline::{Pipeline, Plan, plan};
use crate::sensor::Sensors;
use crate::source::{OpenOptions, Progress};
use crate::stage::Stage;

use outlet::Outlets;
use pass::Pass;
pub use report::{Rejects, Report, Shown};

/// How a pipeline is run, as opposed to what it does: nothing here changes the output.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Threads for what is done in parallel (encoding the columns of Parquet files); the machine's cores where `None`.
    pub threads: Option<usize>,
    /// How the input is opened.
    pub open: OpenOptions,
    /// Set it to stop the run at the next chunk.
    pub stop: Arc<AtomicBool>,
}

/// Is told how a run goes on.
pub trait Observer {
    /// A piece of the input has been processed. `pass` counts from 0 of `passes` (at least).
    fn progress(&mut self, _pass: &str, _progress: Progress, _records: u64) {}
}

/// Whoever does not want to know.
impl Observer for () {}

/// Runs `pipeline` to the end of its input.
///
/// # Errors
/// Whatever ends the run early; then no sink has made anything visible.
pub fn run(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut (dyn Observer + Send),
) -> Result<Report> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.unwrap_or(0))
        .build()
        .map_err(|error| Error::internal(format!("no threads to work with: {error}")))?;
    pool.in_place_scope(|_| run_on_this_thread(pipeline, options, observer))
}

fn run_on_this_thread(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Report> {
    let start = Instant::now();
    let mut sensors = Sensors::with_limit(pipeline.input.max_sensors);
    let mut report = Report::default();
    let stages = fit_stages(pipeline, options, &mut sensors, observer, &mut report)?;
    let mut pass = Pass::open(pipeline, &stages, options, &mut sensors)?;
    let mut outlets = Outlets::open(pipeline, pass.output())?;
    let result = pass.drive("run", observer, &mut outlets);
    pass.close(&mut report);
    result?;
    outlets.finish(&mut report)?;
    report.sensors = sensors.len() as u64;
    report.elapsed = start.elapsed();
    report.check()?;
    Ok(report)
}

/// Runs the first passes of `pipeline` and gives its stages, the `Global` ones with their constants.
///
/// # Errors
/// Whatever ends a pass early.
pub fn fit(
    pipeline: &Pipeline,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<(Vec<Arc<dyn Stage>>, Report)> {
    let start = Instant::now();
    let mut sensors = Sensors::with_limit(pipeline.input.max_sensors);
    let mut report = Report::default();
    let stages = fit_stages(pipeline, options, &mut sensors, observer, &mut report)?;
    report.sensors = sensors.len() as u64;
    report.elapsed = start.elapsed();
    Ok((stages, report))
}

fn fit_stages(
    pipeline: &Pipeline,
    options: &RunOptions,
    sensors: &mut Sensors,
    observer: &mut dyn Observer,
    report: &mut Report,
) -> Result<Vec<Arc<dyn Stage>>> {
    let mut stages = plan::stages(pipeline)?;
    for at in 0..stages.len() {
        if stages[at].reach() != crate::stage::Reach::Global {
            continue;
        }
        if !pipeline.source.traits().is_replayable {
            return Err(Error::config(format!(
                "`{}` needs a first pass, and this source cannot be read twice",
                stages[at].name()
            ))
            .with_help("read from files, or load constants that an earlier `tidemill fit` saved"));
        }
        let input = &plan(pipeline, &options.open)?.schemas[at];
        let Some(mut fit) = stages[at].fit(input)? else { continue };
        loop {
            let mut pass = Pass::open(pipeline, &stages[..at], options, sensors)?;
            pass.drive("fit", observer, &mut *fit)?;
            pass.close(report);
            if let Some(fitted) = fit.finish(sensors)? {
                stages[at] = Arc::from(fitted.stage);
                report.remarks.extend(fitted.remarks);
                break;
            }
        }
        report.forget_records();
    }
    Ok(stages)
}

/// The error of a run that was asked to stop.
fn check_stop(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) {
        return Err(Error::new(ErrorKind::Interrupted, "stopped before the end of the input")
            .with_help("nothing was written"));
    }
    Ok(())
}

/// Checks `pipeline` against its input without running it.
///
/// # Errors
/// A configuration error, or what keeps the source from being opened.
pub fn plan(pipeline: &Pipeline, options: &OpenOptions) -> Result<Plan> {
    let source = pipeline.source.open(options).map_err(|error| error.with_part(Part::Source))?;
    Plan::new(pipeline, Arc::clone(source.schema()))
}
