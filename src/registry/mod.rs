//! Components by name. A component registers itself with [`inventory::submit!`], from this crate
//! or any other that is linked in; nothing here knows any of them.

mod check;
mod options;
mod words;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

use crate::sink::SinkSpec;
use crate::source::SourceSpec;
use crate::stage::Stage;

pub use crate::error::nearest;
pub use options::{Diagnostic, Options, Variable};
pub(crate) use words::list;

/// Something that can stand in a pipeline file.
pub struct Component {
    /// Its `type` in the file.
    pub name: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// How to make one of its options.
    pub make: Make,
    /// The JSON Schemas whose properties are its options.
    pub schemas: fn() -> Vec<Schema>,
}

inventory::collect!(Component);

/// A constructor; `None` where the options were wrong, which they have noted.
#[derive(Clone, Copy)]
pub enum Make {
    /// Makes a source.
    Source(fn(&mut Options) -> Option<Box<dyn SourceSpec>>),
    /// Makes a stage.
    Stage(fn(&mut Options) -> Option<Box<dyn Stage>>),
    /// Makes a sink.
    Sink(fn(&mut Options) -> Option<Box<dyn SinkSpec>>),
}

/// Which of the three a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComponentKind {
    /// Gives records.
    Source,
    /// Transforms batches.
    Stage,
    /// Takes batches.
    Sink,
}

impl ComponentKind {
    /// Its name, as the table in a pipeline file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Stage => "stage",
            Self::Sink => "sink",
        }
    }
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

impl Component {
    /// A source for registration.
    pub const fn source<T: Configure + SourceSpec>(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            make: Make::Source(|options| Some(Box::new(T::configure(options)?))),
            schemas: T::schemas,
        }
    }

    /// A stage for registration.
    pub const fn stage<T: Configure + Stage>(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            make: Make::Stage(|options| Some(Box::new(T::configure(options)?))),
            schemas: T::schemas,
        }
    }

    /// A sink for registration.
    pub const fn sink<T: Configure + SinkSpec>(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            make: Make::Sink(|options| Some(Box::new(T::configure(options)?))),
            schemas: T::schemas,
        }
    }

    /// Source, stage or sink.
    pub fn kind(&self) -> ComponentKind {
        match self.make {
            Make::Source(_) => ComponentKind::Source,
            Make::Stage(_) => ComponentKind::Stage,
            Make::Sink(_) => ComponentKind::Sink,
        }
    }
}

/// All components, by kind and name.
pub fn components() -> Vec<&'static Component> {
    let mut all: Vec<_> = inventory::iter::<Component>().collect();
    all.sort_by_key(|component| (component.kind(), component.name));
    all
}

/// The component of this kind and name.
pub fn find(kind: ComponentKind, name: &str) -> Option<&'static Component> {
    components().into_iter().find(|component| component.kind() == kind && component.name == name)
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
