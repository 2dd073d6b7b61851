//! `jsonl`: JSON Lines.

use std::sync::Arc;

use schemars::Schema;

use super::file::FileOptions;
use super::text::TextSource;
use super::{Component, OpenOptions};
use crate::error::Result;
use crate::format::Format;
use crate::format::columns::ColumnOptions;
use crate::format::encoding::{Encoded, EncodingOptions};
use crate::format::jsonl::{JsonLines as JsonFormat, JsonOptions};
use crate::options::{Configure, Options, merged, parameters_of};
use crate::time::TimeParser;

/// Files of JSON Lines.
#[derive(Clone, Debug)]
pub struct JsonLines {
    /// The files to read.
    pub files: FileOptions,
    /// The columns.
    pub columns: ColumnOptions,
    /// The treatment of unknown fields.
    pub json: JsonOptions,
    /// The character encoding.
    pub encoding: EncodingOptions,
}

inventory::submit! { Component::of::<JsonLines>("jsonl", "JSON: one object per record, on one line or several") }

impl JsonLines {
    /// Reads `path`, a file, glob or folder, with these columns.
    pub fn new(path: impl Into<String>, columns: ColumnOptions) -> Self {
        Self {
            files: FileOptions::from(path.into()),
            columns,
            json: JsonOptions::default(),
            encoding: EncodingOptions::default(),
        }
    }
}

impl Configure for JsonLines {
    fn schemas() -> Vec<Schema> {
        vec![
            schemars::schema_for!(FileOptions),
            schemars::schema_for!(ColumnOptions),
            schemars::schema_for!(JsonOptions),
            schemars::schema_for!(EncodingOptions),
        ]
    }

    fn configure(options: &mut Options) -> Option<Self> {
        // All options are read before any error returns, so that every mistake is reported.
        let (files, columns) = (options.take(), options.take());
        let (json, encoding) = (options.take(), options.take());
        Some(Self { files: files?, columns: columns?, json: json?, encoding: encoding? })
    }
}

impl TextSource for JsonLines {
    const NAME: &'static str = "jsonl";
    const EXTENSIONS: &'static [&'static str] = &["jsonl", "ndjson", "json", "json-seq"];

    fn file_options(&self) -> &FileOptions {
        &self.files
    }

    fn with_files(&self, files: FileOptions) -> Self {
        Self { files, ..self.clone() }
    }

    fn format_parameters(&self) -> serde_json::Value {
        merged([parameters_of(&self.columns), parameters_of(&self.json), parameters_of(&self.encoding)])
    }

    fn time_parser(&self) -> Result<Option<TimeParser>> {
        self.columns.times().map(Some)
    }

    fn format(&self, options: &OpenOptions) -> Result<Arc<dyn Format>> {
        let format = JsonFormat::new(&self.json, &self.columns)?.with_origins(options.origins);
        Ok(Arc::new(Encoded::new(format, &self.encoding)?))
    }
}
