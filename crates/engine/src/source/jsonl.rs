//! `jsonl`: JSON Lines.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::Schema;

use super::file::FileOptions;
use super::{Component, OpenOptions, Source, SourceSpec, Traits};
use crate::atomic::Outputs;
use crate::error::Result;
use crate::files::Base;
use crate::format::columns::ColumnOptions;
use crate::format::encoding::{Encoded, EncodingOptions};
use crate::format::jsonl::{JsonLines as JsonFormat, JsonOptions};
use crate::format::unpivoted;
use crate::options::{Configure, Options, merged, parameters_of};
use crate::time::TimeParser;

/// Files of JSON Lines.
#[derive(Clone, Debug)]
pub struct JsonLines {
    /// Which files.
    pub files: FileOptions,
    /// What the columns are.
    pub columns: ColumnOptions,
    /// What is done with unknown fields.
    pub json: JsonOptions,
    /// How its characters are written.
    pub encoding: EncodingOptions,
}

inventory::submit! { Component::of::<JsonLines>("jsonl", "JSON: one object a record, one a line or otherwise") }

/// The extensions that a directory's files are known by.
const EXTENSIONS: [&str; 4] = ["jsonl", "ndjson", "json", "json-seq"];

impl JsonLines {
    /// The file, glob or directory `path`, with these columns.
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
        // All are read before any is missed, so that everything wrong is found.
        let (files, columns) = (options.take(), options.take());
        let (json, encoding) = (options.take(), options.take());
        Some(Self { files: files?, columns: columns?, json: json?, encoding: encoding? })
    }
}

impl SourceSpec for JsonLines {
    fn name(&self) -> &str {
        "jsonl"
    }

    fn parameters(&self) -> serde_json::Value {
        merged([
            parameters_of(&self.files),
            parameters_of(&self.columns),
            parameters_of(&self.json),
            parameters_of(&self.encoding),
        ])
    }

    fn traits(&self) -> Traits {
        self.files.traits()
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn files(&self, outputs: &Outputs) -> Vec<PathBuf> {
        self.files.paths(&EXTENSIONS, outputs)
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        Some(Arc::new(Self { files: self.files.with_base(base), ..self.clone() }))
    }

    fn times(&self) -> Result<Option<TimeParser>> {
        self.columns.times().map(Some)
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let format = JsonFormat::new(&self.json, &self.columns)?.with_origins(options.origins);
        let format = Encoded::new(format, &self.encoding)?;
        Ok(Box::new(self.files.open(unpivoted(Arc::new(format)), &EXTENSIONS, options)?))
    }
}
