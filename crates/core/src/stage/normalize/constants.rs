//! The two constants of a series, and the file that keeps those of many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Method, Normalize};
use crate::error::{Error, Result};
use crate::kernel::json_number;
use crate::paths::FilePath;

/// What a value is compared with: its distance from `zero` is divided by `unit`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Constants {
    /// Minimum, mean or median.
    #[serde(with = "json_number")]
    pub(super) zero: f64,
    /// Range, deviation or distance between the quartiles; 0 for a series that never changes.
    #[serde(with = "json_number")]
    pub(super) unit: f64,
}

impl Constants {
    /// Constants as a person gives them: for min_max, minimum and maximum.
    pub(super) fn new(method: Method, first: f64, second: f64) -> Result<Self> {
        if !first.is_finite() || !second.is_finite() {
            return Err(Error::config("a constant is not finite"));
        }
        let unit = if method == Method::MinMax { second - first } else { second };
        if unit < 0.0 {
            return Err(Error::config(format!(
                "{first} and {second} are in the wrong order, or a distance is negative"
            )));
        }
        Ok(Self { zero: first, unit })
    }

    /// The value on the common scale; 0 for a series that never changes.
    #[inline]
    pub(super) fn apply(self, value: f64, scale: Scale) -> f64 {
        if value.is_nan() {
            return value;
        }
        if self.unit == 0.0 {
            return 0.0;
        }
        let scaled = (value - self.zero) / self.unit;
        match scale {
            Scale::Distance => scaled,
            Scale::Range { low, high } => low + scaled * (high - low),
            Scale::Clipped { low, high } => (low + scaled * (high - low)).clamp(low, high),
        }
    }
}

/// What the distance from `zero`, in units, becomes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scale {
    /// Itself.
    Distance,
    /// 0 becomes the low end, 1 the high end.
    Range { low: f64, high: f64 },
    /// The same, and what lies outside the range its nearer end.
    Clipped { low: f64, high: f64 },
}

impl Scale {
    pub(super) fn of(options: &Normalize) -> Self {
        let [low, high] = options.range;
        match options.method {
            Method::MinMax if options.clip => Self::Clipped { low, high },
            Method::MinMax => Self::Range { low, high },
            Method::ZScore | Method::Robust => Self::Distance,
        }
    }
}

/// The constants of all series, by sensor and measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FitFile {
    /// Says what the file is.
    tidemill: String,
    version: u32,
    pub(super) method: Method,
    pub(super) series: BTreeMap<String, BTreeMap<String, Summary>>,
}

/// One series in the file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Summary {
    /// How many finite values there were.
    pub(super) count: u64,
    /// What they gave; nothing for a series without finite values.
    pub(super) constants: Option<Constants>,
}

const VERSION: u32 = 1;

impl FitFile {
    pub(super) fn new(method: Method, series: BTreeMap<String, BTreeMap<String, Summary>>) -> Self {
        Self { tidemill: "fit".into(), version: VERSION, method, series }
    }

    pub(super) fn get(&self, sensor: &str, column: &str) -> Option<Constants> {
        self.series.get(sensor)?.get(column)?.constants
    }

    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|error| Error::internal(format!("constants cannot be written: {error}")))
    }

    /// Reads and checks the text of the file at `path`.
    pub(super) fn parse(text: &str, path: &FilePath, method: Method) -> Result<Self> {
        let wrong =
            |what: String| Error::config(format!("`{path}` {what}")).with_help("make it anew with `fit`");
        let file: Self =
            serde_json::from_str(text).map_err(|error| wrong(format!("is no file of constants: {error}")))?;
        if file.tidemill != "fit" || file.version != VERSION {
            return Err(wrong(format!("is of version {}, not {VERSION}", file.version)));
        }
        if file.method != method {
            return Err(wrong(format!(
                "has the constants of `{}`, not of `{}`",
                file.method.as_str(),
                method.as_str()
            )));
        }
        Ok(file)
    }
}
