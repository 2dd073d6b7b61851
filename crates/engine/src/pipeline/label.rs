//! What a stage is called in messages.

use super::Pipeline;
use crate::stage::Stage;

/// How messages name stage `at` of all that run: counted as `--set` does, from the first one written; by its name alone if
/// it runs before that.
pub(crate) fn stage_label(pipeline: &Pipeline, at: usize, stage: &dyn Stage) -> String {
    match at.checked_sub(pipeline.stages_before()) {
        None => stage.name().to_owned(),
        Some(at) => format!("stage {at} ({})", stage.name()),
    }
}
