//! The two constants of a series, and the file for those of many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Method, Normalize};
use crate::error::{Error, Result};
use crate::kernel::json_number;
use crate::paths::FilePath;

/// The scale of a series: the distance of a value from `zero` is divided by `unit`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Constants {
    /// Minimum, mean or median.
    #[serde(with = "json_number")]
    pub(super) zero: f64,
    /// Range, deviation or interquartile range; 0 for a constant series.
    #[serde(with = "json_number")]
    pub(super) unit: f64,
}

impl Constants {
    /// Constants as written in the options: for min_max, minimum and maximum.
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

    /// The scaled value; 0 for a constant series.
    #[inline]
    pub(super) fn apply(self, value: f64, scale: Scale) -> f64 {
        match scale {
            Scale::Distance => self.distance(value),
            Scale::Range { low, high } => self.in_range(value, low, high),
            Scale::Clipped { low, high } => self.clipped(value, low, high),
        }
    }

    /// Whether it scales to the same bits: 0 and -0 do not.
    pub(super) fn is_same(self, other: Self) -> bool {
        [self.zero, self.unit].map(f64::to_bits) == [other.zero, other.unit].map(f64::to_bits)
    }

    /// The scaled value for [`Scale::Distance`].
    #[inline]
    pub(super) fn distance(self, value: f64) -> f64 {
        self.map(value, |distance| distance)
    }

    /// The scaled value for [`Scale::Range`].
    #[inline]
    pub(super) fn in_range(self, value: f64, low: f64, high: f64) -> f64 {
        self.map(value, |distance| low + distance * (high - low))
    }

    /// The scaled value for [`Scale::Clipped`].
    #[inline]
    pub(super) fn clipped(self, value: f64, low: f64, high: f64) -> f64 {
        self.map(value, |distance| (low + distance * (high - low)).clamp(low, high))
    }

    /// `scaled` of the distance from `zero` in units.
    #[inline]
    fn map(self, value: f64, scaled: impl FnOnce(f64) -> f64) -> f64 {
        if value.is_nan() {
            return value;
        }
        if self.unit == 0.0 {
            return 0.0;
        }
        scaled((value - self.zero) / self.unit)
    }
}

/// How the distance from `zero`, in units, is mapped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scale {
    /// Unchanged.
    Distance,
    /// 0 is mapped to `low`, 1 to `high`.
    Range { low: f64, high: f64 },
    /// The same, clamped to the range.
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
    /// Identifies the file format.
    tidemill: String,
    version: u32,
    pub(super) method: Method,
    pub(super) series: BTreeMap<String, BTreeMap<String, Summary>>,
}

/// What such a file of any version has.
#[derive(Deserialize)]
struct AnyVersion {
    tidemill: String,
    version: u32,
}

/// One series in the file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Summary {
    /// The number of finite values.
    pub(super) count: u64,
    /// Their constants; `None` for a series without finite values.
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

    /// Parses and validates the text of the file at `path`.
    pub(super) fn parse(text: &str, path: &FilePath, method: Method) -> Result<Self> {
        let wrong =
            |what: String| Error::config(format!("`{path}` {what}")).with_help("create it again with `fit`");
        let other = |error: serde_json::Error| wrong(format!("is not a file of constants: {error}"));
        let AnyVersion { tidemill, version } = serde_json::from_str(text).map_err(other)?;
        if tidemill != "fit" {
            return Err(wrong(format!("is not a file of constants, but of `{}`", tidemill.escape_debug())));
        }
        if version != VERSION {
            return Err(wrong(format!("is of version {version}, and this release reads version {VERSION}")));
        }
        let file: Self = serde_json::from_str(text).map_err(other)?;
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
