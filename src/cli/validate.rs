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
    let mut columns: Vec<_> =
        (0..pipeline.sinks.len()).map(|at| plan.into_sink(at).fields().len().to_string()).collect();
    columns.dedup();
    let out = match columns.as_slice() {
        [one] if one == "1" => "1 column".to_owned(),
        all => format!("{} columns", all.join(" and ")),
    };
    output::data(&format!(
        "ok: {}, {}, {}; {} in, {out} out\n",
        pipeline.source.name(),
        several(pipeline.stages.len(), "stage"),
        several(pipeline.sinks.len(), "sink"),
        several(plan.schemas[0].fields().len(), "column"),
    ))
}
