//! `tidemill validate`: says all that is wrong with a pipeline file, or that nothing is.

use super::args::ValidateArgs;
use super::failure::Outcome;
use super::load;
use super::output;
use super::summary::plural;

pub(super) fn validate(args: &ValidateArgs) -> Outcome {
    let (resolved, plan) = load::plan(&args.pipeline)?;
    let pipeline = &resolved.pipeline;
    let several = |count: usize, name| plural(count as u64, name);
    output::data(&format!(
        "ok: {}, {}, {}; {} in, {} out\n",
        pipeline.source.name(),
        several(pipeline.stages.len(), "stage"),
        several(pipeline.sinks.len(), "sink"),
        several(plan.schemas[0].fields().len(), "column"),
        several(plan.output().fields().len(), "column"),
    ))
}
