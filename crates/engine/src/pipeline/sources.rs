//! What the sources of a pipeline have to agree on, and what each is called.

use std::sync::Arc;

use super::{MaxRejects, Order, Pipeline, SourceEntry};
use crate::batch::Schema;
use crate::error::{Error, Part, Result};

/// How messages name source `at`: by its name, if there are several.
pub(crate) fn source_label(pipeline: &Pipeline, at: usize) -> String {
    let SourceEntry { spec, input } = &pipeline.sources[at];
    match (&input.name, pipeline.sources.len()) {
        (_, 1) => format!("source ({})", spec.name()),
        (Some(name), _) => format!("source {name} ({})", spec.name()),
        (None, _) => format!("source {at} ({})", spec.name()),
    }
}

/// What the recording of source `at` is called, where several are recorded: after the source, where its name can be that of a file.
pub fn recording_name(pipeline: &Pipeline, at: usize) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = pipeline.sources[at].input.name.as_deref();
    // A number stands for a source without a name.
    let fits = |name: &&str| name.len() <= 100 && name.chars().all(is_plain) && name.parse::<u64>().is_err();
    name.filter(fits).map_or_else(|| at.to_string(), str::to_owned)
}

/// Checks the options that hold for any source, each by itself and all together.
///
/// # Errors
/// A configuration error that names the source.
pub(super) fn check(pipeline: &Pipeline) -> Result<()> {
    for (at, source) in pipeline.sources.iter().enumerate() {
        check_one(source)
            .and_then(|()| check_beside_others(pipeline, source))
            .map_err(|error| error.with_part(Part::Source(at)))?;
    }
    Ok(())
}

fn check_one(SourceEntry { input, .. }: &SourceEntry) -> Result<()> {
    input.max_ahead()?;
    match input.max_rejects {
        // A share of rejects is one: from 0 to 1.
        Some(MaxRejects::Share(share)) if !(0.0..=1.0).contains(&share) => {
            Err(Error::config(format!("`max_rejects` {share} is neither a count nor a share"))
                .with_help("write a count such as 100, or a share from 0.0 to 1.0 such as 0.01"))
        }
        _ => Ok(()),
    }
}

/// The sources that are read together by time.
pub(crate) fn merged(pipeline: &Pipeline) -> impl Iterator<Item = usize> {
    let sources = pipeline.sources.iter().enumerate();
    sources.filter(|(_, source)| source.input.merge.is_some()).map(|(at, _)| at)
}

/// Checks that sources, the records of which have the columns `inputs`, can be read together by time where that is asked for.
///
/// # Errors
/// A configuration error that names the source.
pub(super) fn check_merged(pipeline: &Pipeline, inputs: &[Arc<Schema>]) -> Result<()> {
    let all: Vec<_> = merged(pipeline).collect();
    for &at in &all {
        let check = || {
            let SourceEntry { spec, input } = &pipeline.sources[at];
            let wrong = |why: &str, help: &str| Err(Error::config(format!("`merge` {why}")).with_help(help));
            match spec.times()? {
                _ if all.len() == 1 => wrong(
                    "needs another source that has it",
                    "write it in each of those that are read together",
                ),
                _ if !spec.traits().is_bounded => wrong(
                    "needs an input that ends",
                    "sources that do not end are read together as their records come",
                ),
                _ if inputs[at].time().is_none() => wrong("needs a time column", "name it in `time`"),
                _ if input.order == Order::NewestFirst => {
                    wrong("does not go with `order = \"newest_first\"`", "leave one of them out")
                }
                Some(times) if times.day_clock().is_some() => wrong(
                    "does not go with times of day",
                    "which day they are of is known when they have been read: leave it out",
                ),
                _ => Ok(()),
            }
        };
        check().map_err(|error| error.with_part(Part::Source(at)))?;
    }
    Ok(())
}

/// What holds for the run as a whole cannot be another for each source.
fn check_beside_others(pipeline: &Pipeline, SourceEntry { input, .. }: &SourceEntry) -> Result<()> {
    if pipeline.sources.len() > 1 && input.idle_sensors.is_some() {
        return Err(Error::config("`idle_sensors` needs a pipeline of one source")
            .with_help("leave it out, or run a pipeline of its own for this source"));
    }
    let limits = pipeline.sources.iter().filter_map(|other| other.input.max_rejects);
    match input.max_rejects.zip(limits.clone().next()) {
        Some((own, first)) if own != first => {
            Err(Error::config("`max_rejects` is not the same for all sources that have it")
                .with_help("it limits the run as a whole: write it once, or the same in each"))
        }
        _ => Ok(()),
    }
}
