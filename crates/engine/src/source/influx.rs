//! `influx`: InfluxDB line protocol.

use std::sync::Arc;

use schemars::Schema;

use super::file::FileOptions;
use super::text::TextSource;
use super::{Component, OpenOptions};
use crate::error::{Error, Result};
use crate::format::Format;
use crate::format::encoding::{Encoded, EncodingOptions};
use crate::format::influx::{Influx as InfluxFormat, InfluxOptions, MissingTime};
use crate::options::{Configure, Options, parameters_of};
use crate::time::TimeParser;

/// Files of InfluxDB line protocol.
#[derive(Clone, Debug)]
pub struct Influx {
    /// The files to read.
    pub files: FileOptions,
    /// The columns.
    pub influx: InfluxOptions,
}

inventory::submit! { Component::of::<Influx>("influx", "InfluxDB line protocol: one record per line") }

/// Options of other formats that do not apply here: names, reason and remedy.
const MEANINGLESS: [(&[&str], &str, &str); 4] = [
    (
        &["time_format", "timezone", "zones", "start"],
        "timestamps of line protocol are whole numbers that count from 1970-01-01 UTC",
        "`precision` gives their unit",
    ),
    (
        &["decimal", "thousands", "unit_suffixes"],
        "line protocol itself defines the notation of numbers",
        "anything else is a string; `null_values`, `true_words` and `false_words` give meanings to strings",
    ),
    (&["encoding"], "line protocol is UTF-8", "leave it out, or change the encoding of the file"),
    (
        &["layout", "unfold", "delimiter", "header"],
        "line protocol has one record per line, each with its own names",
        "leave it out",
    ),
];

impl Influx {
    /// Reads `path`, a file, glob or folder, with these columns.
    pub fn new(path: impl Into<String>, options: InfluxOptions) -> Self {
        Self { files: FileOptions::from(path.into()), influx: options }
    }
}

impl Configure for Influx {
    fn schemas() -> Vec<Schema> {
        vec![schemars::schema_for!(FileOptions), schemars::schema_for!(InfluxOptions)]
    }

    fn configure(options: &mut Options) -> Option<Self> {
        for (names, why, help) in MEANINGLESS {
            names.iter().for_each(|name| options.refuse(name, why, help));
        }
        // Both are read before an error returns, so that every mistake is reported.
        let (files, influx) = (options.take(), options.take());
        Some(Self { files: files?, influx: influx? })
    }
}

impl TextSource for Influx {
    const NAME: &'static str = "influx";
    const EXTENSIONS: &'static [&'static str] = &["lp", "influx"];

    fn file_options(&self) -> &FileOptions {
        &self.files
    }

    fn with_files(&self, files: FileOptions) -> Self {
        Self { files, ..self.clone() }
    }

    fn format_parameters(&self) -> serde_json::Value {
        parameters_of(&self.influx)
    }

    /// `precision` alone describes the times.
    fn time_parser(&self) -> Result<Option<TimeParser>> {
        Ok(None)
    }

    fn format(&self, options: &OpenOptions) -> Result<Arc<dyn Format>> {
        if self.influx.missing_time == MissingTime::Arrival
            && let Some(path) = self.files.at_rest()
        {
            let message = format!(
                "missing_time = \"arrival\": `{path}` is a file at rest, whose records have no arrival time"
            );
            return Err(Error::config(message)
                .with_help("read from a pipe, a socket or standard input, or replay a recording"));
        }
        let mut format = InfluxFormat::new(&self.influx)?.with_origins(options.origins);
        if self.files.sensor_from.is_some() {
            format = format.with_sensors_of_files();
        }
        format.check_unpivot()?;
        // Line protocol is UTF-8; text that is marked as UTF-16 is accepted all the same.
        Ok(Arc::new(Encoded::new(format, &EncodingOptions::default())?))
    }
}
