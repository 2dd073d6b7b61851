//! A pipeline in code. It gives the same [`Pipeline`] as a file does.

use super::{InputOptions, Pipeline, Secrets, SinkEntry, SourceEntry, StageEntry};
use crate::error::{Error, Result};
use crate::format::columns::Names;
use crate::sink::SinkSpec;
use crate::source::SourceSpec;
use crate::stage::IntoStage;
use std::path::PathBuf;

/// Collects sources, stages and sinks.
#[derive(Clone, Default)]
pub struct Builder {
    sources: Vec<SourceEntry>,
    /// What was said of a source before there was one.
    input: InputOptions,
    stages: Vec<StageEntry>,
    sinks: Vec<SinkEntry>,
    /// Which part was added last.
    last: Option<Added>,
    /// What was said of no part.
    misplaced: Option<&'static str>,
    base: Option<PathBuf>,
}

/// A kind of part.
#[derive(Clone, Copy)]
enum Added {
    Source,
    Stage,
    Sink,
}

impl Builder {
    /// Adds a source after those added before.
    pub fn source(mut self, source: impl SourceSpec + 'static) -> Self {
        let input = std::mem::take(&mut self.input);
        self.sources.push(SourceEntry { input, ..SourceEntry::new(source) });
        self.last = Some(Added::Source);
        self
    }

    /// The options that hold for any source, such as its order and limits, of the source that was added last. A name that it was given stays.
    pub fn input(mut self, options: InputOptions) -> Self {
        let input = self.sources.last_mut().map_or(&mut self.input, |source| &mut source.input);
        let name = options.name.clone().or(input.name.take());
        *input = InputOptions { name, ..options };
        self
    }

    /// Adds a stage after those added before.
    pub fn stage<P: ?Sized>(mut self, stage: impl IntoStage<P>) -> Self {
        self.stages.push(StageEntry::new(stage));
        self.last = Some(Added::Stage);
        self
    }

    /// Adds a sink for all sensors.
    pub fn sink(mut self, sink: impl SinkSpec + 'static) -> Self {
        self.sinks.push(SinkEntry::new(sink));
        self.last = Some(Added::Sink);
        self
    }

    /// Names the source or stage that was added last, for [`Builder::from`] of later parts.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let name = Some(name.into());
        match (self.last, self.sources.last_mut(), self.stages.last_mut()) {
            (Some(Added::Source), Some(entry), _) => entry.input.name = name,
            (Some(Added::Stage), _, Some(entry)) => entry.name = name,
            _ => self.misplaced = Some("`name` is of a source or a stage: call it behind one"),
        }
        self
    }

    /// Lets the stage or sink that was added last take its records from the parts of these names.
    pub fn from<P: Into<String>>(mut self, names: impl IntoIterator<Item = P>) -> Self {
        let names = Some(Names::Many(names.into_iter().map(Into::into).collect()));
        match (self.last, self.stages.last_mut(), self.sinks.last_mut()) {
            (Some(Added::Stage), Some(entry), _) => entry.from = names,
            (Some(Added::Sink), _, Some(entry)) => entry.from = names,
            _ => self.misplaced = Some("`from` is of a stage or a sink: call it behind one"),
        }
        self
    }

    /// Adds a sink for the sensors whose names fit one of `patterns`.
    pub fn sink_for<P: Into<String>>(
        mut self,
        patterns: impl IntoIterator<Item = P>,
        sink: impl SinkSpec + 'static,
    ) -> Self {
        let sensors = Some(patterns.into_iter().map(Into::into).collect());
        self.sinks.push(SinkEntry { sensors, ..SinkEntry::new(sink) });
        self.last = Some(Added::Sink);
        self
    }

    /// Where relative paths start; from the current folder if not given.
    pub fn base(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base = Some(folder.into());
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// A configuration error without a source, or without a sink; where a name was given to no part.
    pub fn build(self) -> Result<Pipeline> {
        if let Some(what) = self.misplaced {
            return Err(Error::config(what));
        }
        if self.sources.is_empty() {
            return Err(Error::config("the pipeline has no source"));
        }
        if self.sinks.is_empty() {
            return Err(Error::config("the pipeline has no sink").with_help("add one; `null` only counts"));
        }
        let pipeline = Pipeline {
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
