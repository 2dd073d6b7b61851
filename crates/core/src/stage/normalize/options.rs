//! The options of `normalize`, and the checks that need no input.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::paths::FilePath;
use crate::stage::{ByColumn, Component};

/// Brings every series to a common scale, with constants that are given here, learnt in a first pass (`fit`), read from a file (`load`), or
/// computed from preceding values (`running`). A constant series becomes 0; NaN stays NaN, null stays null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Normalize {
    /// `min_max`: low + (v − min) / (max − min) · (high − low); `z_score`: (v − mean) / population deviation; `robust`: (v − median) /
    /// (upper quartile − lower quartile), quartiles by linear interpolation.
    pub method: Method,
    /// The target range of min_max: [low, high].
    pub range: [f64; 2],
    /// Whether min_max clamps values to the target range.
    pub clip: bool,
    /// The value that becomes the low end (min_max).
    pub min: Option<f64>,
    /// The value that becomes the high end (min_max).
    pub max: Option<f64>,
    /// The value that becomes 0 (z_score).
    pub mean: Option<f64>,
    /// The distance from the mean that becomes 1 (z_score).
    pub deviation: Option<f64>,
    /// The value that becomes 0 (robust).
    pub median: Option<f64>,
    /// The distance from the median that becomes 1 (robust).
    pub iqr: Option<f64>,
    /// Other constants for some sensors, by name or glob; the last match wins. A constant that is missing here is that of the column, or of
    /// the stage.
    pub sensors: IndexMap<String, Exception>,
    /// Whether to learn the constants of every series in a first pass over the input.
    pub fit: bool,
    /// With `fit`: the file to which the learnt constants are saved.
    pub save: Option<FilePath>,
    /// The file with constants learnt by another run.
    pub load: Option<FilePath>,
    /// Whether to use only preceding values of the series: the first value becomes null.
    pub running: bool,
    /// What to do with a series without constants: `error` ends the run, `null` makes its values null, `keep` leaves them unchanged.
    pub unknown: Unknown,
    /// The measurements to normalise, by name or glob; all if not given. As a table, such as "TI*" = { min = -40.0, max = 150.0 }, with
    /// their own constants: the last match wins, and a constant that is missing there is that of the stage.
    pub columns: Option<ByColumn<Exception>>,
    /// The name of the new column, where {column} is replaced by the measurement's name; if not given, the measurement is overwritten.
    pub into: Option<String>,
}

inventory::submit! { Component::of::<Normalize>("normalize", "brings every series to a common scale") }

/// How a value is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// The minimum becomes the low end of the range, the maximum the high end.
    #[default]
    MinMax,
    /// The mean becomes 0, the population deviation 1.
    ZScore,
    /// The median becomes 0, the interquartile range 1.
    Robust,
}

/// What to do with a series without constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unknown {
    /// The run ends with an error.
    #[default]
    Error,
    /// Its values become null.
    Null,
    /// Its values are unchanged.
    Keep,
}

/// Constants for some sensors or some measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exception {
    /// The value that becomes the low end (min_max).
    pub min: Option<f64>,
    /// The value that becomes the high end (min_max).
    pub max: Option<f64>,
    /// The value that becomes 0 (z_score).
    pub mean: Option<f64>,
    /// The distance that becomes 1 (z_score).
    pub deviation: Option<f64>,
    /// The value that becomes 0 (robust).
    pub median: Option<f64>,
    /// The distance that becomes 1 (robust).
    pub iqr: Option<f64>,
}

impl Exception {
    pub(super) fn over(&self, base: &Self) -> Self {
        Self {
            min: self.min.or(base.min),
            max: self.max.or(base.max),
            mean: self.mean.or(base.mean),
            deviation: self.deviation.or(base.deviation),
            median: self.median.or(base.median),
            iqr: self.iqr.or(base.iqr),
        }
    }

    /// The constants of each method: the value that becomes 0 (or the low end), and the other one.
    pub(super) fn pairs(&self) -> [(Method, Option<f64>, Option<f64>); 3] {
        [
            (Method::MinMax, self.min, self.max),
            (Method::ZScore, self.mean, self.deviation),
            (Method::Robust, self.median, self.iqr),
        ]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs().iter().all(|(_, first, second)| first.or(*second).is_none())
    }
}

impl Method {
    /// Its name in a pipeline file.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::MinMax => "min_max",
            Self::ZScore => "z_score",
            Self::Robust => "robust",
        }
    }

    pub(super) fn needs(self) -> &'static str {
        match self {
            Self::MinMax => "min_max takes `min` and `max`",
            Self::ZScore => "z_score takes `mean` and `deviation`",
            Self::Robust => "robust takes `median` and `iqr`",
        }
    }
}

impl Default for Normalize {
    fn default() -> Self {
        Self {
            method: Method::default(),
            range: [0.0, 1.0],
            clip: false,
            min: None,
            max: None,
            mean: None,
            deviation: None,
            median: None,
            iqr: None,
            sensors: IndexMap::new(),
            fit: false,
            save: None,
            load: None,
            running: false,
            unknown: Unknown::default(),
            columns: None,
            into: None,
        }
    }
}

/// The source of the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConstantSource {
    Given,
    Fitted,
    Loaded,
    Running,
}

impl Normalize {
    /// Learns the constants of every series in a first pass.
    pub fn fitted(method: Method) -> Self {
        Self { method, fit: true, ..Self::default() }
    }

    /// Maps `min` to 0 and `max` to 1.
    pub fn min_max(min: f64, max: f64) -> Self {
        Self { min: Some(min), max: Some(max), ..Self::default() }
    }

    /// Uses only preceding values.
    pub fn running(method: Method) -> Self {
        Self { method, running: true, ..Self::default() }
    }

    pub(super) fn base(&self) -> Exception {
        Exception {
            min: self.min,
            max: self.max,
            mean: self.mean,
            deviation: self.deviation,
            median: self.median,
            iqr: self.iqr,
        }
    }

    /// The constants for the measurements of each rule, or for all.
    fn bases(&self) -> Vec<Exception> {
        match &self.columns {
            Some(ByColumn::Rules(rules)) => rules.values().map(|rule| rule.over(&self.base())).collect(),
            _ => vec![self.base()],
        }
    }

    /// Checks that exactly one source of constants is chosen.
    pub(super) fn source(&self) -> Result<ConstantSource> {
        let has_rules = matches!(self.columns, Some(ByColumn::Rules(_)));
        let is_given = has_rules || !self.base().is_empty() || !self.sensors.is_empty();
        let chosen = [
            (is_given, ConstantSource::Given),
            (self.fit, ConstantSource::Fitted),
            (self.load.is_some(), ConstantSource::Loaded),
            (self.running, ConstantSource::Running),
        ];
        let mut chosen = chosen.iter().filter(|(is_chosen, _)| *is_chosen);
        match (chosen.next(), chosen.next()) {
            (Some(&(_, source)), None) => Ok(source),
            (None, _) => {
                Err(Error::config("there are no constants")
                    .with_help("set them, or `fit`, `load` or `running`"))
            }
            _ => Err(Error::config("constants, `fit`, `load` and `running` are mutually exclusive")
                .with_help("choose one")),
        }
    }

    pub(super) fn check(&self, source: ConstantSource) -> Result<()> {
        let [low, high] = self.range;
        if !(low < high && low.is_finite() && high.is_finite()) {
            return Err(Error::config(format!("`range` [{low}, {high}] is not ascending")));
        }
        if self.method != Method::MinMax && (self.range != [0.0, 1.0] || self.clip) {
            return Err(Error::config("`range` and `clip` belong to `method = \"min_max\"`"));
        }
        if self.save.is_some() && source != ConstantSource::Fitted {
            return Err(Error::config("`save` has no effect without `fit`"));
        }
        let is_known = match source {
            ConstantSource::Given => self.bases().iter().all(|base| !base.is_empty()),
            ConstantSource::Running => true,
            ConstantSource::Fitted | ConstantSource::Loaded => false,
        };
        if self.unknown != Unknown::default() && is_known {
            return Err(Error::config("`unknown` has no effect: these constants apply to every series")
                .with_help("leave `unknown` out; it belongs to `load`, and to constants of some `sensors`"));
        }
        if source == ConstantSource::Running && self.method == Method::Robust {
            return Err(Error::config(
                "`running` cannot be `robust`: it would have to keep the whole history",
            )
            .with_help("use z_score or min_max, or `fit`"));
        }
        Ok(())
    }
}
