//! The options that say what the columns of the input are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What the columns of the input are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ColumnOptions {
    /// The column with the event time; without one, records have no time.
    pub time: Option<String>,
    /// How times are written: "rfc3339" (ISO 8601 forms such as 20200719T230640 too), a strptime pattern such as "%d.%m.%Y %H:%M:%S", "s", "ms", "us" or "ns" since 1970
    /// (or since `start`), or days: "excel" (since 1899-12-30, as OLE counts them too), "julian", "mjd" (modified Julian days).
    pub time_format: String,
    /// The IANA time zone of times without an offset, such as "Europe/Berlin"; UTC if not given.
    pub timezone: Option<String>,
    /// What abbreviations of time zones in times stand for, such as { CET = "+01:00", CEST = "+02:00" }. In a pattern they are %Z.
    pub zones: BTreeMap<String, String>,
    /// When times begin that do not say so themselves, such as "2024-01-01T00:00:00Z": "s", "ms", "us" and "ns" count from then; times of day
    /// ("%H:%M:%S") are those from then on, and begin a new day where they would run back within their series.
    pub start: Option<String>,
    /// The column with the sensor's name; without one, each file is one sensor, named after the file.
    pub sensor: Option<String>,
    /// The name of the one sensor that the whole input is of; instead of `sensor`.
    pub sensor_name: Option<String>,
    /// The columns with numbers; if not given, those that have nothing but numbers in the first 1,000 records of the first
    /// file, as far as they lie in its first MiB. All other columns are carried through as text.
    pub measurements: Option<Vec<String>>,
    /// Texts that stand for a missing value, besides the empty field.
    pub null_values: Vec<String>,
    /// The decimal mark of numbers.
    pub decimal: Decimal,
}

impl Default for ColumnOptions {
    fn default() -> Self {
        Self {
            time: None,
            time_format: "rfc3339".into(),
            timezone: None,
            zones: BTreeMap::new(),
            start: None,
            sensor: None,
            sensor_name: None,
            measurements: None,
            null_values: Vec::new(),
            decimal: Decimal::Point,
        }
    }
}

/// A decimal mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decimal {
    /// 19.5
    #[default]
    #[serde(rename = ".")]
    Point,
    /// 19,5
    #[serde(rename = ",")]
    Comma,
}

/// A column has one meaning.
pub(super) fn check_named_once(options: &ColumnOptions) -> Result<()> {
    let single = options.time.iter().chain(&options.sensor);
    let named: Vec<_> = single.chain(options.measurements.iter().flatten()).collect();
    match named.iter().enumerate().find(|(at, name)| named[..*at].contains(name)) {
        None => Ok(()),
        Some((_, name)) => Err(Error::config(format!(
            "column `{name}` is named twice in `time`, `sensor` and `measurements`"
        ))
        .with_help("a column is one of these only")),
    }
}
