//! The options of line protocol.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::FieldType;
use crate::format::columns::{UnknownColumns, Unpivot};
use crate::format::jsonl::UnknownFields;

/// Options of line protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InfluxOptions {
    /// The unit of the timestamps.
    pub precision: Precision,
    /// What to do with a record without a timestamp: `reject` it, or use the time of its `arrival` by this machine's clock. Arrival times
    /// exist only for live input and its recordings, not for files.
    pub missing_time: MissingTime,
    /// The name of the time column.
    pub time: String,
    /// The tag with the sensor's name; without one, the sensor is the series: the table and the tags as written, in a column `sensor`. A
    /// template of tag names in braces, such as "{host}-{dc}", composes it of several tags, to a column called `sensor`; the name of the
    /// table's column refers to the table.
    pub sensor: Option<String>,
    /// The name of the single sensor of the whole input; instead of `sensor`.
    pub sensor_name: Option<String>,
    /// The numeric fields; if not given, those that have only numbers in the first 1,000 records of the first file, within its first MiB. A
    /// glob selects among those. Booleans in them are "bool"; strings are read only as `null_values`, `true_words` and `false_words`
    /// define.
    pub measurements: Option<Vec<String>>,
    /// The types of fields, by name or glob, such as { count = "u64" }: "f64", "i64", "u64", "bool" or "text"; the last match wins. A field
    /// with a type other than "text" is a measurement. By default, a field has its type in the first 1,000 records, and is "f64" if it has
    /// several types, does not occur, or if the columns are known before the first record. A value that is not of the type is rejected.
    pub types: IndexMap<String, FieldType>,
    /// The units of measurements, by name or glob, such as { "T_*" = "degC" }: any text, which goes with the column; values are never converted. The
    /// last match wins.
    pub units: IndexMap<String, String>,
    /// The tags and fields carried through as text, by name or glob; if not given, all others in the first 1,000 records of the first file.
    /// If neither `measurements` nor `texts` contains a glob, the columns are known before the first record.
    pub texts: Option<Vec<String>>,
    /// The tags and fields to read, by name or glob such as "T_*", in addition to those that `sensor` and `measurements` name; all if not
    /// given. All others are ignored; `table` is read only if it is listed here. Instead of `texts`.
    pub columns: Option<Vec<String>>,
    /// New names for tags and fields, such as { "Temp [°C]" = "temp" }. All other options use the new names.
    pub rename: IndexMap<String, String>,
    /// The name of the column with the table's name (called measurement in older versions of line protocol); "" leaves it out.
    pub table: String,
    /// What to do with a record with a tag or field that has no column: `reject` it, or `ignore` the tag or field.
    pub unknown_fields: UnknownFields,
    /// What to do if the files of one input have different columns: the columns are those of its first file (`error`: other tags and fields
    /// are handled by `unknown_fields`), or the union of all files (`null`).
    pub unknown_columns: UnknownColumns,
    /// Turns every measurement into a record of its own, whose sensor is named after the field. `sensor` ("{column}") is the sensor's name,
    /// a template of {column} and {sensor}, the sensor of the wide record; `value` ("value") names the column with the values; `nulls` says
    /// whether a null makes no record (`drop`) or a record with null (`keep`). If the input has several sensors, `sensor` must contain
    /// {sensor}.
    pub unpivot: Option<Unpivot>,
    /// Values that mean a missing value in times, sensors and measurements, in addition to empty strings; carried text is not affected.
    /// Numeric ones are compared as numbers: with "-999", -999.0 and -999i are missing; others are compared with strings.
    pub null_values: Vec<String>,
    /// Strings read as 1 in measurements, case-insensitive; none if not given. If given, fields that contain only such strings are
    /// measurements. Booleans need no words.
    pub true_words: Option<Vec<String>>,
    /// Strings read as 0, case-insensitive.
    pub false_words: Option<Vec<String>>,
}

impl Default for InfluxOptions {
    fn default() -> Self {
        Self {
            precision: Precision::Nanoseconds,
            missing_time: MissingTime::Reject,
            time: "time".into(),
            sensor: None,
            sensor_name: None,
            measurements: None,
            types: IndexMap::new(),
            units: IndexMap::new(),
            texts: None,
            columns: None,
            rename: IndexMap::new(),
            table: "table".into(),
            unknown_fields: UnknownFields::Reject,
            unknown_columns: UnknownColumns::Error,
            unpivot: None,
            null_values: Vec::new(),
            true_words: None,
            false_words: None,
        }
    }
}

/// What to do with a record without a timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissingTime {
    /// The record is rejected.
    #[default]
    Reject,
    /// Its time is the arrival time.
    Arrival,
}

/// The unit of the timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum Precision {
    /// Nanoseconds.
    #[default]
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
}

impl Precision {
    /// The name of the time format.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    /// Nanoseconds per unit.
    pub(super) fn nanos(self) -> i64 {
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
            Self::Milliseconds => 1_000_000,
            Self::Seconds => 1_000_000_000,
        }
    }
}
