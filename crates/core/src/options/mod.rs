//! Options of components, read from a pipeline file: everything wrong with them is found in one go, each with its place.

mod check;
mod diagnostic;
mod table;
mod untyped;
mod words;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

pub use self::diagnostic::Diagnostic;
pub use self::table::Options;
pub use self::untyped::Untyped;
pub use self::words::list;

/// What stands under a name in a pipeline file, and makes a `P` (a source, a stage, a sink) of its options. Each of the three protocols
/// has a `Component` of its own around it, to be submitted to the registry.
pub struct Named<P: ?Sized> {
    /// Its `type` in the file.
    pub name: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// How to make one of its options; `None` where they were wrong, which they have noted.
    pub make: fn(&mut Options) -> Option<Box<P>>,
    /// The JSON Schemas whose properties are its options.
    pub schemas: fn() -> Vec<Schema>,
}

/// Options that can be read from a pipeline file. Whatever deserialises and has a JSON Schema
/// is one; a component with several groups of options implements it by reading them in turn.
pub trait Configure: Sized + 'static {
    /// The schemas whose properties are the options.
    fn schemas() -> Vec<Schema>;

    /// Reads them; `None` where some were wrong, which `options` has noted.
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

/// The parameters of a component with several groups of options.
pub fn merged(groups: impl IntoIterator<Item = serde_json::Value>) -> serde_json::Value {
    let fields = groups.into_iter().filter_map(|group| match group {
        serde_json::Value::Object(fields) => Some(fields),
        _ => None,
    });
    serde_json::Value::Object(fields.flatten().collect())
}
