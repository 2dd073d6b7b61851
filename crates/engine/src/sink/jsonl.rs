//! `jsonl`: JSON Lines.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::encoded::EncodedText;
use super::{Component, FileTarget, Repeat, Roll, Sink, SinkContext, SinkSpec};
use crate::batch::Schema;
use crate::error::Result;
use crate::files::{Base, FilePath};
use crate::format::jsonl::JsonEncoder;
use crate::options::parameters_of;

/// A file with one JSON object per record. NaN and infinities are the strings "NaN", "inf" and "-inf".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonLinesFile {
    /// The file; "-" is standard output. Missing folders are created. With the feature `objects`, `s3://bucket/key`
    /// and the like are objects in a store.
    pub path: FilePath,
    /// Digits after the decimal point; by default, the shortest text that reads back to the same bits.
    #[serde(default)]
    pub decimals: Option<u8>,
    /// When to end a file and begin another, and how long to keep files: `{ every = "1h", size = "256MiB", keep = "30d" }`. `path` is then
    /// a template: "out/{date}/{hour}-{epoch}.jsonl".
    #[serde(default)]
    pub roll: Option<Roll>,
}

inventory::submit! { Component::of::<JsonLinesFile>("jsonl", "a file with one JSON object per record") }

impl JsonLinesFile {
    /// A file at `path`.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self { path: path.into(), decimals: None, roll: None }
    }

    fn written(&self) -> FileTarget {
        FileTarget::new(self.path.clone(), self.roll.clone())
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
        self.written().repeat()
    }

    fn target(&self) -> Option<FileTarget> {
        Some(self.written())
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base), ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        self.written().check(Some(schema))
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let encoder = JsonEncoder::new(schema, self.decimals);
        Ok(Box::new(EncodedText::open(&self.written(), encoder, schema, context)?))
    }
}
