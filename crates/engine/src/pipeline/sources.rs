//! What the sources of a pipeline have to agree on, and what each is called.

use super::{MaxRejects, Pipeline, SourceEntry};
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
