//! `tidemill record`: keeps the input of a pipeline as it comes.

use super::args::RecordArgs;
use super::failure::Outcome;
use super::load::{self, locate, run_options};
use super::run::drive_with;
use tidemill_engine::pipeline::touched::written;
use tidemill_engine::pipeline::{SinkEntry, Touched};
use tidemill_engine::sink::Null;
use tidemill_engine::source::Recorder;

pub(super) fn record(args: &RecordArgs) -> Outcome {
    let mut resolved = load::pipeline(&args.pipeline)?;
    let touched = [load::read(&args.pipeline), Touched::written(&args.output, "the recording")];
    resolved.pipeline.check_touched(&touched).map_err(|error| locate(&resolved, error))?;
    resolved.pipeline.stages = Vec::new();
    resolved.pipeline.sinks = vec![SinkEntry::new(Null::default())];
    let mut options = run_options(&args.drive);
    options.open.outputs = written(&touched).into();
    let recorder = Recorder::create(&args.output)?;
    options.open.record = Some(recorder.clone());
    let report = drive_with(&resolved, &args.drive, &options)?;
    recorder.finish()?;
    Ok(report.check_complete()?)
}
