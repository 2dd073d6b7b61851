//! The options that say what the columns of the input are.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Unpivot;
use crate::batch::FieldType;
use crate::error::{Error, Result};

/// What the columns of the input are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ColumnOptions {
    /// The column with the event time; without one, records have no time. A list such as ["Date", "Time"] is put together, with a
    /// blank between the texts, to a column called `time`.
    pub time: Option<Names>,
    /// How times are written: "rfc3339" (ISO 8601 forms such as 2020-07-19T23:06 and 20200719T230640 too), a strptime pattern such as "%d.%m.%Y %H:%M:%S", "s", "ms", "us" or "ns" since 1970
    /// (or since `start`), or days: "excel" (since 1899-12-30, as OLE counts them too), "excel1904" (since 1904-01-01), "julian", "mjd" (modified Julian days).
    pub time_format: String,
    /// The time zone of times without an offset: an IANA name such as "Europe/Berlin", whose clocks change as they do there, or an offset such as
    /// "+01:00"; UTC if not given.
    pub timezone: Option<String>,
    /// What abbreviations of time zones in times stand for, such as { CET = "+01:00", CEST = "+02:00" }. In a pattern they are %Z.
    pub zones: BTreeMap<String, String>,
    /// When times begin that do not say so themselves, such as "2024-01-01T00:00:00Z": "s", "ms", "us" and "ns" count from then; times of day
    /// ("%H:%M:%S") are those from then on, and begin a new day where they would run back within their series, be it by a second (by more than
    /// `disorder`, where that is given).
    pub start: Option<String>,
    /// The column with the sensor's name; without one, each file is one sensor, named after the file. With column names in braces,
    /// such as "{model}-{id}", it is put together from several, to a column called `sensor`.
    pub sensor: Option<String>,
    /// The name of the one sensor that the whole input is of; instead of `sensor`.
    pub sensor_name: Option<String>,
    /// The columns with numbers, by name or glob; if not given, those that have nothing but numbers in the first 1,000 records of the
    /// first file, as far as they lie in its first MiB. All other columns are carried through as text.
    pub measurements: Option<Vec<String>>,
    /// What the values of columns are, by name or glob, such as { count = "u64", ok = "bool", serial = "text" }: "f64", "i64", "u64", "bool" or
    /// "text"; the last match wins. A column with a type other than "text" is a measurement. Without it, numbers in text are "f64", and
    /// columns that have a type keep it. A value that is none of the type is refused.
    pub types: IndexMap<String, FieldType>,
    /// The columns to read, by name or glob such as "T_*", besides those that `time`, `sensor`, `measurements` and `types` name; all if not given.
    /// The others are left out, which also saves the time of reading them.
    pub columns: Option<Vec<String>>,
    /// Other names for columns, such as { "Temp [°C]" = "temp" }. All other options speak of the new names.
    pub rename: IndexMap<String, String>,
    /// What happens where the files of one input have different columns: `error`; `null` takes the columns of all files, and what a file does
    /// not have is null; `ignore` takes the columns of the first file, what another does not have is null, and what it has besides is left out.
    pub unknown_columns: UnknownColumns,
    /// Makes a record of every measurement, whose sensor is named after the column: for files with one column a sensor. `sensor` ("{column}")
    /// is the sensor's name, made of {column} and of {sensor}, the sensor of the wide record; `value` ("value") names the column with the values;
    /// `nulls` says whether nulls make no record (`drop`) or one with a null (`keep`). All have defaults: unpivot = {}.
    pub unpivot: Option<Unpivot>,
    /// Texts that stand for a missing value in times, sensors and measurements, besides the empty field; other text stays as it is. Those that are numbers are compared as numbers: with "-999",
    /// "-999.0" is missing too.
    pub null_values: Vec<String>,
    /// The decimal mark of numbers; of JSON, that of those in quotes.
    pub decimal: Decimal,
    /// The character between groups of three digits, such as "," in 1,234.5; none if not given. A blank stands for no-break
    /// spaces too.
    pub thousands: Option<String>,
    /// The unit that may stand behind the numbers of a column, by name or glob, such as { "T_*" = "°C" }. It is left out, not converted;
    /// the last match wins.
    pub unit_suffixes: IndexMap<String, String>,
    /// Words that are read as 1 in measurements, in any case; ["true"] if not given. Where it is given, columns of nothing but such words
    /// are measurements.
    pub true_words: Option<Vec<String>>,
    /// Words that are read as 0, likewise; ["false"] if not given.
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
            true_words: None,
            false_words: None,
        }
    }
}

impl ColumnOptions {
    /// The options are for `what`, whose records name their own fields.
    ///
    /// # Errors
    /// A configuration error where they ask for what has no meaning then.
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

/// A name, or several in their order: of columns that are put together, of parts that are taken from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the name of a column or a list of names")]
pub enum Names {
    /// One.
    One(String),
    /// Several, in this order.
    Many(Vec<String>),
}

impl Names {
    /// All of them.
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

/// What happens where the files of one input have different columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownColumns {
    /// It is an error.
    #[default]
    Error,
    /// The columns are those of all files.
    Null,
    /// The columns are those of the first file.
    Ignore,
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

/// A column has one meaning. `parts` are the columns that the time and the sensor are put together from.
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
