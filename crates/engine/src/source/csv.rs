//! `csv` and `tsv`: delimited text.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::Schema;

use super::file::FileOptions;
use super::{Component, OpenOptions, Source, SourceSpec, Traits};
use crate::atomic::Outputs;
use crate::error::Result;
use crate::files::Base;
use crate::format::columns::{ColumnOptions, Names};
use crate::format::csv::{Csv as CsvFormat, Dialect};
use crate::format::encoding::{Encoded, EncodingOptions};
use crate::format::unpivoted;
use crate::options::{Configure, Options, merged, parameters_of};
use crate::time::TimeParser;

/// Files of delimited text.
#[derive(Clone, Debug)]
pub struct Csv {
    /// Which files.
    pub files: FileOptions,
    /// What the columns are.
    pub columns: ColumnOptions,
    /// How the text is laid out.
    pub dialect: Dialect,
    /// How its characters are written.
    pub encoding: EncodingOptions,
}

inventory::submit! { Component::of::<Csv>("csv", "delimited text: one file or many, plain or compressed") }

/// The extensions that a directory's files are known by.
const EXTENSIONS: [&str; 3] = ["csv", "tsv", "txt"];

impl Csv {
    /// The file, glob or directory `path`.
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

    /// The columns with numbers.
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
        // All are read before any is missed, so that everything wrong is found.
        let (files, columns) = (options.take(), options.take());
        let (dialect, encoding) = (options.take(), options.take());
        Some(Self { files: files?, columns: columns?, dialect: dialect?, encoding: encoding? })
    }
}

impl SourceSpec for Csv {
    fn name(&self) -> &str {
        "csv"
    }

    fn parameters(&self) -> serde_json::Value {
        merged([
            parameters_of(&self.files),
            parameters_of(&self.columns),
            parameters_of(&self.dialect),
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
        let format = CsvFormat::new(&self.dialect, &self.columns)?.with_origins(options.origins);
        let format = Encoded::new(format, &self.encoding)?;
        Ok(Box::new(self.files.open(unpivoted(Arc::new(format)), &EXTENSIONS, options)?))
    }
}

/// Files of tab-separated text: `csv` with another default.
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

impl SourceSpec for Tsv {
    fn name(&self) -> &str {
        "tsv"
    }

    fn parameters(&self) -> serde_json::Value {
        self.0.parameters()
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn files(&self, outputs: &Outputs) -> Vec<PathBuf> {
        SourceSpec::files(&self.0, outputs)
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        let csv = Csv { files: self.0.files.with_base(base), ..self.0.clone() };
        Some(Arc::new(Self(csv)))
    }

    fn times(&self) -> Result<Option<TimeParser>> {
        self.0.times()
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        self.0.open(options)
    }
}
