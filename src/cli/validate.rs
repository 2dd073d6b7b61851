//! `tidemill validate`: reports all mistakes of a pipeline file.

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
    let sources = pipeline.sources.iter().map(|source| source.spec.name()).collect::<Vec<_>>().join(", ");
    let mut read: Vec<_> =
        plan.schemas[..pipeline.sources.len()].iter().map(|schema| schema.fields().len()).collect();
    read.dedup();
    let read = match read[..] {
        [one] => several(one, "column"),
        _ => format!("{} columns", read.iter().map(usize::to_string).collect::<Vec<_>>().join(" and ")),
    };
    output::data(&format!(
        "ok: {sources}, {}, {}; {read} in, {out} out\n",
        several(pipeline.stages.len(), "stage"),
        several(pipeline.sinks.len(), "sink"),
    ))
}
