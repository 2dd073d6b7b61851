//! Names of stages in messages.

use super::Pipeline;
use crate::stage::Stage;

/// The name of stage `at` of all stages: numbered as in `--set`, from the first one in the file; its name alone if it is inserted before
/// those.
pub(crate) fn stage_label(pipeline: &Pipeline, at: usize, stage: &dyn Stage) -> String {
    match at.checked_sub(pipeline.stages_before()) {
        None => stage.name().to_owned(),
        Some(at) => format!("stage {at} ({})", stage.name()),
    }
}
