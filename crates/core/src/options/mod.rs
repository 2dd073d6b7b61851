//! Options of components, read from a pipeline file: all problems are reported at once, each with its position.

mod check;
mod diagnostic;
mod differences;
mod table;
mod untyped;
mod words;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

pub use self::diagnostic::Diagnostic;
pub use self::differences::{Difference, differences};
pub use self::table::Options;
pub use self::untyped::Untyped;
pub use self::words::list;

/// A component type in a pipeline file: builds a `P` (a source, a stage, a sink) from its options. Each of the three protocols wraps it in
/// its own `Component`, to be submitted to the registry.
pub struct Named<P: ?Sized> {
    /// Its `type` in the file.
    pub name: &'static str,
    /// Its purpose, in one line.
    pub help: &'static str,
    /// Builds it from its options; `None` if they are invalid, which is reported in the options' diagnostics.
    pub make: fn(&mut Options) -> Option<Box<P>>,
    /// The JSON Schemas whose properties are its options.
    pub schemas: fn() -> Vec<Schema>,
}

/// A group of options that can be read from a pipeline file. Every type that implements `DeserializeOwned` and `JsonSchema` is one; a
/// component with several groups implements it by reading them in turn.
pub trait Configure: Sized + 'static {
    /// The schemas whose properties are the options.
    fn schemas() -> Vec<Schema>;

    /// Reads the options; `None` if any is invalid, which is reported in `options`.
    fn configure(options: &mut Options) -> Option<Self>;
}

impl<T: DeserializeOwned + JsonSchema + 'static> Configure for T {
    fn schemas() -> Vec<Schema> {
        vec![schemars::schema_for!(T)]
    }

    fn configure(options: &mut Options) -> Option<Self> {
        options.take()
    }
}

/// A serialisable value as JSON, for the `parameters` of a component.
pub fn parameters_of(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_else(|error| serde_json::Value::String(error.to_string()))
}

/// The combined parameters of a component with several groups of options.
pub fn merged(groups: impl IntoIterator<Item = serde_json::Value>) -> serde_json::Value {
    let fields = groups.into_iter().filter_map(|group| match group {
        serde_json::Value::Object(fields) => Some(fields),
        _ => None,
    });
    serde_json::Value::Object(fields.flatten().collect())
}
