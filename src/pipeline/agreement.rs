//! How many sensors say how far the source has come (clause 22): what `agree` tells the stages.

use std::sync::Arc;

use super::Pipeline;
use crate::error::{Error, Result};
use crate::stage::Stage;
use crate::time::Agreement;

/// Tells those of `stages` that go by how far the source has come.
///
/// # Errors
/// A configuration error where `agree` is 0, or no stage goes by it.
pub(super) fn apply(pipeline: &Pipeline, stages: &mut [Arc<dyn Stage>]) -> Result<()> {
    let Some(agree) = pipeline.input.agree else { return Ok(()) };
    if agree == 0 {
        return Err(Error::config(
            "`agree` is 0, but it takes at least 1 sensor to say how far the source has come",
        )
        .with_help("write 1 or more; leave it out for a tenth of the sensors, and at least 2"));
    }
    let mut has_effect = false;
    for stage in stages {
        if let Some(agreeing) = stage.with_agreement(Agreement::Sensors(agree)) {
            (*stage, has_effect) = (agreeing, true);
        }
    }
    match has_effect {
        true => Ok(()),
        false => Err(Error::config("`agree` has no effect: no stage goes by how far the source has come")
            .with_help("leave it out; it is for `order = \"time\"`, and for `aggregate` with `every`")),
    }
}
