//! Options for the columns of the input.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Unpivot;
use crate::batch::FieldType;
use crate::error::{Error, Result};

/// Options for the columns of the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ColumnOptions {
    /// The column with the event time; without one, records have no time. Several columns, such as ["Date", "Time"], are joined with a
    /// space to a column called `time`.
    pub time: Option<Names>,
    /// How times are written: "rfc3339" (ISO 8601 forms such as 2020-07-19T23:06 and 20200719T230640 too), a strptime pattern such as "%d.%m.%Y %H:%M:%S", "s", "ms", "us" or "ns" since 1970
    /// (or since `start`), or days: "excel" (since 1899-12-30, as OLE counts them too), "excel1904" (since 1904-01-01), "julian", "mjd" (modified Julian days).
    pub time_format: String,
    /// The time zone of times without an offset: an IANA name such as "Europe/Berlin", with its daylight saving time, or an offset such as
    /// "+01:00"; UTC if not given.
    pub timezone: Option<String>,
    /// The offsets of time zone abbreviations, such as { CET = "+01:00", CEST = "+02:00" }. In a pattern they are %Z.
    pub zones: BTreeMap<String, String>,
    /// The start of relative times, such as "2024-01-01T00:00:00Z": "s", "ms", "us" and "ns" count from it; times of day ("%H:%M:%S") begin
    /// on its day, and a new day begins whenever they decrease within a series, even by a second (by more than `disorder`, if that is
    /// given).
    pub start: Option<String>,
    /// The column with the sensor's name; without one, each file is one sensor, named after the file. A template of column names in braces,
    /// such as "{model}-{id}", composes it of several columns, to a column called `sensor`.
    pub sensor: Option<String>,
    /// The name of the single sensor of the whole input; instead of `sensor`.
    pub sensor_name: Option<String>,
    /// The numeric columns, by name or glob; if not given, those that have only numbers in the first 1,000 records of the first file,
    /// within its first MiB. All other columns are carried through as text.
    pub measurements: Option<Vec<String>>,
    /// The types of columns, by name or glob, such as { count = "u64", ok = "bool", serial = "text" }: "f64", "i64", "u64", "bool" or
    /// "text"; the last match wins. A column with a type other than "text" is a measurement. By default, numbers in text are "f64", and
    /// typed columns keep their type. A value that is not of the type is rejected.
    pub types: IndexMap<String, FieldType>,
    /// The columns to read, by name or glob such as "T_*", in addition to those that `time`, `sensor`, `measurements` and `types` name; all
    /// if not given. Other columns are ignored, which also saves the time to read them.
    pub columns: Option<Vec<String>>,
    /// New names for columns, such as { "Temp [°C]" = "temp" }. All other options use the new names.
    pub rename: IndexMap<String, String>,
    /// What to do if the files of one input have different columns: `error`; `null` takes the union of the columns, with null where a file
    /// does not have a column; `ignore` takes the columns of the first file, with null for missing ones, and ignores other columns.
    pub unknown_columns: UnknownColumns,
    /// Turns every measurement into a record of its own, whose sensor is named after the column: for files with one column per sensor.
    /// `sensor` ("{column}") is the sensor's name, a template of {column} and {sensor}, the sensor of the wide record; `value` ("value")
    /// names the column with the values; `nulls` says whether a null makes no record (`drop`) or a record with null (`keep`). All have
    /// defaults: unpivot = {}.
    pub unpivot: Option<Unpivot>,
    /// Texts that mean a missing value in times, sensors and measurements, in addition to the empty field; carried text is not affected.
    /// Numeric ones are compared as numbers: with "-999", "-999.0" is missing too.
    pub null_values: Vec<String>,
    /// The decimal mark of numbers; in JSON, of numbers in quotes.
    pub decimal: Decimal,
    /// The separator between groups of three digits, such as "," in 1,234.5; none if not given. A space also matches no-break spaces.
    pub thousands: Option<String>,
    /// The unit that may follow the numbers of a column, by name or glob, such as { "T_*" = "°C" }. It is removed, not converted; the last
    /// match wins.
    pub unit_suffixes: IndexMap<String, String>,
    /// The units of measurements, by name or glob, such as { "T_*" = "degC" }: any text, which goes with the column; values are never converted. The
    /// last match wins; without one, the unit is that of the input (`units_row`, metadata of Parquet columns).
    pub units: IndexMap<String, String>,
    /// Words read as 1 in measurements, case-insensitive; ["true"] if not given. If given, columns that contain only such words are
    /// measurements.
    pub true_words: Option<Vec<String>>,
    /// Words read as 0, case-insensitive; ["false"] if not given.
    pub false_words: Option<Vec<String>>,
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
            types: IndexMap::new(),
            columns: None,
            rename: IndexMap::new(),
            unknown_columns: UnknownColumns::Error,
            unpivot: None,
            null_values: Vec::new(),
            decimal: Decimal::Point,
            thousands: None,
            unit_suffixes: IndexMap::new(),
            units: IndexMap::new(),
            true_words: None,
            false_words: None,
        }
    }
}

impl ColumnOptions {
    /// Checks the options for `what`, a format whose records name their own fields.
    ///
    /// # Errors
    /// A configuration error for an option that does not apply to such formats.
    pub(in crate::format) fn check_named_fields(&self, what: &str) -> Result<()> {
        if self.unknown_columns != UnknownColumns::Ignore {
            return Ok(());
        }
        Err(Error::config(format!(
            "unknown_columns = \"ignore\" has no meaning for {what}: records name their own fields"
        ))
        .with_help("set unknown_fields = \"ignore\" to leave out what the first records did not have"))
    }
}

/// One name or an ordered list of names, such as the columns that a text is composed of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the name of a column or a list of names")]
pub enum Names {
    /// A single name.
    One(String),
    /// Several names, in this order.
    Many(Vec<String>),
}

impl Names {
    /// All names, in order.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

impl<T: Into<String>> From<T> for Names {
    fn from(name: T) -> Self {
        Self::One(name.into())
    }
}

/// What to do if the files of one input have different columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnknownColumns {
    /// The run ends with an error.
    #[default]
    Error,
    /// The union of the columns of all files.
    Null,
    /// The columns of the first file.
    Ignore,
}

/// A decimal mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum Decimal {
    /// 19.5
    #[default]
    #[serde(rename = ".")]
    Point,
    /// 19,5
    #[serde(rename = ",")]
    Comma,
}

/// Checks that each column has one role. `parts` are the columns that the time and the sensor are composed of.
pub(super) fn check_named_once(options: &ColumnOptions, parts: &[&str]) -> Result<()> {
    let measurements = options.measurements.iter().flatten().map(String::as_str);
    let named: Vec<_> = parts.iter().copied().chain(measurements).collect();
    match named.iter().enumerate().find(|(at, name)| named[..*at].contains(name)) {
        None => Ok(()),
        Some((_, name)) => Err(Error::config(format!(
            "column `{name}` is named twice in `time`, `sensor` and `measurements`"
        ))
        .with_help("a column is one of these only")),
    }
}
