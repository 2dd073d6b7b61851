//! `jsonl`: JSON Lines.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::EncodedFile;
use super::{Component, Outset, Repeat, Sink, SinkSpec};
use crate::atomic;
use crate::batch::Schema;
use crate::error::Result;
use crate::files::{Base, FilePath};
use crate::format::jsonl::JsonEncoder;
use crate::options::parameters_of;

/// A file with one JSON object a record. NaN and infinities are the strings "NaN", "inf" and "-inf".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonLinesFile {
    /// The file; "-" is standard output. Folders on the way are made.
    pub path: FilePath,
    /// Digits behind the decimal point; the shortest text that reads back to the same bits if not given.
    #[serde(default)]
    pub decimals: Option<u8>,
}

inventory::submit! { Component::of::<JsonLinesFile>("jsonl", "a file with one JSON object a record") }

impl JsonLinesFile {
    /// The file `path`.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self { path: path.into(), decimals: None }
    }
}

impl SinkSpec for JsonLinesFile {
    fn name(&self) -> &str {
        "jsonl"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn repeat(&self) -> Repeat {
        Repeat::of(&self.path)
    }

    fn file(&self) -> Option<PathBuf> {
        atomic::file(&self.path)
    }

    fn stream(&self) -> Option<PathBuf> {
        atomic::stream(&self.path)
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base), ..self.clone() }))
    }

    fn is_stdout(&self) -> bool {
        atomic::is_stdout(&self.path)
    }

    fn check(&self, _schema: &Schema) -> Result<()> {
        atomic::check(&self.path)
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, schema: &Arc<Schema>, outset: &Outset) -> Result<Box<dyn Sink>> {
        Ok(Box::new(EncodedFile::create(
            &self.path,
            JsonEncoder::new(schema, self.decimals),
            schema,
            outset,
        )?))
    }
}
