//! `tidemill replay`: runs a pipeline on a recording.

use std::path::{Path, PathBuf, absolute};

use super::args::{FileArgs, ReplayArgs};
use super::failure::Outcome;
use super::load::{self, run_options};
use super::log;
use super::run::run_resolved;
use tidemill_core::error::{Error, Result};
use tidemill_engine::pipeline::sources::recording_name;
use tidemill_engine::pipeline::{Pipeline, Touched};
use tidemill_engine::source::{Recorder, is_recording};

pub(super) fn replay(args: &ReplayArgs) -> Outcome {
    log::set(&args.run.log);
    let FileArgs { file, set, base } = args.run.pipeline.clone();
    let own = load::spec(&FileArgs { file: file.clone(), set: set.clone(), base: base.clone() })?.resolve();
    // The original input must not be overwritten.
    let own = own.ok().map(|own| own.pipeline);
    let recorded = own.as_ref().map_or_else(Vec::new, inputs);
    let set = set.into_iter().chain(played(&args.from, own.as_ref())?).collect();
    let pipeline = load::pipeline(&FileArgs { file, set, base })?;
    let mut options = run_options(&args.run.drive);
    options.open.speed = speed(&args.speed)?;
    run_resolved(&args.run, &pipeline, options, &recorded)
}

/// The overrides that put the recording `from` in the place of the input of the pipeline, which is `own` where it can be had.
pub(super) fn played(from: &Path, own: Option<&Pipeline>) -> Result<Vec<String>> {
    let recordings = own.map_or_else(|| Ok(vec![from.to_owned()]), |own| recordings(from, own))?;
    let (sources, mut played) = (recordings.len(), Vec::new());
    for (at, from) in recordings.iter().enumerate() {
        check_recording(from)?;
        let from = absolute(from).map_err(|error| Error::io("find", from.display(), &error))?;
        let source = if sources == 1 { "source".into() } else { format!("source.{at}") };
        played.push(format!("{source}.path={:?}", from.to_string_lossy()));
        played.push(format!("{source}.follow=false"));
    }
    Ok(played)
}

/// The files that the pipeline reads without a recording.
fn inputs(pipeline: &Pipeline) -> Vec<Touched> {
    let outputs = pipeline.outputs();
    let files = pipeline.files(&outputs);
    files.map(|file| Touched::read(file, "the pipeline's own input")).collect()
}

/// The recording of each source: with one source, `from` itself; with several, files in the folder `from`, named after the sources.
fn recordings(from: &Path, pipeline: &Pipeline) -> Result<Vec<PathBuf>> {
    let count = pipeline.sources.len();
    if count == 1 {
        return Ok(vec![from.to_owned()]);
    }
    let paths: Vec<_> = (0..count).map(|at| Recorder::part_of(from, &recording_name(pipeline, at))).collect();
    let failed = |error| Error::io("read", from.display(), &error);
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_recording(&path) && !paths.iter().any(|known| known.file_name() == path.file_name()) {
            let what =
                format!("{} is the recording of a source that the pipeline does not have", path.display());
            return Err(Error::config(what)
                .with_help("replay it with the sources that were recorded, under the same names"));
        }
    }
    Ok(paths)
}

/// Any other file would be read as plain input.
fn check_recording(path: &Path) -> Result<()> {
    path.metadata().map_err(|error| Error::io("read", path.display(), &error))?;
    if is_recording(path) {
        return Ok(());
    }
    Err(Error::data(format!("{} is not a recording", path.display()))
        .with_help("make one with `tidemill record` or `run --record`; use `tidemill run` for other input"))
}

/// The multiple of the original speed; `None` for as fast as possible.
fn speed(text: &str) -> Result<Option<f64>> {
    match text.trim_end_matches('x').parse::<f64>() {
        _ if text == "max" => Ok(None),
        Ok(speed) if speed > 0.0 && speed.is_finite() => Ok(Some(speed)),
        _ => Err(Error::usage(format!("--speed {text}: neither `max` nor a number above 0"))
            .with_help("1 replays at the original speed, 60 replays a minute in a second")),
    }
}
