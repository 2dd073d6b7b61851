//! The options of all parts of a pipeline, as reports, explanations and checkpoints have them.

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
        let stages = self.stages.iter().enumerate();
        let sinks = self.sinks.iter().enumerate().map(|(at, sink)| {
            let sensors = sink.sensors.as_ref().map_or(Value::Null, |sensors| json!({ "sensors": sensors }));
            masked(&["sink", &at.to_string()], merged([sink.spec.parameters(), sensors]))
        });
        Parameters {
            source: masked(&["source"], source),
            stages: stages
                .map(|(at, stage)| masked(&["stage", &at.to_string()], stage.parameters()))
                .collect(),
            sinks: sinks.collect(),
        }
    }
}
