//! A pipeline in code. It gives the same [`Pipeline`] as a file does.

use std::path::PathBuf;
use std::sync::Arc;

use super::{InputOptions, Pipeline, Secrets, SinkEntry};
use crate::error::{Error, Result};
use crate::sink::SinkSpec;
use crate::source::SourceSpec;
use crate::stage::Stage;

/// Collects source, stages and sinks.
#[derive(Clone, Default)]
pub struct Builder {
    source: Option<Arc<dyn SourceSpec>>,
    input: InputOptions,
    stages: Vec<Arc<dyn Stage>>,
    sinks: Vec<SinkEntry>,
    base: Option<PathBuf>,
}

impl Builder {
    /// Where records come from.
    pub fn source(mut self, source: impl SourceSpec + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What holds for any source: order, limits.
    pub fn input(mut self, options: InputOptions) -> Self {
        self.input = options;
        self
    }

    /// Adds a stage after those added before.
    pub fn stage(mut self, stage: impl Stage + 'static) -> Self {
        self.stages.push(Arc::new(stage));
        self
    }

    /// Adds a sink for all sensors.
    pub fn sink(mut self, sink: impl SinkSpec + 'static) -> Self {
        self.sinks.push(SinkEntry::new(sink));
        self
    }

    /// Adds a sink for the sensors whose names fit one of `patterns`.
    pub fn sink_for<P: Into<String>>(
        mut self,
        patterns: impl IntoIterator<Item = P>,
        sink: impl SinkSpec + 'static,
    ) -> Self {
        let sensors = Some(patterns.into_iter().map(Into::into).collect());
        self.sinks.push(SinkEntry { spec: Arc::new(sink), sensors });
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
    /// A configuration error without a source, or without a sink.
    pub fn build(self) -> Result<Pipeline> {
        let source = self.source.ok_or_else(|| Error::config("the pipeline has no source"))?;
        if self.sinks.is_empty() {
            return Err(Error::config("the pipeline has no sink").with_help("add one; `null` only counts"));
        }
        let pipeline = Pipeline {
            source,
            input: self.input,
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
