//! The parts of a pipeline as a checkpoint records them, and how they differ between two pipelines.

use super::loaded::Loaded;
use crate::checkpoint::{Change, PartSpec, changes, moved};
use crate::pipeline::leading::leading;
use crate::pipeline::secrets::Key;
use crate::pipeline::sources::source_label;
use crate::pipeline::{Parameters, Pipeline};

/// All parts of `pipeline`, with what the stages have `loaded`, and with fingerprints under `key` for values from the environment.
pub(super) fn parts(pipeline: &Pipeline, key: &Key, loaded: &[Option<Loaded>]) -> Vec<PartSpec> {
    let part = |place: String, name: &str, options: &serde_json::Value| PartSpec {
        place,
        name: name.to_owned(),
        options: options.to_string(),
    };
    let Parameters { sources, mut stages, sinks } = pipeline.parameters_with(Some(key));
    for (options, loaded) in stages.iter_mut().zip(loaded) {
        if let (Some(options), Some(Loaded { name, crc })) = (options.as_object_mut(), loaded) {
            options.insert(name.clone(), format!("{crc:08x}").into());
        }
    }
    let mut parts = Vec::new();
    for (at, (entry, options)) in pipeline.sources.iter().zip(&sources).enumerate() {
        let place = if sources.len() == 1 { "source".into() } else { source_label(pipeline, at) };
        parts.push(part(place, entry.spec.name(), options));
    }
    for (entry, source) in pipeline.sources.iter().zip(&sources) {
        parts.extend(leading(entry).unwrap_or_default().iter().map(|stage| {
            // Their options are the source's, and named alike.
            let parameters = stage.parameters();
            let options = parameters.as_object().into_iter().flat_map(|options| options.keys());
            let options = options.map(|name| (name.clone(), source[name].clone())).collect();
            let place = format!("stage before ({})", stage.name());
            part(place, stage.name(), &serde_json::Value::Object(options))
        }));
    }
    parts.extend(pipeline.stages.iter().zip(&stages).enumerate().map(|(at, (entry, options))| {
        let name = entry.stage.name();
        part(format!("stage {at} ({name})"), name, options)
    }));
    parts.extend(pipeline.sinks.iter().zip(&sinks).enumerate().map(|(at, (sink, options))| {
        part(format!("sink {at} ({})", sink.spec.name()), sink.spec.name(), options)
    }));
    parts
}

/// The kinds of parts, whose names begin with these words.
const KINDS: [&str; 3] = ["source", "stage", "sink"];

/// The options of sinks that say what happens when something fails: they may change from run to run, for example to go on after a failure.
const OF_FAILURES: [&str; 5] = ["on_failure", "delivery", "retry", "breaker", "outbox"];

/// The parts that are a `source`, a `stage` or a `sink`, without what may change from run to run.
pub(super) fn of_kind(parts: &[PartSpec], kind: &str) -> Vec<PartSpec> {
    let parts = parts.iter().filter(|part| part.place.starts_with(kind)).cloned();
    match kind {
        "sink" => parts.map(|part| without(part, |option| OF_FAILURES.contains(&option))).collect(),
        _ => parts.collect(),
    }
}

/// The same, without the options that `pipeline` can reload: a part keeps its state whatever they are.
pub(super) fn of_kind_without_reloads(parts: &[PartSpec], kind: &str, pipeline: &Pipeline) -> Vec<PartSpec> {
    of_kind(parts, kind).into_iter().map(|part| without_reloads(part, kind, pipeline)).collect()
}

fn without_reloads(part: PartSpec, kind: &str, pipeline: &Pipeline) -> PartSpec {
    let stages = pipeline.stages.iter().map(|entry| &entry.stage);
    let stage = stages.filter(|_| kind == "stage").find(|stage| stage.name() == part.name);
    let sinks = pipeline.sinks.iter().map(|entry| &entry.spec);
    let sink = sinks.filter(|_| kind == "sink").find(|sink| sink.name() == part.name);
    let reloads = |option: &str| {
        stage.is_some_and(|stage| stage.reloads(option)) || sink.is_some_and(|sink| sink.reloads(option))
    };
    without(part, reloads)
}

/// A part without the options for which `is_out` returns true.
fn without(part: PartSpec, is_out: impl Fn(&str) -> bool) -> PartSpec {
    let Ok(mut options) = serde_json::from_str::<serde_json::Map<_, _>>(&part.options) else { return part };
    options.retain(|option, _| !is_out(option));
    PartSpec { options: serde_json::Value::Object(options).to_string(), ..part }
}

/// What differs between the parts of two pipelines.
pub(super) fn changes_between(before: &[PartSpec], now: &[PartSpec]) -> Vec<Change> {
    let mut all = Vec::new();
    for kind in KINDS {
        let (before, now) = (of_kind(before, kind), of_kind(now, kind));
        all.extend(changes(&before, &now));
        // The order of the sinks has no meaning.
        if kind != "sink" {
            all.extend(moved(&before, &now));
        }
    }
    all
}
