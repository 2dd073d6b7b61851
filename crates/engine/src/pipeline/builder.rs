//! Building a pipeline in code. The result is the same [`Pipeline`] as from a file.

use super::{InputOptions, Pipeline, Secrets, SinkEntry, SourceEntry, StageEntry};
use crate::error::{Error, Result};
use crate::format::columns::Names;
use crate::sink::SinkSpec;
use crate::source::SourceSpec;
use crate::stage::IntoStage;
use std::path::PathBuf;

/// Collects sources, stages and sinks, in the order of the calls. Mistakes are reported by [`Builder::build`].
#[derive(Clone, Default)]
pub struct Builder {
    sources: Vec<SourceEntry>,
    /// Options for the first source, given before it.
    input: InputOptions,
    stages: Vec<StageEntry>,
    sinks: Vec<SinkEntry>,
    /// The kind of part that was added last.
    last: Option<AddedPart>,
    /// The first method that was called before there was a part for it.
    misplaced: Option<&'static str>,
    base: Option<PathBuf>,
}

/// A kind of part.
#[derive(Clone, Copy)]
enum AddedPart {
    Source,
    Stage,
    Sink,
}

impl Builder {
    /// Adds a source after those added before.
    pub fn source(mut self, source: impl SourceSpec + 'static) -> Self {
        let input = std::mem::take(&mut self.input);
        self.sources.push(SourceEntry { input, ..SourceEntry::new(source) });
        self.last = Some(AddedPart::Source);
        self
    }

    /// Sets the options common to all sources, such as order and limits, for the source that was added last. Its name is kept.
    pub fn input(mut self, options: InputOptions) -> Self {
        let input = self.sources.last_mut().map_or(&mut self.input, |source| &mut source.input);
        let name = options.name.clone().or(input.name.take());
        *input = InputOptions { name, ..options };
        self
    }

    /// Adds a stage after those added before.
    pub fn stage<P: ?Sized>(mut self, stage: impl IntoStage<P>) -> Self {
        self.stages.push(StageEntry::new(stage));
        self.last = Some(AddedPart::Stage);
        self
    }

    /// Adds a sink for all sensors.
    pub fn sink(mut self, sink: impl SinkSpec + 'static) -> Self {
        self.sinks.push(SinkEntry::new(sink));
        self.last = Some(AddedPart::Sink);
        self
    }

    /// Names the source or stage that was added last, for [`Builder::from`] of later parts.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let name = Some(name.into());
        match (self.last, self.sources.last_mut(), self.stages.last_mut()) {
            (Some(AddedPart::Source), Some(entry), _) => entry.input.name = name,
            (Some(AddedPart::Stage), _, Some(entry)) => entry.name = name,
            _ => self.misplaced = Some("`name` applies to a source or a stage: call it after one"),
        }
        self
    }

    /// Makes the stage or sink that was added last take its records from the parts with these names.
    pub fn from<P: Into<String>>(mut self, names: impl IntoIterator<Item = P>) -> Self {
        let names = Some(Names::Many(names.into_iter().map(Into::into).collect()));
        match (self.last, self.stages.last_mut(), self.sinks.last_mut()) {
            (Some(AddedPart::Stage), Some(entry), _) => entry.from = names,
            (Some(AddedPart::Sink), _, Some(entry)) => entry.from = names,
            _ => self.misplaced = Some("`from` applies to a stage or a sink: call it after one"),
        }
        self
    }

    /// Adds a sink for the sensors whose names match one of `patterns` (globs).
    pub fn sink_for<P: Into<String>>(
        mut self,
        patterns: impl IntoIterator<Item = P>,
        sink: impl SinkSpec + 'static,
    ) -> Self {
        let sensors = Some(patterns.into_iter().map(Into::into).collect());
        self.sinks.push(SinkEntry { sensors, ..SinkEntry::new(sink) });
        self.last = Some(AddedPart::Sink);
        self
    }

    /// The folder against which relative paths are resolved; the current folder by default.
    pub fn base(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base = Some(folder.into());
        self
    }

    /// Builds the pipeline.
    ///
    /// # Errors
    /// A configuration error if there is no source or no sink, or if a name was given to no part.
    pub fn build(self) -> Result<Pipeline> {
        if let Some(what) = self.misplaced {
            return Err(Error::config(what));
        }
        if self.sources.is_empty() {
            return Err(Error::config("the pipeline has no source"));
        }
        if self.sinks.is_empty() {
            return Err(
                Error::config("the pipeline has no sink").with_help("add one; `null` discards records")
            );
        }
        let pipeline = Pipeline {
            name: None,
            sources: self.sources,
            stages: self.stages,
            sinks: self.sinks,
            secrets: Secrets::default(),
        };
        Ok(match self.base {
            Some(base) => pipeline.with_base(base),
            None => pipeline,
        })
    }
}
