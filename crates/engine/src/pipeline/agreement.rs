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
    let mut has_effect = pipeline.input.idle_sensors.is_some();
    for stage in stages {
        if let Some(agreeing) = stage.with_agreement(Agreement::Sensors(agree)) {
            (*stage, has_effect) = (agreeing, true);
        }
    }
    match has_effect {
        true => Ok(()),
        false => Err(Error::config("`agree` has no effect: no stage goes by how far the source has come")
            .with_help(
                "leave it out; it is for `order = \"time\"`, `aggregate` with `every` and `idle_sensors`",
            )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::stages;
    use super::super::{InputOptions, Order, Pipeline};
    use crate::sink::Null;
    use crate::source::Synthetic;
    use crate::stage::{Aggregate, Threshold};

    fn with(input: InputOptions, every: Option<&str>) -> Result<usize, String> {
        let stage = Aggregate { every: every.map(str::to_owned), ..Aggregate::default() };
        let pipeline = Pipeline::builder()
            .source(Synthetic::default())
            .input(input)
            .stage(Threshold::between(0.0, 1.0))
            .stage(stage)
            .sink(Null::default())
            .build()
            .map_err(|error| error.to_string())?;
        stages(&pipeline).map(|stages| stages.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn agree_is_for_stages_that_go_by_how_far_the_source_has_come() {
        let agree = |agree| InputOptions { agree: Some(agree), ..InputOptions::default() };
        assert_eq!(with(agree(3), Some("1h")), Ok(2));
        assert!(with(agree(3), None).expect_err("nobody").contains("`agree` has no effect"));
        assert!(with(agree(0), Some("1h")).expect_err("too few").contains("at least 1"));
        let sorted = InputOptions { order: Order::Time, disorder: Some("5s".into()), ..agree(1) };
        assert_eq!(with(sorted, None), Ok(3));
    }
}
