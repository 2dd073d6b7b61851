//! `parquet`: Parquet files.

mod file;
mod library;
mod local;
#[cfg(test)]
mod parallel_tests;
mod reader;
mod relay;
mod remote;
mod sample;
mod segments;
mod statistics;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use schemars::Schema as JsonSchema;

use self::file::ParquetFile;
use self::reader::ParquetReader;
pub use self::sample::sample;
use super::file::{FileOptions, ResumePosition};
use super::{OpenOptions, Resumption, Source, SourceSpec, Traits};
use crate::atomic::Outputs;
use crate::error::{Error, Result};
use crate::files::Base;
use crate::format::columns::{ColumnOptions, Columns};
use crate::options::{Configure, Options, merged, parameters_of};
use crate::source::Component;
use crate::time::TimeParser;

/// Parquet files. `null_values` and `decimal` apply to text columns; `time_format` to times stored as integers or text, `timezone` to those
/// stored without a zone. Nested columns (lists or structs) are left out.
#[derive(Clone, Debug)]
pub struct Parquet {
    /// The files to read.
    pub files: FileOptions,
    /// The columns.
    pub columns: ColumnOptions,
}

inventory::submit! { Component::of::<Parquet>("parquet", "Parquet files: one or many") }

/// The extensions of files read in a folder.
const EXTENSIONS: [&str; 2] = ["parquet", "pq"];

impl Parquet {
    /// Reads `path`, a file, glob or folder, with these columns.
    pub fn new(path: impl Into<String>, columns: ColumnOptions) -> Self {
        Self { files: FileOptions::from(path.into()), columns }
    }
}

impl Parquet {
    /// A source that was read to its end: its files need not exist any more.
    fn finished(&self, resume: &Resumption, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let columns = Columns::new(&self.columns)?.without_unpivot("parquet")?;
        let schema =
            ResumePosition::from_bytes(&resume.place)?.schema()?.with_local_times(columns.may_be_local());
        let reader = ParquetReader::new(Vec::new(), columns, Arc::new(schema), 0, options)?;
        Ok(Box::new(reader.finished(&resume.place)))
    }
}

impl Configure for Parquet {
    fn schemas() -> Vec<JsonSchema> {
        vec![schemars::schema_for!(FileOptions), schemars::schema_for!(ColumnOptions)]
    }

    fn configure(options: &mut Options) -> Option<Self> {
        let (files, columns) = (options.take(), options.take());
        Some(Self { files: files?, columns: columns? })
    }
}

impl SourceSpec for Parquet {
    fn name(&self) -> &str {
        "parquet"
    }

    fn parameters(&self) -> serde_json::Value {
        merged([parameters_of(&self.files), parameters_of(&self.columns)])
    }

    fn traits(&self) -> Traits {
        self.files.traits()
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

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        if let Some(resume) = options.resume.as_ref().filter(|resume| resume.finishes) {
            return self.finished(resume, options);
        }
        let files = self.files.files_of_run(&EXTENSIONS, options)?;
        let (first, rest) = files.split_first().ok_or_else(|| Error::config("`path` is empty"))?;
        let columns = Columns::new(&self.columns)?.without_unpivot("parquet")?;
        self.files.check_sensors(&files, columns.are_sensors_files())?;
        let first = ParquetFile::open(first)?;
        let (mut schema, mut total) = (first.schema(&columns)?, first.records());
        // An unreadable file must be reported at the start, not when its turn comes.
        for file in rest {
            let (name, file) = (&file.name, ParquetFile::open(file)?);
            total = total.saturating_add(file.records());
            if columns.are_joined() {
                schema = Columns::joined(&schema, &file.schema(&columns)?)?;
            }
            schema = file.with_units(schema, (&*files[0].name, &**name), &columns)?;
        }
        let schema = Arc::new(columns.declared(&schema)?);
        Ok(Box::new(ParquetReader::new(files, columns, schema, total, options)?))
    }
}
