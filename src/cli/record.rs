//! `tidemill record`: records the input of a pipeline.

use super::args::RecordArgs;
use super::failure::Outcome;
use super::load::{self, locate, run_options};
use super::log;
use super::run::drive_with;
use tidemill_core::format::columns::Names;
use tidemill_engine::pipeline::touched::written;
use tidemill_engine::pipeline::{Pipeline, SinkEntry, Touched};
use tidemill_engine::sink::Null;
use tidemill_engine::source::Recorder;

pub(super) fn record(args: &RecordArgs) -> Outcome {
    log::set(&args.log);
    let mut resolved = load::pipeline(&args.pipeline)?;
    let touched = [load::read(&args.pipeline), Touched::written(&args.output, "the recording")];
    resolved.pipeline.check_touched(&touched).map_err(|error| locate(&resolved, error))?;
    resolved.pipeline.stages = Vec::new();
    resolved.pipeline.sinks = nowhere(&mut resolved.pipeline);
    let mut options = run_options(&args.drive);
    options.open.outputs = written(&touched).into();
    let recorder = Recorder::create(&args.output)?;
    options.open.record = Some(recorder.clone());
    let report = drive_with(&resolved, &args.drive, &options)?;
    recorder.finish()?;
    Ok(report.check_complete()?)
}

/// A sink for each source: their columns may differ.
fn nowhere(pipeline: &mut Pipeline) -> Vec<SinkEntry> {
    let sources = pipeline.sources.iter_mut().enumerate();
    let sinks = sources.map(|(at, source)| {
        let name = source.input.name.get_or_insert_with(|| at.to_string()).clone();
        SinkEntry { from: Some(Names::One(name)), ..SinkEntry::new(Null::default()) }
    });
    sinks.collect()
}
