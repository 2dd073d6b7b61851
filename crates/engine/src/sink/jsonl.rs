//! `jsonl`: JSON Lines.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::EncodedFile;
use super::roll::{self, Roll};
use super::rolling::RollingFile;
use super::{Component, Outset, Repeat, Sink, SinkSpec, Template};
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
    /// When a file ends and another begins, and how long they stay: `{ every = "1h", size = "256MiB", keep = "30d" }`. `path` says then how they
    /// are called: "out/{date}/{hour}-{epoch}.jsonl".
    #[serde(default)]
    pub roll: Option<Roll>,
}

inventory::submit! { Component::of::<JsonLinesFile>("jsonl", "a file with one JSON object a record") }

impl JsonLinesFile {
    /// The file `path`.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self { path: path.into(), decimals: None, roll: None }
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
        self.roll.is_none().then(|| atomic::file(&self.path)).flatten()
    }

    fn rolls(&self) -> Option<Template> {
        roll::template(&self.path, self.roll.as_ref())
    }

    fn stream(&self) -> Option<PathBuf> {
        self.roll.is_none().then(|| atomic::stream(&self.path)).flatten()
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base), ..self.clone() }))
    }

    fn is_stdout(&self) -> bool {
        atomic::is_stdout(&self.path)
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        match &self.roll {
            Some(roll) => roll.check(&self.path, Some(schema)),
            None => atomic::check(&self.path),
        }
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, schema: &Arc<Schema>, outset: &Outset) -> Result<Box<dyn Sink>> {
        let (path, encoder) = (&self.path, JsonEncoder::new(schema, self.decimals));
        Ok(match &self.roll {
            Some(roll) => Box::new(RollingFile::open(path, roll, encoder, schema, outset)?),
            None => Box::new(EncodedFile::create(path, encoder, schema, outset)?),
        })
    }
}
