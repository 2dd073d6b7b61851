//! `tidemill replay`: runs a pipeline on a recording.

use std::path::{Path, PathBuf, absolute};

use super::args::{FileArgs, ReplayArgs};
use super::failure::Outcome;
use super::load::{self, run_options};
use super::run::run_resolved;
use tidemill_core::error::{Error, Result};
use tidemill_engine::pipeline::{Pipeline, Touched};
use tidemill_engine::source::{Recorder, is_recording};

pub(super) fn replay(args: &ReplayArgs) -> Outcome {
    let FileArgs { file, set, base } = args.run.pipeline.clone();
    let own = load::spec(&FileArgs { file: file.clone(), set: set.clone(), base: base.clone() })?.resolve();
    // What was recorded is still there to be read by others.
    let (recorded, sources) =
        own.map_or_else(|_| (Vec::new(), 1), |own| (inputs(&own.pipeline), own.pipeline.sources.len()));
    let mut played = Vec::new();
    for at in 0..sources {
        let from = recording(&args.from, at, sources)?;
        let source = if sources == 1 { "source".into() } else { format!("source.{at}") };
        played.push(format!("{source}.path={:?}", from.to_string_lossy()));
        played.push(format!("{source}.follow=false"));
    }
    let set = set.into_iter().chain(played).collect();
    let pipeline = load::pipeline(&FileArgs { file, set, base })?;
    let mut options = run_options(&args.run.drive);
    options.open.speed = speed(&args.speed)?;
    run_resolved(&args.run, &pipeline, options, &recorded)
}

/// The files that a pipeline reads when it is not played a recording.
fn inputs(pipeline: &Pipeline) -> Vec<Touched> {
    let outputs = pipeline.outputs();
    let files = pipeline.files(&outputs);
    files.map(|file| Touched::read(file, "the input that the pipeline reads otherwise")).collect()
}

/// The recording of source `at` of so many: of one, the path is that; of several, they are in a folder.
fn recording(from: &Path, at: usize, sources: usize) -> Result<PathBuf> {
    let path = if sources == 1 { from.to_owned() } else { Recorder::part_of(from, &at.to_string()) };
    check_recording(&path)?;
    absolute(&path).map_err(|error| Error::io("find", path.display(), &error))
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
