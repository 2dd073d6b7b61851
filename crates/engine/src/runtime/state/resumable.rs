//! Which pipelines can resume after a restart.

use crate::error::guard::guarded;
use crate::error::{Error, PartIndex, Result};
use crate::pipeline::sources::source_label;
use crate::pipeline::{Pipeline, SourceEntry};
use crate::sink::Repeat;

/// # Errors
/// A configuration error if a part of `pipeline` cannot resume.
pub(super) fn check(pipeline: &Pipeline) -> Result<()> {
    check_sources(pipeline)?;
    check_stages(pipeline)?;
    check_sinks(pipeline)
}

impl Pipeline {
    /// Checks that each of its parts can take part in a run with checkpoints.
    ///
    /// # Errors
    /// A configuration error that names the part.
    pub fn check_resumable(&self) -> Result<()> {
        check(self)
    }
}

/// A source that would read all its input again, into sinks that resume, is refused.
fn check_sources(pipeline: &Pipeline) -> Result<()> {
    for (at, SourceEntry { spec, .. }) in pipeline.sources.iter().enumerate() {
        let label = source_label(pipeline, at);
        ask(&label, PartIndex::Source(at), || spec.check_resumable())?;
        if spec.traits().is_replayable && !spec.can_resume() {
            return Err(Error::config(format!("the {label} cannot resume after a restart"))
                .with_help("read csv or jsonl, or run without --state")
                .with_part(PartIndex::Source(at)));
        }
    }
    Ok(())
}

fn check_stages(pipeline: &Pipeline) -> Result<()> {
    let stages = pipeline.stages.iter().enumerate();
    stages.map(|(at, entry)| (at, &entry.stage)).try_for_each(|(at, stage)| {
        ask(&format!("stage {at} ({})", stage.name()), PartIndex::Stage(at), || stage.check_resumable())
    })
}

/// Asks a part itself.
fn ask(label: &str, part: PartIndex, check: impl FnOnce() -> Result<()>) -> Result<()> {
    guarded(label, check).map_err(|error| error.with_part(part))
}

/// A sink whose output would be lost or incomplete after a restart is refused.
fn check_sinks(pipeline: &Pipeline) -> Result<()> {
    for (at, sink) in pipeline.sinks.iter().enumerate() {
        let name = sink.spec.name();
        ask(&format!("sink {at} ({name})"), PartIndex::Sink(at), || sink.spec.check_resumable())?;
        if !sink.spec.can_resume() && !sink.spec.delivers() && sink.spec.repeat() == Repeat::Harmless {
            let what = format!("sink {at} ({name}) cannot resume its file after a restart");
            return Err(Error::config(what)
                .with_help(match name {
                    "parquet" => "write rolling files: `roll = { every = \"1h\" }` with a path such as `out/{date}/{hour}-{epoch}.parquet`; or run without --state",
                    _ => "write csv or jsonl, or run without --state",
                })
                .with_part(PartIndex::Sink(at)));
        }
    }
    Ok(())
}
