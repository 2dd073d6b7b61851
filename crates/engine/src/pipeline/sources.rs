//! Checks across the sources of a pipeline, and their names.

use std::sync::Arc;

use super::{MaxRejects, Order, Pipeline, SourceEntry};
use crate::batch::Schema;
use crate::error::{Error, PartIndex, Result};
use crate::source::exclude;

/// The name of source `at` in messages: includes its own name if there are several.
pub(crate) fn source_label(pipeline: &Pipeline, at: usize) -> String {
    let SourceEntry { spec, input } = &pipeline.sources[at];
    match (&input.name, pipeline.sources.len()) {
        (_, 1) => format!("source ({})", spec.name()),
        (Some(name), _) => format!("source {name} ({})", spec.name()),
        (None, _) => format!("source {at} ({})", spec.name()),
    }
}

/// The file name for the recording of source `at`, if several are recorded: the name of the source, if it is usable.
pub fn recording_name(pipeline: &Pipeline, at: usize) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = pipeline.sources[at].input.name.as_deref();
    // A source without a usable name gets its number.
    let fits = |name: &&str| name.len() <= 100 && name.chars().all(is_plain) && name.parse::<u64>().is_err();
    name.filter(fits).map_or_else(|| at.to_string(), str::to_owned)
}

/// Checks the common options of all sources.
///
/// # Errors
/// A configuration error that names the source.
pub(super) fn check(pipeline: &Pipeline) -> Result<()> {
    for (at, source) in pipeline.sources.iter().enumerate() {
        check_one(source)
            .and_then(|()| check_beside_others(pipeline, source))
            .map_err(|error| error.with_part(PartIndex::Source(at)))?;
    }
    Ok(())
}

fn check_one(SourceEntry { input, .. }: &SourceEntry) -> Result<()> {
    input.max_ahead()?;
    match input.max_rejects {
        // A fraction is between 0 and 1.
        Some(MaxRejects::Share(share)) if !(0.0..=1.0).contains(&share) => {
            Err(Error::config(format!("`max_rejects` {share} is neither a count nor a fraction"))
                .with_help("write a count such as 100, or a fraction from 0.0 to 1.0 such as 0.01"))
        }
        _ => Ok(()),
    }
}

/// The sources that are merged by time.
pub(crate) fn merged(pipeline: &Pipeline) -> impl Iterator<Item = usize> {
    let sources = pipeline.sources.iter().enumerate();
    sources.filter(|(_, source)| source.input.merge.is_some()).map(|(at, _)| at)
}

/// Checks that the sources with `merge`, whose records have the columns `inputs`, can be merged.
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
                _ if all.len() == 1 => {
                    wrong("needs another source with this option", "give it to each source to be merged")
                }
                _ if !spec.traits().is_bounded => wrong(
                    "needs a bounded input",
                    "unbounded sources are read together in the order of arrival",
                ),
                _ if inputs[at].time().is_none() => wrong("needs a time column", "name it in `time`"),
                _ if input.order == Order::NewestFirst => {
                    wrong("cannot be combined with `order = \"newest_first\"`", "leave one of them out")
                }
                Some(times) if times.day_clock().is_some() => wrong(
                    "cannot be combined with times of day",
                    "their day is only known when they have been read: leave it out",
                ),
                _ => Ok(()),
            }
        };
        check().map_err(|error| error.with_part(PartIndex::Source(at)))?;
    }
    Ok(())
}

/// Checks that no two sources read an input that only one can read. Called before any source is opened: opening may take an address, or wait for standard input.
///
/// # Errors
/// A configuration error that names both.
pub(crate) fn check_exclusive(pipeline: &Pipeline) -> Result<()> {
    let all = pipeline.sources.iter().enumerate();
    let all = all.flat_map(|(at, source)| source.spec.exclusive().into_iter().map(move |what| (at, what)));
    let all: Vec<_> = all.collect();
    for (place, (at, what)) in all.iter().enumerate() {
        let before = all[..place].iter().find(|(before, other)| before != at && exclude(other, what));
        if let Some((before, _)) = before {
            let (one, other) = (source_label(pipeline, *before), source_label(pipeline, *at));
            let what = if what == "-" { "standard input" } else { what };
            return Err(Error::config(format!("{one} and {other} both read {what}"))
                .with_help("what arrives there can be read only once: give one of them another `path`; or use one source, which several parts name in `from`")
                .with_part(PartIndex::Source(*at)));
        }
    }
    Ok(())
}

/// Checks options that apply to the run as a whole, and so cannot differ between sources.
fn check_beside_others(pipeline: &Pipeline, SourceEntry { input, .. }: &SourceEntry) -> Result<()> {
    if pipeline.sources.len() > 1 && input.idle_sensors.is_some() {
        return Err(Error::config("`idle_sensors` needs a pipeline of one source")
            .with_help("leave it out, or run a pipeline of its own for this source"));
    }
    let limits = pipeline.sources.iter().filter_map(|other| other.input.max_rejects);
    match input.max_rejects.zip(limits.clone().next()) {
        Some((own, first)) if own != first => Err(Error::config("`max_rejects` differs between sources")
            .with_help("it limits the run as a whole: write it once, or the same for each")),
        _ => Ok(()),
    }
}
