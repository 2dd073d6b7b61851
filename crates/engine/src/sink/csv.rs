//! `csv`: delimited text.

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
use crate::format::csv::{CsvEncoder, delimiter_of};
use crate::options::parameters_of;

/// A file of delimited text as RFC 4180, with a header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvFile {
    /// The file; "-" is standard output. Folders on the way are made.
    pub path: FilePath,
    /// The byte between fields, such as ",", ";" or "\t".
    #[serde(default = "default_delimiter")]
    pub delimiter: String,
    /// Digits behind the decimal point; the shortest text that reads back to the same bits if not given.
    #[serde(default)]
    pub decimals: Option<u8>,
    /// Whether text that begins with = + - @, a tab or a line end gets an apostrophe in front, so that spreadsheets do not run it.
    #[serde(default)]
    pub csv_safe: bool,
    /// When a file ends and another begins, and how long they stay: `{ every = "1h", size = "256MiB", keep = "30d" }`. `path` says then how they
    /// are called: "out/{date}/{hour}-{epoch}.csv".
    #[serde(default)]
    pub roll: Option<Roll>,
}

inventory::submit! { Component::of::<CsvFile>("csv", "a file of delimited text") }

fn default_delimiter() -> String {
    ",".into()
}

impl CsvFile {
    /// The file `path`, with commas.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self {
            path: path.into(),
            delimiter: default_delimiter(),
            decimals: None,
            csv_safe: false,
            roll: None,
        }
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
        self.encoder()?;
        match &self.roll {
            Some(roll) => roll.check(&self.path, Some(schema)),
            None => atomic::check(&self.path),
        }
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, schema: &Arc<Schema>, outset: &Outset) -> Result<Box<dyn Sink>> {
        let (path, encoder) = (&self.path, self.encoder()?);
        Ok(match &self.roll {
            Some(roll) => Box::new(RollingFile::open(path, roll, encoder, schema, outset)?),
            None => Box::new(EncodedFile::create(path, encoder, schema, outset)?),
        })
    }
}
