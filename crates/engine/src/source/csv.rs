//! `csv` and `tsv`: delimited text.

use std::sync::Arc;

use schemars::Schema;

use super::file::FileOptions;
use super::text::TextSource;
use super::{Component, OpenOptions};
use crate::error::Result;
use crate::format::Format;
use crate::format::columns::{ColumnOptions, Names};
use crate::format::csv::{Csv as CsvFormat, Dialect};
use crate::format::encoding::{Encoded, EncodingOptions};
use crate::options::{Configure, Options, merged, parameters_of};
use crate::time::TimeParser;

/// Files of delimited text.
#[derive(Clone, Debug)]
pub struct Csv {
    /// The files to read.
    pub files: FileOptions,
    /// The columns.
    pub columns: ColumnOptions,
    /// Delimiter, quoting and lines to skip.
    pub dialect: Dialect,
    /// The character encoding.
    pub encoding: EncodingOptions,
}

inventory::submit! { Component::of::<Csv>("csv", "delimited text: one file or many, plain or compressed") }

impl Csv {
    /// Reads `path`: a file, glob or folder.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            files: FileOptions::from(path.into()),
            columns: ColumnOptions::default(),
            dialect: Dialect::default(),
            encoding: EncodingOptions::default(),
        }
    }

    /// The column with the event time.
    pub fn time(mut self, column: impl Into<String>) -> Self {
        self.columns.time = Some(Names::One(column.into()));
        self
    }

    /// The column with the sensor's name.
    pub fn sensor(mut self, column: impl Into<String>) -> Self {
        self.columns.sensor = Some(column.into());
        self
    }

    /// The columns of numbers.
    pub fn measurements<N: Into<String>>(mut self, columns: impl IntoIterator<Item = N>) -> Self {
        self.columns.measurements = Some(columns.into_iter().map(Into::into).collect());
        self
    }
}

impl Configure for Csv {
    fn schemas() -> Vec<Schema> {
        vec![
            schemars::schema_for!(FileOptions),
            schemars::schema_for!(ColumnOptions),
            schemars::schema_for!(Dialect),
            schemars::schema_for!(EncodingOptions),
        ]
    }

    fn configure(options: &mut Options) -> Option<Self> {
        // All options are read before any error returns, so that every mistake is reported.
        let (files, columns) = (options.take(), options.take());
        let (dialect, encoding) = (options.take(), options.take());
        Some(Self { files: files?, columns: columns?, dialect: dialect?, encoding: encoding? })
    }
}

impl TextSource for Csv {
    const NAME: &'static str = "csv";
    const EXTENSIONS: &'static [&'static str] = &["csv", "tsv", "txt"];

    fn file_options(&self) -> &FileOptions {
        &self.files
    }

    fn with_files(&self, files: FileOptions) -> Self {
        Self { files, ..self.clone() }
    }

    fn format_parameters(&self) -> serde_json::Value {
        merged([parameters_of(&self.columns), parameters_of(&self.dialect), parameters_of(&self.encoding)])
    }

    fn time_parser(&self) -> Result<Option<TimeParser>> {
        self.columns.times().map(Some)
    }

    fn format(&self, options: &OpenOptions) -> Result<Arc<dyn Format>> {
        let format = CsvFormat::new(&self.dialect, &self.columns)?.with_origins(options.origins);
        Ok(Arc::new(Encoded::new(format, &self.encoding)?))
    }
}

/// Files of tab-separated text: `csv` with another default delimiter.
#[derive(Clone, Debug)]
pub struct Tsv(pub Csv);

inventory::submit! { Component::of::<Tsv>("tsv", "tab-separated text: `csv` with the tab as delimiter") }

const TAB: &str = "\t";

impl Configure for Tsv {
    fn schemas() -> Vec<Schema> {
        let mut schemas = Csv::schemas();
        for schema in &mut schemas {
            if let Some(delimiter) = schema.pointer_mut("/properties/delimiter/default") {
                *delimiter = TAB.into();
            }
        }
        schemas
    }

    fn configure(options: &mut Options) -> Option<Self> {
        let is_set = options.has("delimiter");
        let mut csv = Csv::configure(options)?;
        if !is_set {
            csv.dialect.delimiter = TAB.into();
        }
        Some(Self(csv))
    }
}

impl TextSource for Tsv {
    const NAME: &'static str = "tsv";
    const EXTENSIONS: &'static [&'static str] = Csv::EXTENSIONS;

    fn file_options(&self) -> &FileOptions {
        self.0.file_options()
    }

    fn with_files(&self, files: FileOptions) -> Self {
        Self(self.0.with_files(files))
    }

    fn format_parameters(&self) -> serde_json::Value {
        self.0.format_parameters()
    }

    fn time_parser(&self) -> Result<Option<TimeParser>> {
        self.0.time_parser()
    }

    fn format(&self, options: &OpenOptions) -> Result<Arc<dyn Format>> {
        self.0.format(options)
    }
}
