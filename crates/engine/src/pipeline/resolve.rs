//! Resolves parts to a [`Pipeline`]: looks up every component by name and makes it from its options.

use std::ops::Range;
use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

use super::parts::{PartTable, PartTables};
use super::placeholders;
use super::places::Places;
use super::secrets::Secrets;
use super::written::{SpecError, Written};
use super::{
    BreakerTable, InputOptions, OnFailure, Outage, Pipeline, Required, RetryTable, SinkEntry, SourceEntry,
    StageEntry,
};
use crate::error::nearest;
use crate::error::{self, Error, ErrorKind, Result};
use crate::format::columns::Names;
use crate::options::{Diagnostic, Options, Untyped, list};
use crate::registry::{Component, ComponentKind, Make, components, find};
use crate::sink::SinkSpec;
use crate::source::SourceSpec;
use crate::stage::{Stage, matcher};

/// Options common to all stages.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StageOptions {
    /// Its name in `from` of later stages and sinks.
    pub name: Option<String>,
    /// The `name` of the part that feeds it, or a list of names: earlier stages or sources. By default, the previous stage; the first stage is fed by all sources.
    pub from: Option<Names>,
}

/// Options common to all sinks.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutputOptions {
    /// The sensors whose records it receives, by name or glob; by default, all.
    pub sensors: Option<Vec<String>>,
    /// The `name` of the part that feeds it, or a list of names: stages or sources. By default, the last stage, or all sources if there is no stage.
    pub from: Option<Names>,
    /// What happens after a transient failure, such as a full disk: `stop` ends the run, `wait` retries until it succeeds. By default, a run over bounded input stops, and a run over unbounded input waits while a disk is full. A sink that delivers to a server or database retries transient failures
    /// in any case; there it says what happens when `outbox` is full, or the server refuses something: `stop` ends the run, `wait` makes the input wait and tries again, `drop` drops and counts it. By default, it waits when `outbox` is full, and stops when something is refused.
    pub on_failure: Option<OnFailure>,
    /// The guarantee that its output must have from every source that feeds it, in a run with `--state`: `exactly_once` or `at_least_once`. Where that
    /// cannot be had, the pipeline is refused with the reason. By default, a run has the best guarantee that both ends allow, and prints it.
    pub delivery: Option<Required>,
    /// For a sink that delivers to a server or database: when a delivery that has failed for a while is tried again.
    pub retry: Option<RetryTable>,
    /// For a sink that delivers to a server or database: when a server that is down is not called, except to find out whether it is back.
    pub breaker: Option<BreakerTable>,
    /// For a sink that delivers to a server or database: how many bytes may wait for it, such as "8GiB", which is the default: in the state folder. Without `--state` they wait in memory: "8MiB" by default, and 64 MiB at most.
    pub outbox: Option<String>,
}

/// A pipeline ready to be planned and run, with its position in the file.
#[derive(Clone)]
pub struct Resolved {
    /// The pipeline.
    pub pipeline: Pipeline,
    written: Arc<Written>,
    places: Places,
}

impl Resolved {
    pub(super) fn new(pipeline: Pipeline, written: Arc<Written>, places: Places) -> Self {
        Self { pipeline, written, places }
    }

    /// Attributes an error to the option it is about, or to its part.
    ///
    /// # Errors
    /// Returns the error unchanged if it is not a configuration error of one part.
    pub fn locate(&self, error: Error) -> Result<SpecError> {
        match self.places.diagnose(&error) {
            Some(diagnostic) if error.kind() == ErrorKind::Config => {
                let found = self.places.hide(vec![diagnostic], &self.pipeline.secrets);
                let written = self.written.without(&self.pipeline.secrets.found.inline);
                Ok(SpecError::new(Arc::new(written), found))
            }
            _ => Err(self.pipeline.hide_error(error)),
        }
    }
}

/// Makes all components, with placeholders for the parts in `left_out`; mistakes are reported.
pub(super) fn resolve<'t>(
    parts: PartTables<'t>,
    left_out: &[error::PartIndex],
    untyped: &'t [Untyped],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Pipeline> {
    let mut maker = Maker { untyped, diagnostics };
    let is_left_out = |part| left_out.contains(&part);
    // Everything is tried before returning, so that all errors are reported at once.
    let sources = parts.sources.into_iter().enumerate().map(|(at, part)| {
        match is_left_out(error::PartIndex::Source(at)) {
            true => Some(maker.source_options(part)),
            false => maker.source(part),
        }
    });
    let mut sources: Vec<_> = sources.collect();
    if sources.is_empty() && is_left_out(error::PartIndex::Source(0)) {
        sources.push(Some(SourceEntry {
            spec: Arc::from(placeholders::source()),
            input: InputOptions::default(),
        }));
    }
    let stages = parts.stages.into_iter().enumerate().map(|(at, part)| {
        match is_left_out(error::PartIndex::Stage(at)) {
            true => Some(maker.stage_options(part)),
            false => maker.stage(part),
        }
    });
    let stages: Vec<_> = stages.collect();
    let sinks =
        parts.sinks.into_iter().enumerate().map(|(at, part)| match is_left_out(error::PartIndex::Sink(at)) {
            true => Some(maker.sink_options(part)),
            false => maker.sink(part),
        });
    let sinks: Vec<_> = sinks.collect();
    let sources: Vec<_> = sources.into_iter().collect::<Option<_>>()?;
    if sources.is_empty() {
        return None;
    }
    Some(Pipeline {
        name: None,
        sources,
        stages: stages.into_iter().collect::<Option<_>>()?,
        sinks: sinks.into_iter().collect::<Option<_>>()?,
        secrets: Secrets::default(),
    })
}

struct Maker<'m, 't> {
    untyped: &'t [Untyped],
    diagnostics: &'m mut Vec<Diagnostic>,
}

impl<'t> Maker<'_, 't> {
    fn source(&mut self, part: PartTable<'t>) -> Option<SourceEntry> {
        let (component, mut options) = self.open(ComponentKind::Source, part)?;
        let input = options.take::<InputOptions>();
        let source: Option<Box<dyn SourceSpec>> = match component.make {
            Make::Source(make) => make(&mut options),
            _ => None,
        };
        self.diagnostics.extend(options.finish());
        Some(SourceEntry { spec: Arc::from(source?), input: input? })
    }

    /// A placeholder for a source that cannot be made, with the common options.
    fn source_options(&mut self, part: PartTable<'t>) -> SourceEntry {
        let mut options = Options::new(part.table, part.span).with_untyped(self.untyped);
        let input = options.take::<InputOptions>().unwrap_or_default();
        SourceEntry { spec: Arc::from(placeholders::source()), input }
    }

    /// A placeholder for a stage that cannot be made, with the same inputs.
    fn stage_options(&mut self, part: PartTable<'t>) -> StageEntry {
        let mut options = Options::new(part.table, part.span).with_untyped(self.untyped);
        let StageOptions { name, from } = options.take::<StageOptions>().unwrap_or_default();
        StageEntry { stage: Arc::from(placeholders::stage()), name, from }
    }

    /// A placeholder for a sink that cannot be made, with the same inputs.
    fn sink_options(&mut self, part: PartTable<'t>) -> SinkEntry {
        let mut options = Options::new(part.table, part.span).with_untyped(self.untyped);
        let from = options.take::<OutputOptions>().unwrap_or_default().from;
        SinkEntry { from, ..SinkEntry::of(Arc::from(placeholders::sink())) }
    }

    fn stage(&mut self, part: PartTable<'t>) -> Option<StageEntry> {
        let (component, mut options) = self.open(ComponentKind::Stage, part)?;
        let joined = options.take::<StageOptions>();
        let stage: Option<Box<dyn Stage>> = match component.make {
            Make::Stage(make) => make(&mut options),
            _ => None,
        };
        self.diagnostics.extend(options.finish());
        let StageOptions { name, from } = joined?;
        Some(StageEntry { stage: Arc::from(stage?), name, from })
    }

    fn sink(&mut self, part: PartTable<'t>) -> Option<SinkEntry> {
        let place = part.table.get("sensors").map(toml::Spanned::span);
        let (component, mut options) = self.open(ComponentKind::Sink, part)?;
        let output = options.take::<OutputOptions>();
        let sink: Option<Box<dyn SinkSpec>> = match component.make {
            Make::Sink(make) => make(&mut options),
            _ => None,
        };
        let place = place.unwrap_or_else(|| options.span());
        self.diagnostics.extend(options.finish());
        let OutputOptions { sensors, from, on_failure, delivery, retry, breaker, outbox } = output?;
        let outage = Outage { retry, breaker, outbox };
        for error in sensors.iter().flatten().filter_map(|pattern| matcher(pattern).err()) {
            let diagnostic = Diagnostic::new(place.clone(), error.message());
            self.diagnostics.push(diagnostic.with_help(error.help().unwrap_or_default()));
        }
        Some(SinkEntry { spec: Arc::from(sink?), sensors, from, on_failure, delivery, outage })
    }

    /// The component that a part names, and the part's options.
    fn open(
        &mut self,
        kind: ComponentKind,
        part: PartTable<'t>,
    ) -> Option<(&'static Component, Options<'t>)> {
        let mut options = Options::new(part.table, part.span).with_untyped(self.untyped);
        let found = match options.remove("type") {
            None => Err(Diagnostic::new(options.span(), format!("this {} has no `type`", kind.as_str()))
                .with_help(known_types(kind))),
            Some(value) => match value.get_ref().as_str() {
                None => Err(Diagnostic::new(value.span(), "expected the name of a component")
                    .with_help(known_types(kind))),
                Some(name) => match (find(kind, name), name.split_once(':')) {
                    (Some(component), _) => Ok(component),
                    (None, Some((prefix, rest))) if let Some(component) = found_by_prefix(kind, prefix) => {
                        options.insert(
                            "type",
                            Spanned::new(value.span(), DeValue::String(rest.to_owned().into())),
                        );
                        Ok(component)
                    }
                    _ => Err(unknown_type(kind, name, value.span())),
                },
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

/// The component that stands for all types `prefix:…`: one with an option `type`, which gets what follows the prefix.
fn found_by_prefix(kind: ComponentKind, prefix: &str) -> Option<&'static Component> {
    let has_type = |schema: &Schema| schema.pointer("/properties/type").is_some();
    find(kind, prefix).filter(|component| (component.schemas)().iter().any(has_type))
}

fn names(kind: ComponentKind) -> Vec<&'static str> {
    components().iter().filter(|component| component.kind() == kind).map(|component| component.name).collect()
}

fn known_types(kind: ComponentKind) -> String {
    format!("the {}s here are {}", kind.as_str(), list(&names(kind)))
}

fn unknown_type(kind: ComponentKind, name: &str, span: Range<usize>) -> Diagnostic {
    let message = format!("there is no {} `{name}`", kind.as_str());
    if name.starts_with("python:") {
        let help = "components written in Python need the Python package: run `python -m tidemill` instead";
        return Diagnostic::new(span, message).with_help(help);
    }
    let other = components().iter().find(|component| component.name == name);
    let near = nearest(name, names(kind));
    let help = match (near, other) {
        (_, Some(other)) => format!("`{name}` is a {}; {}", other.kind().as_str(), known_types(kind)),
        (Some(near), _) => format!("did you mean `{near}`? {}", known_types(kind)),
        (None, None) => known_types(kind),
    };
    Diagnostic::new(span, message).with_help(help)
}
