//! The options of all parts of a pipeline, for reports, `explain` and checkpoints.

use serde::Serialize;
use serde_json::{Value, json};

use super::named::named;
use super::secrets::Key;
use super::{Pipeline, SinkEntry, SourceEntry, StageEntry};
use crate::error::{Error, PartIndex, without_secrets};
use crate::options::merged;

/// The options of every part, including defaults; values from the environment are shown as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Of the sources, in order, with the common options.
    pub sources: Vec<Value>,
    /// Of the stages, in order.
    pub stages: Vec<Value>,
    /// Of the sinks, in order, with the common options.
    pub sinks: Vec<Value>,
}

impl Pipeline {
    /// An error of this pipeline with values from the environment masked.
    pub(crate) fn hide_error(&self, error: Error) -> Error {
        if self.secrets.is_empty() {
            return without_secrets(error);
        }
        let options = match error.part() {
            Some(PartIndex::Source(at)) => self.sources.get(at).map(source_options),
            Some(PartIndex::Stage(at)) => self.stages.get(at).map(stage_options),
            Some(PartIndex::Sink(at)) => self.sinks.get(at).map(sink_options),
            None => None,
        };
        let option = options.and_then(|options| named(&error).find(|name| options.get(name).is_some()));
        self.secrets.hide_error(error, option.as_deref())
    }

    /// The options of every part.
    pub fn parameters(&self) -> Parameters {
        self.parameters_with(None)
    }

    /// The same; with a `key`, including fingerprints of values from the environment.
    pub(crate) fn parameters_with(&self, key: Option<&Key>) -> Parameters {
        let masked = |path: &[&str], options| self.secrets.masked(path, options, key);
        let sources = self.sources.iter().enumerate();
        let stages = self.stages.iter().enumerate();
        let sinks = self.sinks.iter().enumerate();
        Parameters {
            sources: sources
                .map(|(at, source)| masked(&["source", &at.to_string()], source_options(source)))
                .collect(),
            stages: stages
                .map(|(at, stage)| masked(&["stage", &at.to_string()], stage_options(stage)))
                .collect(),
            sinks: sinks.map(|(at, sink)| masked(&["sink", &at.to_string()], sink_options(sink))).collect(),
        }
    }
}

pub(crate) fn source_options(SourceEntry { spec, input }: &SourceEntry) -> Value {
    merged([spec.parameters(), serde_json::to_value(input).unwrap_or_default()])
}

pub(crate) fn stage_options(StageEntry { stage, name, from }: &StageEntry) -> Value {
    merged([stage.parameters(), given("name", name.as_ref()), given("from", from.as_ref())])
}

pub(crate) fn sink_options(
    SinkEntry { spec, sensors, from, on_failure, delivery, outage }: &SinkEntry,
) -> Value {
    merged([
        spec.parameters(),
        given("sensors", sensors.as_ref()),
        given("from", from.as_ref()),
        given("on_failure", on_failure.as_ref()),
        given("delivery", delivery.as_ref()),
        given("retry", outage.retry.as_ref()),
        given("breaker", outage.breaker.as_ref()),
        given("outbox", outage.outbox.as_ref()),
    ])
}

/// A common option, if it is given.
fn given(name: &str, value: Option<&impl Serialize>) -> Value {
    value.map_or(Value::Null, |value| json!({ name: value }))
}
