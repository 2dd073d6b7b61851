//! The number of sensors that determine the watermark (clause 22): passes `agree` to the stages.

use std::sync::Arc;

use super::Pipeline;
use super::leading::leading;
use crate::error::{Error, PartIndex, Result};
use crate::stage::Stage;
use crate::time::Agreement;

/// Passes `agree` to those of `stages` that depend on the watermark.
///
/// # Errors
/// A configuration error if `agree` is 0, or no stage depends on the watermark.
pub(super) fn apply(pipeline: &Pipeline, stages: &mut [Arc<dyn Stage>]) -> Result<()> {
    let given =
        pipeline.sources.iter().enumerate().filter_map(|(at, source)| Some((at, source.input.agree?)));
    let given: Vec<_> = given.collect();
    given
        .iter()
        .try_for_each(|&(at, agree)| check(agree).map_err(|error| error.with_part(PartIndex::Source(at))))?;
    let Some(&(first, agree)) = given.first() else { return Ok(()) };
    let (own, joined) = stages.split_at_mut(pipeline.stages_before());
    let mut own = own.iter_mut();
    let mut has_effect = pipeline.idle_sensors().is_some();
    for source in &pipeline.sources {
        let count = leading(source).map_or(0, |stages| stages.len());
        for stage in own.by_ref().take(count) {
            has_effect |= source.input.agree.is_some_and(|agree| tell(stage, agree));
        }
    }
    for stage in joined {
        let is_told = tell(stage, agree);
        has_effect |= is_told;
        // A stage has one watermark, whatever sources feed it.
        let other = given.iter().find(|(_, other)| *other != agree);
        if let Some((at, other)) = other.filter(|_| is_told) {
            return Err(Error::config(format!("`agree` is {agree} for one source and {other} for another"))
                .with_help("give both the same: `aggregate` has one watermark for all of them")
                .with_part(PartIndex::Source(*at)));
        }
    }
    match has_effect {
        true => Ok(()),
        false => Err(Error::config("`agree` has no effect: no stage depends on the watermark")
            .with_help(
                "leave it out; it is for `order = \"time\"`, `aggregate` with `every` and `idle_sensors`",
            )
            .with_part(PartIndex::Source(first))),
    }
}

fn check(agree: usize) -> Result<()> {
    match agree {
        0 => {
            let what = "`agree` is 0, but at least 1 sensor must determine the watermark";
            Err(Error::config(what)
                .with_help("write 1 or more; leave it out for a tenth of the sensors, and at least 2"))
        }
        _ => Ok(()),
    }
}

/// Passes `agree` to a stage, if it depends on the watermark; returns whether it does.
fn tell(stage: &mut Arc<dyn Stage>, agree: usize) -> bool {
    let agreeing = stage.with_agreement(Agreement::Sensors(agree));
    let goes_by_it = agreeing.is_some();
    agreeing.into_iter().for_each(|agreeing| *stage = agreeing);
    goes_by_it
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
