//! `normalize`: brings every series to a common scale (clause 14).

mod apply;
mod constants;
mod fit;
mod running;

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::apply::Apply;
use self::constants::{Constants, FitFile};
use self::fit::FirstPass;
use self::running::Running;
use super::{ByColumn, EachSeries, Fit, Process, Reach, Rules, Shards, Stage, parameters_of};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::paths::{Base, FilePath};
use crate::stage::Component;

/// Brings every series to a common scale, with constants that are given here, learnt in a first pass (`fit`), read from a
/// file (`load`), or taken from what came before (`running`). A series that never changes becomes 0; NaN stays NaN, null stays null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Normalize {
    /// `min_max`: low + (v − min) / (max − min) · (high − low); `z_score`: (v − mean) / deviation of the population;
    /// `robust`: (v − median) / (upper quartile − lower quartile), quartiles by linear interpolation.
    pub method: Method,
    /// Where min_max maps to: [low, high].
    pub range: [f64; 2],
    /// Whether min_max moves what lies outside the range to its nearer end.
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
    /// Other constants for some sensors, by name or glob; the last match wins. A constant that is not given here is that of the
    /// column, or of the stage.
    pub sensors: IndexMap<String, Exception>,
    /// Whether to learn the constants of every series in a first pass over the input.
    pub fit: bool,
    /// With `fit`: the file that keeps what was learnt.
    pub save: Option<FilePath>,
    /// The file with constants that another run has learnt.
    pub load: Option<FilePath>,
    /// Whether to use only what came before in the series: the first value becomes null.
    pub running: bool,
    /// What becomes of a series that the constants do not know: `error` ends the run, `null` makes its values null, `keep` leaves them.
    pub unknown: Unknown,
    /// The measurements to normalise, by name or glob; all if not given. As a table, such as "TI*" = { min = -40.0, max = 150.0 }, with constants
    /// of their own: of several that fit, the last wins, and a constant that is not given there is that of the stage.
    pub columns: Option<ByColumn<Exception>>,
    /// The name of the new column, where {column} stands for the measurement's; if not given, the measurement is overwritten.
    pub into: Option<String>,
}

inventory::submit! { Component::of::<Normalize>("normalize", "brings every series to a common scale") }

/// How a value is brought to scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The least value becomes the low end of the range, the greatest the high end.
    #[default]
    MinMax,
    /// The mean becomes 0, the population deviation 1.
    ZScore,
    /// The median becomes 0, the distance between the quartiles 1.
    Robust,
}

/// What becomes of a series without constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// The run ends.
    #[default]
    Error,
    /// Its values become null.
    Null,
    /// Its values stay as they are.
    Keep,
}

/// Constants of some sensors, or of some measurements.
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
    fn over(&self, base: &Self) -> Self {
        Self {
            min: self.min.or(base.min),
            max: self.max.or(base.max),
            mean: self.mean.or(base.mean),
            deviation: self.deviation.or(base.deviation),
            median: self.median.or(base.median),
            iqr: self.iqr.or(base.iqr),
        }
    }

    /// Each method's pair: what becomes 0 (or the low end), and the other constant.
    fn pairs(&self) -> [(Method, Option<f64>, Option<f64>); 3] {
        [
            (Method::MinMax, self.min, self.max),
            (Method::ZScore, self.mean, self.deviation),
            (Method::Robust, self.median, self.iqr),
        ]
    }

    fn constants(&self, method: Method) -> Result<Constants> {
        let foreign = |&(other, first, second): &(Method, Option<f64>, Option<f64>)| {
            other != method && first.or(second).is_some()
        };
        if self.pairs().iter().any(foreign) {
            return Err(Error::config("a constant of another `method` is given").with_help(method.needs()));
        }
        for (other, first, second) in self.pairs() {
            if let (true, Some(first), Some(second)) = (other == method, first, second) {
                return Constants::new(method, first, second);
            }
        }
        Err(Error::config("a constant is missing").with_help(method.needs()))
    }

    fn is_empty(&self) -> bool {
        self.pairs().iter().all(|(_, first, second)| first.or(*second).is_none())
    }
}

impl Method {
    /// Its name in a pipeline file.
    fn as_str(self) -> &'static str {
        match self {
            Self::MinMax => "min_max",
            Self::ZScore => "z_score",
            Self::Robust => "robust",
        }
    }

    fn needs(self) -> &'static str {
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

/// The constants of a measurement by sensor; `Err` for those without.
type Given = Rules<Result<Constants, ()>>;

/// Where the constants come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
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

    /// Uses only what came before.
    pub fn running(method: Method) -> Self {
        Self { method, running: true, ..Self::default() }
    }

    fn base(&self) -> Exception {
        Exception {
            min: self.min,
            max: self.max,
            mean: self.mean,
            deviation: self.deviation,
            median: self.median,
            iqr: self.iqr,
        }
    }

    /// What holds for the measurements of each rule, or for all.
    fn bases(&self) -> Vec<Exception> {
        match &self.columns {
            Some(ByColumn::Rules(rules)) => rules.values().map(|rule| rule.over(&self.base())).collect(),
            _ => vec![self.base()],
        }
    }

    /// Exactly one origin of constants is chosen.
    fn origin(&self) -> Result<Origin> {
        let has_rules = matches!(self.columns, Some(ByColumn::Rules(_)));
        let is_given = has_rules || !self.base().is_empty() || !self.sensors.is_empty();
        let chosen = [
            (is_given, Origin::Given),
            (self.fit, Origin::Fitted),
            (self.load.is_some(), Origin::Loaded),
            (self.running, Origin::Running),
        ];
        let mut chosen = chosen.iter().filter(|(is_chosen, _)| *is_chosen);
        match (chosen.next(), chosen.next()) {
            (Some(&(_, origin)), None) => Ok(origin),
            (None, _) => Err(Error::config("it has no constants")
                .with_help("give them, or set `fit`, `load` or `running`")),
            _ => Err(Error::config("constants, `fit`, `load` and `running` exclude one another")
                .with_help("choose one")),
        }
    }

    fn check(&self, origin: Origin) -> Result<()> {
        let [low, high] = self.range;
        if !(low < high && low.is_finite() && high.is_finite()) {
            return Err(Error::config(format!("`range` [{low}, {high}] does not go up")));
        }
        if self.method != Method::MinMax && (self.range != [0.0, 1.0] || self.clip) {
            return Err(Error::config("`range` and `clip` belong to `method = \"min_max\"`"));
        }
        if self.save.is_some() && origin != Origin::Fitted {
            return Err(Error::config("`save` has no meaning without `fit`"));
        }
        let is_known = match origin {
            Origin::Given => self.bases().iter().all(|base| !base.is_empty()),
            Origin::Running => true,
            Origin::Fitted | Origin::Loaded => false,
        };
        if self.unknown != Unknown::default() && is_known {
            return Err(Error::config("`unknown` has no effect: these constants are those of every series")
                .with_help("leave `unknown` out; it belongs to `load`, and to constants of some `sensors`"));
        }
        if origin == Origin::Running && self.method == Method::Robust {
            return Err(Error::config(
                "`running` cannot be `robust`: it would have to remember the whole history",
            )
            .with_help("use z_score or min_max, or `fit`"));
        }
        Ok(())
    }

    fn columns(&self, input: &Schema) -> Result<Vec<usize>> {
        let columns = ByColumn::select(self.columns.as_ref(), input)?;
        let columns: Vec<_> = columns.into_iter().map(|(at, _)| at).collect();
        if columns.len() > 1 && self.into.as_ref().is_some_and(|into| !into.contains("{column}")) {
            return Err(
                Error::config("`into` gives several columns one name").with_help("let it contain {column}")
            );
        }
        Ok(columns)
    }

    fn output_name(&self, column: &str) -> String {
        self.into.as_deref().unwrap_or("{column}").replace("{column}", column)
    }

    /// The schema with the new columns, and for each measurement where it is and where its result goes.
    fn bind(&self, input: &Schema) -> Result<(Schema, Vec<(usize, usize)>)> {
        let (mut schema, mut places) = (input.clone(), Vec::new());
        for at in self.columns(input)? {
            let (wider, into) =
                schema.with(Field::measurement(self.output_name(&input.fields()[at].name)))?;
            schema = wider;
            places.push((at, into));
        }
        Ok((schema, places))
    }

    /// The constants that are given, by measurement.
    fn given(&self, input: &Schema) -> Result<HashMap<Arc<str>, Given>> {
        let columns = ByColumn::select(self.columns.as_ref(), input)?.into_iter();
        let given = columns.map(|(at, rule)| {
            let base = rule.map_or(self.base(), |rule| rule.over(&self.base()));
            Ok((Arc::clone(&input.fields()[at].name), self.rules(base)?))
        });
        given.collect()
    }

    /// The constants of a measurement: `base`, and others for some sensors.
    fn rules(&self, base: Exception) -> Result<Given> {
        let rules = Rules::new(base, &self.sensors, |base, exception| exception.over(base))?;
        let is_base_used = self.sensors.is_empty() || !base.is_empty();
        for rule in rules.iter().skip(usize::from(!is_base_used)) {
            rule.constants(self.method)?;
        }
        Ok(rules.map(|rule| rule.constants(self.method).map_err(|_| ())))
    }

    /// This stage with the constants in `file`.
    fn with_constants(&self, file: FitFile) -> Fixed {
        Fixed { options: self.clone(), file: Arc::new(file) }
    }
}

impl Stage for Normalize {
    fn name(&self) -> &str {
        "normalize"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn reach(&self) -> Reach {
        match self.origin() {
            Ok(Origin::Fitted) => Reach::Global,
            Ok(Origin::Running) => Reach::Series,
            _ => Reach::Row,
        }
    }

    fn keeps_state(&self) -> bool {
        matches!(self.origin(), Ok(Origin::Running))
    }

    fn shards(&self, input: &Arc<Schema>, count: usize) -> Result<Option<Box<dyn Shards>>> {
        match self.origin()? {
            Origin::Running => EachSeries(Running::new(self)).shards(input, count),
            _ => Ok(None),
        }
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        let origin = self.origin()?;
        self.check(origin)?;
        match origin {
            Origin::Given => drop(self.given(input)?),
            Origin::Loaded | Origin::Fitted | Origin::Running => {}
        }
        self.bind(input).map(|(schema, _)| schema)
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        match self.origin()? {
            Origin::Given => {
                let given = self.given(input)?;
                let lookup = move |sensor: &str, column: &str| given.get(column)?.of(sensor).ok();
                Ok(Box::new(Apply::new(self, input, lookup)?))
            }
            Origin::Running => EachSeries(Running::new(self)).start(input),
            Origin::Loaded => {
                Err(Error::internal("`normalize` was started before its constants were loaded"))
            }
            Origin::Fitted => Err(Error::internal("`normalize` was started before its first pass")),
        }
    }

    fn fit(&self, input: &Arc<Schema>) -> Result<Option<Box<dyn Fit>>> {
        match self.origin()? {
            Origin::Fitted => Ok(Some(Box::new(FirstPass::new(self.clone(), self.columns(input)?)))),
            _ => Ok(None),
        }
    }

    fn sensor_patterns(&self) -> Vec<String> {
        self.sensors.keys().cloned().collect()
    }

    fn loads(&self) -> Option<&FilePath> {
        self.load.as_ref()
    }

    fn load(&self, text: &str) -> Result<Arc<dyn Stage>> {
        self.check(self.origin()?)?;
        let path = self.load.as_ref().ok_or_else(|| Error::internal("nothing to load"))?;
        Ok(Arc::new(self.with_constants(FitFile::parse(text, path, self.method)?)))
    }

    fn saves(&self) -> Option<&FilePath> {
        self.save.as_ref()
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn Stage>> {
        let at_base = |path: &Option<FilePath>| path.as_ref().map(|path| path.with_base(base));
        Some(Arc::new(Self { save: at_base(&self.save), load: at_base(&self.load), ..self.clone() }))
    }

    fn memory(&self) -> String {
        match self.origin() {
            Ok(Origin::Running) => "extremes or exact sums a series".into(),
            Ok(Origin::Fitted | Origin::Loaded) => "two constants a series".into(),
            _ => "nothing".into(),
        }
    }
}

/// The stage after its first pass, or with constants from a file.
struct Fixed {
    options: Normalize,
    file: Arc<FitFile>,
}

impl Stage for Fixed {
    fn name(&self) -> &str {
        "normalize"
    }

    fn parameters(&self) -> serde_json::Value {
        self.options.parameters()
    }

    fn reach(&self) -> Reach {
        Reach::Row
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        self.options.bind(input).map(|(schema, _)| schema)
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        let file = Arc::clone(&self.file);
        let lookup = move |sensor: &str, column: &str| file.get(sensor, column);
        Ok(Box::new(Apply::new(&self.options, input, lookup)?))
    }

    fn fitted(&self) -> Option<String> {
        self.options.fit.then(|| self.file.to_text().ok()).flatten()
    }

    fn memory(&self) -> String {
        self.options.memory()
    }
}

#[cfg(test)]
mod tests;
