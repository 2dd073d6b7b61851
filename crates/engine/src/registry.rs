//! Components by name: every source, stage and sink that is linked in, from any crate. Nothing here refers to a particular one.

use std::sync::LazyLock;

use schemars::Schema;
use serde_json::Value;
use toml::de::DeTable;

use crate::options::{Named, Options};
use crate::sink::{self, SinkSpec};
use crate::source::{self, SourceSpec};
use crate::stage::{self, Stage};

/// A registered source, stage or sink.
pub struct Component {
    /// Its `type` in the file.
    pub name: &'static str,
    /// A one-line description.
    pub help: &'static str,
    /// The constructor.
    pub make: Make,
    /// The JSON Schemas whose properties are its options.
    pub schemas: fn() -> Vec<Schema>,
}

/// A constructor from options; returns `None` if the options are wrong, having recorded the diagnostics in them.
#[derive(Clone, Copy)]
pub enum Make {
    /// Makes a source.
    Source(fn(&mut Options) -> Option<Box<dyn SourceSpec>>),
    /// Makes a stage.
    Stage(fn(&mut Options) -> Option<Box<dyn Stage>>),
    /// Makes a sink.
    Sink(fn(&mut Options) -> Option<Box<dyn SinkSpec>>),
}

/// The kind of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
// Exhaustive: a pipeline has no other parts.
pub enum ComponentKind {
    /// Gives records.
    Source,
    /// Transforms batches.
    Stage,
    /// Takes batches.
    Sink,
}

impl ComponentKind {
    /// The name of its table in a pipeline file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Stage => "stage",
            Self::Sink => "sink",
        }
    }
}

impl Component {
    fn new<P: ?Sized>(named: &Named<P>, make: Make) -> Self {
        Self { name: named.name, help: named.help, make, schemas: named.schemas }
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

/// All linked components, sorted by kind and name.
pub fn components() -> &'static [Component] {
    static ALL: LazyLock<Vec<Component>> = LazyLock::new(collect);
    &ALL
}

/// The component of this kind and name.
pub fn find(kind: ComponentKind, name: &str) -> Option<&'static Component> {
    components().iter().find(|component| component.kind() == kind && component.name == name)
}

/// The sink of this name with `options` as a checkpoint has them; `None` if it is not linked in, or if the options are not those of this version.
pub fn sink(name: &str, options: &Value) -> Option<Box<dyn SinkSpec>> {
    let Make::Sink(make) = find(ComponentKind::Sink, name)?.make else { return None };
    let text = toml::to_string(&given(options)).ok()?;
    let table = DeTable::parse(&text).ok()?.into_inner();
    make(&mut Options::new(table, 0..text.len()))
}

/// Without the options that are not given: a pipeline file cannot say `null`.
fn given(options: &Value) -> Value {
    let Value::Object(options) = options else { return options.clone() };
    let options = options.iter().filter(|(_, value)| !value.is_null());
    Value::Object(options.map(|(name, value)| (name.clone(), given(value))).collect())
}

fn collect() -> Vec<Component> {
    let sources =
        inventory::iter::<source::Component>().map(|c| Component::new(&c.0, Make::Source(c.0.make)));
    let stages = inventory::iter::<stage::Component>().map(|c| Component::new(&c.0, Make::Stage(c.0.make)));
    let sinks = inventory::iter::<sink::Component>().map(|c| Component::new(&c.0, Make::Sink(c.0.make)));
    let mut all: Vec<_> = sources.chain(stages).chain(sinks).collect();
    all.sort_by_key(|component| (component.kind(), component.name));
    all
}
