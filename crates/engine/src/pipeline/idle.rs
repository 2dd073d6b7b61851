//! Sensors that are given up when they have been idle: what `idle_sensors` asks for (clause 27).

use std::sync::Arc;

use super::Pipeline;
use super::label::stage_label;
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::stage::Stage;
use crate::time::parse_duration;

/// By how much a sensor is quiet before it is given up, in nanoseconds.
///
/// # Errors
/// A configuration error where that is no duration.
pub(crate) fn bound(pipeline: &Pipeline) -> Result<Option<i64>> {
    let Some(text) = pipeline.idle_sensors() else { return Ok(None) };
    let help = "say how long a sensor may be idle, such as `idle_sensors = \"7d\"`";
    let bound = parse_duration(text);
    bound.map(Some).map_err(|why| Error::config(format!("`idle_sensors`: {why}")).with_help(help))
}

/// Checks that all stages can forget a sensor.
///
/// # Errors
/// A configuration error that names the one that cannot, or where there is no time to go by.
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
            Err(Error::config(format!("`idle_sensors` does not go with {label}, which forgets no sensor"))
                .with_help("leave one of them out"))
        }
    }
}
