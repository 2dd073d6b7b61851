//! From parts as written to a [`Pipeline`]: every component found by name and made from its options.

use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::parts::{OptionOf, Part, Parts};
use super::secrets::Secrets;
use super::written::{SpecError, Written};
use super::{InputOptions, Pipeline, SinkEntry};
use crate::error::nearest;
use crate::error::{self, Error, ErrorKind, Result};
use crate::options::{Diagnostic, Options, Variable, list};
use crate::registry::{Component, ComponentKind, Make, components, find};
use crate::sink::SinkSpec;
use crate::source::SourceSpec;
use crate::stage::{Stage, matcher};

/// Options of a `[[sink]]` that hold for any sink.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutputOptions {
    /// The sensors whose records it is given, by name or glob; all where absent.
    pub sensors: Option<Vec<String>>,
}

/// A pipeline ready to be planned and run, which remembers where it was written.
#[derive(Clone)]
pub struct Resolved {
    /// The pipeline.
    pub pipeline: Pipeline,
    written: Arc<Written>,
    source: Place,
    stages: Vec<Place>,
    sinks: Vec<Place>,
}

/// Where a part stands, and the options in it.
#[derive(Clone)]
struct Place {
    span: Range<usize>,
    options: Vec<(String, Range<usize>)>,
}

impl Place {
    fn of(part: &Part<'_>) -> Self {
        let option = |(key, value): (&toml::Spanned<_>, &toml::Spanned<_>)| option_at(key, value);
        Self { span: part.span.clone(), options: part.table.iter().map(option).collect() }
    }

    /// The option that an error is about: the one that it says it is about, or the first that it names.
    fn option(&self, error: &Error) -> Option<&(String, Range<usize>)> {
        let message = error.message();
        let stated = message.split("(option `").nth(1).and_then(|rest| rest.split('`').next());
        // An option may be said with its value.
        let name_of =
            |said: &'_ str| said.split(" = ").next().unwrap_or_default().trim_matches('`').to_owned();
        let leading = message.split_once(" = ").and_then(|(before, _)| before.rsplit(' ').next());
        let quoted = message.split('`').skip(1).step_by(2);
        let mut names = stated.into_iter().chain(leading).chain(quoted).map(name_of);
        names.find_map(|name| self.options.iter().find(|(option, _)| *option == name))
    }
}

fn option_at(
    key: &toml::Spanned<std::borrow::Cow<'_, str>>,
    value: &toml::Spanned<toml::de::DeValue<'_>>,
) -> (String, Range<usize>) {
    (key.get_ref().to_string(), value.span())
}

impl Resolved {
    /// A configuration error that belongs to one part, as an error that points at the option which it is about, or at that part.
    ///
    /// # Errors
    /// Any other error is given back.
    pub fn locate(&self, error: Error) -> Result<SpecError> {
        match self.diagnose(&error) {
            Some(diagnostic) => Ok(self.spec_error(vec![diagnostic])),
            None => Err(error),
        }
    }

    /// The same; `None` for any other error.
    pub(super) fn diagnose(&self, error: &Error) -> Option<Diagnostic> {
        let place = self.place(error)?;
        let span = place.option(error).map_or(&place.span, |(_, span)| span);
        let mut diagnostic = Diagnostic::new(span.clone(), error.message());
        diagnostic.help = error.help().map(str::to_owned);
        Some(diagnostic)
    }

    /// The option that a configuration error is about, if it is about one.
    pub(super) fn at_fault(&self, error: &Error) -> Option<OptionOf> {
        let (name, _) = self.place(error)?.option(error)?;
        Some((error.part()?, name.clone()))
    }

    /// What was found, at its places.
    pub(super) fn spec_error(&self, found: Vec<Diagnostic>) -> SpecError {
        SpecError::new(Arc::clone(&self.written), found).hiding(&self.pipeline.secrets)
    }

    /// The part that a configuration error belongs to.
    fn place(&self, error: &Error) -> Option<&Place> {
        match error.part()? {
            _ if error.kind() != ErrorKind::Config => None,
            error::Part::Source => Some(&self.source),
            error::Part::Stage(at) => self.stages.get(at),
            error::Part::Sink(at) => self.sinks.get(at),
        }
    }
}

/// Makes all components; what is wrong is noted.
pub(super) fn resolve<'t>(
    parts: Parts<'t>,
    variables: &'t [Variable],
    written: &Arc<Written>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Resolved> {
    let mut maker = Maker { variables, diagnostics };
    let places = |parts: &[Part<'_>]| parts.iter().map(Place::of).collect();
    let (stage_places, sink_places) = (places(&parts.stages), places(&parts.sinks));
    let source_place = parts.source.as_ref().map(Place::of);
    // Everything is tried before anything is given up, so that all errors come at once.
    let source = parts.source.and_then(|part| maker.source(part));
    let stages: Vec<_> = parts.stages.into_iter().map(|part| maker.stage(part)).collect();
    let sinks: Vec<_> = parts.sinks.into_iter().map(|part| maker.sink(part)).collect();
    let (source, input) = source?;
    let pipeline = Pipeline {
        source: Arc::from(source),
        input,
        stages: stages.into_iter().map(|stage| stage.map(Arc::from)).collect::<Option<_>>()?,
        sinks: sinks.into_iter().collect::<Option<_>>()?,
        secrets: Secrets::default(),
    };
    Some(Resolved {
        pipeline,
        written: Arc::clone(written),
        source: source_place?,
        stages: stage_places,
        sinks: sink_places,
    })
}

struct Maker<'m, 't> {
    variables: &'t [Variable],
    diagnostics: &'m mut Vec<Diagnostic>,
}

impl<'t> Maker<'_, 't> {
    fn source(&mut self, part: Part<'t>) -> Option<(Box<dyn SourceSpec>, InputOptions)> {
        let (component, mut options) = self.open(ComponentKind::Source, part)?;
        let input = options.take::<InputOptions>();
        let source = match component.make {
            Make::Source(make) => make(&mut options),
            _ => None,
        };
        self.diagnostics.extend(options.finish());
        Some((source?, input?))
    }

    fn stage(&mut self, part: Part<'t>) -> Option<Box<dyn Stage>> {
        let (component, mut options) = self.open(ComponentKind::Stage, part)?;
        let stage = match component.make {
            Make::Stage(make) => make(&mut options),
            _ => None,
        };
        self.diagnostics.extend(options.finish());
        stage
    }

    fn sink(&mut self, part: Part<'t>) -> Option<SinkEntry> {
        let place = part.table.get("sensors").map(toml::Spanned::span);
        let (component, mut options) = self.open(ComponentKind::Sink, part)?;
        let output = options.take::<OutputOptions>();
        let sink: Option<Box<dyn SinkSpec>> = match component.make {
            Make::Sink(make) => make(&mut options),
            _ => None,
        };
        let place = place.unwrap_or_else(|| options.span());
        self.diagnostics.extend(options.finish());
        let sensors = output?.sensors;
        for error in sensors.iter().flatten().filter_map(|pattern| matcher(pattern).err()) {
            let diagnostic = Diagnostic::new(place.clone(), error.message());
            self.diagnostics.push(diagnostic.with_help(error.help().unwrap_or_default()));
        }
        Some(SinkEntry { spec: Arc::from(sink?), sensors })
    }

    /// The component that a part names, and the part's options.
    fn open(&mut self, kind: ComponentKind, part: Part<'t>) -> Option<(&'static Component, Options<'t>)> {
        let mut options = Options::new(part.table, part.span).with_variables(self.variables);
        let found = match options.remove("type") {
            None => Err(Diagnostic::new(options.span(), format!("this {} has no `type`", kind.as_str()))
                .with_help(known_types(kind))),
            Some(value) => match value.get_ref().as_str() {
                None => Err(Diagnostic::new(value.span(), "expected the name of a component")
                    .with_help(known_types(kind))),
                Some(name) => find(kind, name).ok_or_else(|| unknown_type(kind, name, value.span())),
            },
        };
        match found {
            Ok(component) => Some((component, options)),
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic);
                None
            }
        }
    }
}

fn names(kind: ComponentKind) -> Vec<&'static str> {
    components().iter().filter(|component| component.kind() == kind).map(|component| component.name).collect()
}

fn known_types(kind: ComponentKind) -> String {
    format!("the {}s here are {}", kind.as_str(), list(&names(kind)))
}

fn unknown_type(kind: ComponentKind, name: &str, span: Range<usize>) -> Diagnostic {
    let message = format!("there is no {} `{name}`", kind.as_str());
    let other = components().iter().find(|component| component.name == name);
    let near = nearest(name, names(kind));
    let help = match (near, other) {
        (_, Some(other)) => format!("`{name}` is a {}; {}", other.kind().as_str(), known_types(kind)),
        (Some(near), _) => format!("did you mean `{near}`? {}", known_types(kind)),
        (None, None) => known_types(kind),
    };
    Diagnostic::new(span, message).with_help(help)
}
