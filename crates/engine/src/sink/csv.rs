//! `csv`: delimited text.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::encoded::EncodedText;
use super::{Component, FileTarget, Repeat, Roll, Sink, SinkContext, SinkSpec};
use crate::batch::Schema;
use crate::error::Result;
use crate::files::{Base, FilePath};
use crate::format::csv::{CsvEncoder, delimiter_of};
use crate::options::parameters_of;

/// Delimited text according to RFC 4180, with a header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvFile {
    /// The file; "-" is standard output. Missing folders are created. With the feature `objects`, `s3://bucket/key`
    /// and the like are objects in a store.
    pub path: FilePath,
    /// The byte between fields, such as ",", ";" or "\t".
    #[serde(default = "default_delimiter")]
    pub delimiter: String,
    /// Digits after the decimal point; by default, the shortest text that reads back to the same bits.
    #[serde(default)]
    pub decimals: Option<u8>,
    /// Whether to put an apostrophe before text that begins with = + - @, a tab or a line end, so that spreadsheets do not run it as a
    /// formula.
    #[serde(default)]
    pub csv_safe: bool,
    /// When to end a file and begin another, and how long to keep files: `{ every = "1h", size = "256MiB", keep = "30d" }`. `path` is then
    /// a template: "out/{date}/{hour}-{epoch}.csv".
    #[serde(default)]
    pub roll: Option<Roll>,
}

inventory::submit! { Component::of::<CsvFile>("csv", "a file of delimited text") }

fn default_delimiter() -> String {
    ",".into()
}

impl CsvFile {
    /// A file at `path`, delimited by commas.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self {
            path: path.into(),
            delimiter: default_delimiter(),
            decimals: None,
            csv_safe: false,
            roll: None,
        }
    }

    fn written(&self) -> FileTarget {
        FileTarget::new(self.path.clone(), self.roll.clone())
    }

    fn encoder(&self) -> Result<CsvEncoder> {
        let delimiter = delimiter_of(&self.delimiter)?;
        Ok(CsvEncoder { delimiter, decimals: self.decimals, safe: self.csv_safe })
    }
}

impl SinkSpec for CsvFile {
    fn name(&self) -> &str {
        "csv"
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
        self.encoder()?;
        self.written().check(Some(schema))
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(EncodedText::open(&self.written(), self.encoder()?, schema, context)?))
    }
}
