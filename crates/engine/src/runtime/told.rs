//! Events at both ends of a run.

use super::{Report, RunOptions};
use crate::error::{Error, Result};
use crate::notes::Event;
use crate::pipeline::Pipeline;
use crate::pipeline::sources::source_label;

/// The run begins. With checkpoints, says what is guaranteed between each source and each sink, unless the run will be refused.
pub(crate) fn started(pipeline: &Pipeline, options: &RunOptions) {
    let masks = pipeline.secrets.masks();
    let Some(state) = &options.state else {
        return Event::info("started").say(masks, "the run begins, without checkpoints");
    };
    let folder = state.folder.display();
    Event::info("started").say(masks, &format!("the run begins, with checkpoints in {folder}"));
    if pipeline.check_resumable().is_err() {
        return;
    }
    for guarantee in pipeline.guarantees().into_iter().flatten() {
        let source = source_label(pipeline, guarantee.source);
        let sink = format!("sink {} ({})", guarantee.sink, pipeline.sinks[guarantee.sink].spec.name());
        let told = format!("delivery to {sink}: {}", guarantee.told(pipeline));
        Event::info("guarantee").part(&source).part(&sink).say(masks, &told);
    }
}

/// The run has ended with this result.
pub(crate) fn ended(pipeline: &Pipeline, result: &Result<Report>) {
    let masks = pipeline.secrets.masks();
    match result {
        Ok(report) => {
            let seconds = report.elapsed.as_secs_f64();
            let event = Event::info("ended").records(report.records()).bytes(report.bytes).seconds(seconds);
            let records = report.records();
            let told = match report.is_paused {
                true => format!("the run is paused after {records} records: the same command resumes it"),
                false => format!("the run has ended after {records} records"),
            };
            event.say(masks, &told);
        }
        Err(error) => failed(pipeline, error),
    }
}

fn failed(pipeline: &Pipeline, error: &Error) {
    Event::error("failed").caused_by(error).say(pipeline.secrets.masks(), &error.to_string());
}
