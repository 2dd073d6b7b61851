//! Components by name: every source, stage and sink that is linked in, whichever crate it is from. Nothing here knows any of them.

use std::sync::LazyLock;

use schemars::Schema;

use crate::options::{Named, Options};
use crate::sink::{self, SinkSpec};
use crate::source::{self, SourceSpec};
use crate::stage::{self, Stage};

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

/// All components, by kind and name.
pub fn components() -> &'static [Component] {
    static ALL: LazyLock<Vec<Component>> = LazyLock::new(collect);
    &ALL
}

/// The component of this kind and name.
pub fn find(kind: ComponentKind, name: &str) -> Option<&'static Component> {
    components().iter().find(|component| component.kind() == kind && component.name == name)
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
