//! `tidemill run`: runs a pipeline file to the end of its input.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::{Accept, DriveArgs, RunArgs};
use super::failure::{Failure, Outcome};
use super::load::{self, locate, run_options};
use super::profile::Profile;
use super::progress::Display;
use super::reload;
use super::summary::{plural, summary};
use super::timings::timings;
use super::{log, observe, output};
use tidemill_core::error::{Error, ErrorKind, PartIndex, Result};
use tidemill_core::time::parse_duration;
use tidemill_engine::atomic;
use tidemill_engine::chaos::Plan;
use tidemill_engine::notes;
use tidemill_engine::pipeline::touched::written;
use tidemill_engine::pipeline::{Guarantee, Parameters, Pipeline, Resolved, Touched};
use tidemill_engine::runtime::{Report, RunOptions, StateOptions};
use tidemill_engine::source::Recorder;

pub(super) fn run(args: &RunArgs) -> Outcome {
    log::set(&args.log);
    let resolved = load::pipeline(&args.pipeline)?;
    let options = run_options(&args.drive);
    reload::on_hangup(&args.pipeline, &resolved.pipeline, &options);
    run_resolved(args, &resolved, options, &[])
}

/// Runs a resolved pipeline with the additional outputs of the arguments; `others` must not be overwritten.
pub(super) fn run_resolved(
    args: &RunArgs,
    resolved: &Resolved,
    mut options: RunOptions,
    others: &[Touched],
) -> Outcome {
    let touched = [touched(args), others.to_vec()].concat();
    resolved.pipeline.check_touched(&touched).map_err(|error| locate(resolved, error))?;
    options.open.outputs = written(&touched).into();
    for (path, what) in [(&args.report, "the report"), (&args.profile, "the profile")] {
        path.iter().try_for_each(|path| check_aside(path, what, resolved))?;
    }
    options.state = state(args)?;
    let resolved = &under_faults(args, resolved, &mut options)?;
    // No promise is printed for a run that will be refused.
    let can_resume = resolved.pipeline.check_resumable().is_ok();
    // In a log, the run's own events have it.
    if options.state.is_some() && can_resume && !args.drive.quiet && !log::is_json() {
        let lines = deliveries(&resolved.pipeline).map_err(|error| locate(resolved, error))?;
        lines.iter().for_each(|line| output::note(line));
    }
    args.record.iter().try_for_each(|path| Recorder::check(path))?;
    options.open.record = match (&args.record, &options.state) {
        (Some(path), None) => Some(Recorder::create(path)?),
        // The checkpoint knows whether the recording was begun.
        (Some(path), Some(_)) => Some(Recorder::resumable(path)),
        (None, _) => None,
    };
    let _seen = observe::begin(args, &resolved.pipeline, &mut options)?;
    let profile = args.profile.as_deref().map(Profile::start).transpose()?;
    let mut report = drive_with(resolved, &args.drive, &options)?;
    options.open.record.map_or(Ok(()), |recorder| recorder.finish())?;
    if let Some(profile) = profile {
        profile.finish(&args.pipeline.file)?;
    }
    if args.timings {
        output::note(&timings(&report, resolved.pipeline.stages_before()));
    }
    if let Some(path) = &args.report {
        report.remarks.extend(unread());
        output::private_file(path, &report_text(&resolved.pipeline, &report))?;
    }
    report.check_complete()?;
    if report.is_paused && resolved.pipeline.traits().is_bounded {
        // Users of the output must not take it for complete.
        return Err(Error::new(ErrorKind::Interrupted, "stopped before the end of the input")
            .with_help("the same command resumes from here")
            .into());
    }
    Ok(())
}

/// Files that the arguments read and write in addition to the pipeline's.
fn touched(args: &RunArgs) -> Vec<Touched> {
    let written =
        [(&args.report, "the report"), (&args.record, "the recording"), (&args.profile, "the profile")];
    let written = written.into_iter().filter_map(|(path, role)| Some(Touched::written(path.as_ref()?, role)));
    let state = args.state.as_ref().map(Touched::state);
    written.chain(state).chain([load::read(&args.pipeline)]).collect()
}

/// The same pipeline under the faults of a chaos run, if this process is part of one.
fn under_faults(args: &RunArgs, resolved: &Resolved, options: &mut RunOptions) -> Outcome<Resolved> {
    let mut resolved = resolved.clone();
    if let Some(path) = &args.chaos_plan {
        let failed = |error| Error::io("read", path.display(), &error);
        let text = std::fs::read(path).map_err(failed)?;
        let plan: Plan = serde_json::from_slice(&text).map_err(|error| {
            Error::usage(format!("{} is not the plan of a chaos run: {error}", path.display()))
                .with_help("run it with `tidemill chaos`")
        })?;
        plan.apply(&mut resolved.pipeline, options)?;
    }
    Ok(resolved)
}

/// The delivery guarantees of a run with checkpoints, one line for each source and sink, printed before it begins.
fn deliveries(pipeline: &Pipeline) -> Result<Vec<String>> {
    let guarantees = pipeline.guarantees()?;
    let line = |guarantee: &Guarantee| {
        let (at, told) = (guarantee.sink, guarantee.told(pipeline));
        format!("delivery to sink {at} ({}): {told}", pipeline.sinks[at].spec.name())
    };
    Ok(guarantees.iter().map(line).collect())
}

/// The checkpoint options from the arguments.
fn state(args: &RunArgs) -> Outcome<Option<StateOptions>> {
    let Some(folder) = &args.state else { return Ok(None) };
    let every = parse_duration(&args.checkpoint_every).map_err(|why| {
        Error::usage(format!("--checkpoint-every: {why}")).with_help("such as 500ms, 1s or 5m")
    })?;
    Ok(Some(StateOptions {
        every: Duration::from_nanos(every.unsigned_abs()),
        accept_changes: args.accept.contains(&Accept::Changes),
        finishes: args.finish,
        takes_over: args.take_over,
        ..StateOptions::new(folder)
    }))
}

/// Fails before the run, not after it, if an additional output file cannot be written.
fn check_aside(path: &Path, what: &str, resolved: &Resolved) -> Outcome {
    if atomic::is_stdout(path) && resolved.pipeline.sinks.iter().any(|sink| sink.spec.is_stdout()) {
        return Err(Error::usage(format!("a sink and {what} both use standard output"))
            .with_help(format!("write {what} to a file"))
            .into());
    }
    output::check_file(path)
}

/// Runs a pipeline with progress and summary.
pub(super) fn drive(resolved: &Resolved, args: &DriveArgs) -> Outcome<Report> {
    drive_with(resolved, args, &run_options(args))
}

pub(super) fn drive_with(resolved: &Resolved, args: &DriveArgs, options: &RunOptions) -> Outcome<Report> {
    let mut display = Display::new(args);
    let result = resolved.pipeline.run_with(options, &mut display);
    display.finish();
    let mut report = result.map_err(|error| failure(resolved, error))?;
    if !args.quiet {
        // The report repeats this at its end: the summary may be among the lines that are not read.
        let remarks = report.remarks.len();
        report.remarks.extend(unread());
        output::told(&summary(&report, resolved.pipeline.stages_before()));
        report.remarks.truncate(remarks);
    }
    Ok(report)
}

/// A remark for the summary and the report about notes that were not read.
fn unread() -> Option<String> {
    let unread = notes::unread();
    (unread > 0).then(|| {
        format!("{} of notes were not written: nothing reads standard error", plural(unread, "line"))
    })
}

/// A closed standard output is not an error if that was the only sink.
fn failure(resolved: &Resolved, error: Error) -> Failure {
    let sinks = &resolved.pipeline.sinks;
    match error.part() {
        Some(PartIndex::Sink(0))
            if error.is_broken_pipe() && sinks.len() == 1 && sinks[0].spec.is_stdout() =>
        {
            Failure::Closed
        }
        _ => locate(resolved, error),
    }
}

fn report_text(pipeline: &Pipeline, report: &Report) -> String {
    let mut all = json!({
        "tidemill": env!("CARGO_PKG_VERSION"),
        "pipeline": parameters(pipeline),
        "report": report,
    });
    pipeline.secrets.hide_in(&mut all);
    format!("{all:#}\n")
}

/// All parameters of a pipeline, defaults included, in the shape of a pipeline file.
fn parameters(pipeline: &Pipeline) -> Value {
    let part = |name: &str, parameters: Value| {
        let mut table = json!({ "type": name });
        if let (Value::Object(table), Value::Object(more)) = (&mut table, parameters) {
            table.extend(more);
        }
        table
    };
    let Parameters { sources, stages, sinks } = pipeline.parameters();
    let sources = pipeline.sources.iter().zip(sources);
    let mut sources: Vec<_> = sources.map(|(source, options)| part(source.spec.name(), options)).collect();
    let source = if sources.len() == 1 { sources.remove(0) } else { Value::Array(sources) };
    let stages = pipeline.stages.iter().zip(stages).map(|(entry, options)| part(entry.stage.name(), options));
    let sinks = pipeline.sinks.iter().zip(sinks).map(|(sink, options)| part(sink.spec.name(), options));
    json!({ "source": source, "stage": stages.collect::<Vec<_>>(), "sink": sinks.collect::<Vec<_>>() })
}
