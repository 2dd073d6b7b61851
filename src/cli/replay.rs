//! `tidemill replay`: runs a pipeline on a recording.

use std::path::{Path, absolute};

use super::args::{FileArgs, ReplayArgs};
use super::failure::Outcome;
use super::load::{self, run_options};
use super::run::run_resolved;
use tidemill_core::error::{Error, Result};
use tidemill_engine::pipeline::{Pipeline, Touched};
use tidemill_engine::source::is_recording;

pub(super) fn replay(args: &ReplayArgs) -> Outcome {
    check_recording(&args.from)?;
    let FileArgs { file, set, base } = args.run.pipeline.clone();
    let from = absolute(&args.from).map_err(|error| Error::io("find", args.from.display(), &error))?;
    let played = [format!("source.path={:?}", from.to_string_lossy()), "source.follow=false".into()];
    // What was recorded is still there to be read by others.
    let recorded =
        load::spec(&FileArgs { file: file.clone(), set: set.clone(), base: base.clone() })?.resolve();
    let recorded = recorded.map_or_else(|_| Vec::new(), |own| inputs(&own.pipeline));
    let set = set.into_iter().chain(played).collect();
    let pipeline = load::pipeline(&FileArgs { file, set, base })?;
    let mut options = run_options(&args.run.drive);
    options.open.speed = speed(&args.speed)?;
    run_resolved(&args.run, &pipeline, options, &recorded)
}

/// The files that a pipeline reads when it is not played a recording.
fn inputs(pipeline: &Pipeline) -> Vec<Touched> {
    let files = pipeline.source.files(&pipeline.outputs()).into_iter();
    files.map(|file| Touched::read(file, "the input that the pipeline reads otherwise")).collect()
}

/// Anything else would be read as if it had been recorded.
fn check_recording(path: &Path) -> Result<()> {
    path.metadata().map_err(|error| Error::io("read", path.display(), &error))?;
    if is_recording(path) {
        return Ok(());
    }
    Err(Error::data(format!("{} is no recording", path.display())).with_help(
        "make one with `tidemill record` or `run --record`; other input is the business of `tidemill run`",
    ))
}

/// How many times as fast as it came in; `None` for as fast as possible.
fn speed(text: &str) -> Result<Option<f64>> {
    match text.trim_end_matches('x').parse::<f64>() {
        _ if text == "max" => Ok(None),
        Ok(speed) if speed > 0.0 && speed.is_finite() => Ok(Some(speed)),
        _ => Err(Error::usage(format!("--speed {text}: neither `max` nor a number above 0"))
            .with_help("1 plays it as fast as it came in, 60 a minute of it in a second")),
    }
}
