//! `influx`: InfluxDB line protocol.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::Schema;

use super::file::FileOptions;
use super::{Component, OpenOptions, Source, SourceSpec, Traits};
use crate::atomic::Outputs;
use crate::error::{Error, Result};
use crate::files::Base;
use crate::format::encoding::{Encoded, EncodingOptions};
use crate::format::influx::{Influx as InfluxFormat, InfluxOptions, MissingTime};
use crate::format::unpivoted;
use crate::options::{Configure, Options, merged, parameters_of};

/// Files of InfluxDB line protocol.
#[derive(Clone, Debug)]
pub struct Influx {
    /// Which files.
    pub files: FileOptions,
    /// What their columns are.
    pub influx: InfluxOptions,
}

inventory::submit! { Component::of::<Influx>("influx", "InfluxDB line protocol: one record a line") }

/// The extensions that a directory's files are known by.
const EXTENSIONS: [&str; 2] = ["lp", "influx"];

/// Options of other formats that have no meaning here: why, and what to do instead.
const MEANINGLESS: [(&[&str], &str, &str); 4] = [
    (
        &["time_format", "timezone", "zones", "start"],
        "the timestamps of line protocol are whole numbers that count from 1970-01-01 UTC",
        "`precision` says their unit",
    ),
    (
        &["decimal", "thousands", "unit_suffixes"],
        "line protocol itself says how a number is written",
        "what stands there otherwise is a string; `null_values`, `true_words` and `false_words` say what strings mean",
    ),
    (&["encoding"], "line protocol is UTF-8", "leave it out, or change the encoding of the file"),
    (
        &["layout", "unfold", "delimiter", "header"],
        "line protocol has one record a line, each with its own names",
        "leave it out",
    ),
];

impl Influx {
    /// The file, glob or directory `path`, with these columns.
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
        // Both are read before either is missed, so that everything wrong is found.
        let (files, influx) = (options.take(), options.take());
        Some(Self { files: files?, influx: influx? })
    }
}

impl SourceSpec for Influx {
    fn name(&self) -> &str {
        "influx"
    }

    fn parameters(&self) -> serde_json::Value {
        merged([parameters_of(&self.files), parameters_of(&self.influx)])
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

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        if self.influx.missing_time == MissingTime::Arrival
            && let Some(path) = self.files.lying()
        {
            let message = format!(
                "missing_time = \"arrival\": `{path}` is a file, and what lies in files does not arrive"
            );
            return Err(Error::config(message)
                .with_help("read what comes over a pipe, a socket or standard input, or play a recording"));
        }
        let mut format = InfluxFormat::new(&self.influx)?.with_origins(options.origins);
        if self.files.sensor_from.is_some() {
            format = format.with_sensors_of_files();
        }
        format.check_unpivot()?;
        // Line protocol is UTF-8; what says that it is UTF-16 is read all the same.
        let format = Encoded::new(format, &EncodingOptions::default())?;
        Ok(Box::new(self.files.open(unpivoted(Arc::new(format)), &EXTENSIONS, options)?))
    }
}
