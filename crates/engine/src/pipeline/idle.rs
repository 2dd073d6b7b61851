//! Giving up idle sensors, as `idle_sensors` says (clause 27).

use std::sync::Arc;

use super::Pipeline;
use super::label::stage_label;
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::stage::Stage;
use crate::time::parse_duration;

/// How long a sensor is quiet before it is given up, in nanoseconds.
///
/// # Errors
/// A configuration error if it is not a duration.
pub(crate) fn bound(pipeline: &Pipeline) -> Result<Option<i64>> {
    let Some(text) = pipeline.idle_sensors() else { return Ok(None) };
    let help = "say how long a sensor may be idle, such as `idle_sensors = \"7d\"`";
    let bound = parse_duration(text);
    bound.map(Some).map_err(|why| Error::config(format!("`idle_sensors`: {why}")).with_help(help))
}

/// Checks that all stages can discard the state of a sensor.
///
/// # Errors
/// A configuration error that names a stage that cannot, or if there is no time column.
pub(super) fn check(pipeline: &Pipeline, stages: &[Arc<dyn Stage>], input: &Schema) -> Result<()> {
    if bound(pipeline)?.is_none() {
        return Ok(());
    }
    if input.time().is_none() {
        return Err(
            Error::config("`idle_sensors` needs a time column").with_help("name it in [source] `time`")
        );
    }
    match stages.iter().enumerate().find(|(_, stage)| !stage.gives_up()) {
        None => Ok(()),
        Some((at, stage)) => {
            let label = stage_label(pipeline, at, &**stage);
            Err(Error::config(format!(
                "`idle_sensors` cannot be combined with {label}, which cannot discard the state of a sensor"
            ))
            .with_help("leave one of them out"))
        }
    }
}
