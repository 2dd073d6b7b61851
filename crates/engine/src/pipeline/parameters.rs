//! The options of all parts of a pipeline, as reports, explanations and checkpoints have them.

use serde::Serialize;
use serde_json::{Value, json};

use super::Pipeline;
use super::secrets::Key;
use crate::options::merged;

/// The options of every part, defaults included; those that came from the environment as they are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Of the source, with those that hold for any.
    pub source: Value,
    /// Of the stages, in order.
    pub stages: Vec<Value>,
    /// Of the sinks, in order, with those that hold for any.
    pub sinks: Vec<Value>,
}

impl Pipeline {
    /// The options of every part.
    pub fn parameters(&self) -> Parameters {
        self.parameters_with(None)
    }

    /// The same; with a `key`, with something that tells whether a value from the environment is another.
    pub(crate) fn parameters_with(&self, key: Option<&Key>) -> Parameters {
        let masked = |path: &[&str], options| self.secrets.masked(path, options, key);
        let source =
            merged([self.source.parameters(), serde_json::to_value(&self.input).unwrap_or_default()]);
        let stages = self.stages.iter().enumerate().map(|(at, entry)| {
            let joined = [given("name", entry.name.as_ref()), given("from", entry.from.as_ref())];
            masked(&["stage", &at.to_string()], merged([entry.stage.parameters()].into_iter().chain(joined)))
        });
        let sinks = self.sinks.iter().enumerate().map(|(at, sink)| {
            let joined = [given("sensors", sink.sensors.as_ref()), given("from", sink.from.as_ref())];
            masked(&["sink", &at.to_string()], merged([sink.spec.parameters()].into_iter().chain(joined)))
        });
        Parameters { source: masked(&["source"], source), stages: stages.collect(), sinks: sinks.collect() }
    }
}

/// An option that holds for any part, where it is given.
fn given(name: &str, value: Option<&impl Serialize>) -> Value {
    value.map_or(Value::Null, |value| json!({ name: value }))
}
