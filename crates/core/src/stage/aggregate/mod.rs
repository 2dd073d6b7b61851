//! `aggregate`: summarises records: count, mean, minimum, maximum, deviation, quantiles (clause 21).

mod process;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::process::Aggregating;
use super::{Process, Reach, Stage, parameters_of};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::stage::Component;
use crate::time::{Agreement, parse_duration};

/// One record per sensor, for the whole input or for every interval of a duration. Nulls, NaN and infinities are skipped. Other columns
/// than the time, the sensor and the measurements are removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Aggregate {
    /// The length of an interval such as "1h", counted from 1970-01-01 UTC; the whole input if not given.
    pub every: Option<String>,
    /// The statistics of each measurement, in this order.
    pub statistics: Vec<Statistic>,
    /// The quantiles of each measurement, 0 to 1, after the statistics: 0.5 becomes "p50", 0.999 "p99.9". They are approximate: each order
    /// statistic has a relative error of at most 0.4 %.
    pub quantiles: Vec<f64>,
    /// The measurements to aggregate, by name or glob; all if not given.
    pub columns: Option<Vec<String>>,
    /// The names of the new columns; {column} is replaced by the measurement's name, {statistic} by the statistic's.
    pub into: String,
    /// How many sensors must have reached a time for others to be quiet: `agree` of the source's options.
    #[serde(skip)]
    #[schemars(skip)]
    pub agreement: Agreement,
}

inventory::submit! { Component::of::<Aggregate>("aggregate", "one record per sensor, or per sensor and interval: count, mean, extremes, quantiles") }

/// A statistic of a series' finite values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Statistic {
    /// The number of values.
    Count,
    /// The correctly rounded sum.
    Sum,
    /// The correctly rounded sum divided by the count.
    Mean,
    /// The minimum.
    Min,
    /// The maximum.
    Max,
    /// The population deviation.
    Std,
}

impl Default for Aggregate {
    fn default() -> Self {
        Self {
            every: None,
            statistics: vec![Statistic::Count, Statistic::Mean, Statistic::Min, Statistic::Max],
            quantiles: Vec::new(),
            columns: None,
            into: "{column}_{statistic}".into(),
            agreement: Agreement::default(),
        }
    }
}

/// The options, bound to the input columns.
struct BoundAggregate {
    output: Arc<Schema>,
    /// The selected measurements.
    columns: Vec<usize>,
    /// The length of an interval in nanoseconds; `None` for the whole input.
    every: Option<i64>,
    statistics: Vec<Statistic>,
    quantiles: Vec<f64>,
    agreement: Agreement,
}

impl Aggregate {
    /// One record per sensor and interval of this length, such as "1h".
    pub fn every(interval: impl Into<String>) -> Self {
        Self { every: Some(interval.into()), ..Self::default() }
    }

    fn bind(&self, input: &Schema) -> Result<BoundAggregate> {
        self.check()?;
        let every = self.every.as_deref().map(parse_duration).transpose();
        let every = every.map_err(|why| Error::config(format!("`every`: {why}")))?;
        let mut fields = Vec::new();
        if every.is_some() {
            let time = input.time().ok_or_else(|| {
                Error::config("`every` needs a time column").with_help("name it in [source] `time`")
            })?;
            fields.push(input.fields()[time].clone());
        }
        fields.push(input.fields()[input.sensor()].clone());
        let columns = input.select(self.columns.as_deref())?;
        for &at in &columns {
            fields.extend(self.fields_of(&input.fields()[at]));
        }
        let output = Schema::new(fields).map_err(|error| {
            error.with_help("let `into` contain {column} and {statistic}, and list nothing twice")
        })?;
        let (statistics, quantiles) = (self.statistics.clone(), self.quantiles.clone());
        let agreement = self.agreement;
        Ok(BoundAggregate { output: Arc::new(output), columns, every, statistics, quantiles, agreement })
    }

    fn check(&self) -> Result<()> {
        if self.statistics.is_empty() && self.quantiles.is_empty() {
            return Err(Error::config("no statistics are selected")
                .with_help("list some in `statistics` or `quantiles`"));
        }
        match self.quantiles.iter().find(|quantile| !(0.0..=1.0).contains(*quantile)) {
            Some(quantile) => Err(Error::config(format!("the quantile {quantile} is not between 0 and 1"))
                .with_help("the median is 0.5, the 99th percentile 0.99")),
            None => Ok(()),
        }
    }

    /// The columns made of measurement `column`.
    fn fields_of(&self, column: &Field) -> impl Iterator<Item = Field> {
        let name =
            |statistic: &str| self.into.replace("{column}", &column.name).replace("{statistic}", statistic);
        let statistics = self.statistics.iter().map(move |statistic| {
            let name = name(statistic.as_str());
            match statistic {
                Statistic::Count => Field::count(name),
                Statistic::Min | Statistic::Max => {
                    Field::measurement(name).with_type(column.ty).described_as(column)
                }
                _ => Field::measurement(name).described_as(column),
            }
        });
        let quantile = move |&q| Field::measurement(name(&percentile(q))).described_as(column);
        statistics.chain(self.quantiles.iter().map(quantile))
    }
}

impl Statistic {
    fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Std => "std",
        }
    }
}

/// The name of a quantile: "p50", "p99.9". Without superfluous digits.
fn percentile(quantile: f64) -> String {
    format!("p{}", (quantile * 100.0 * 1e9).round() / 1e9)
}

impl Stage for Aggregate {
    fn name(&self) -> &str {
        "aggregate"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    /// Over the whole input, any worker may process any record. The end of an interval depends on the order.
    fn reach(&self) -> Reach {
        if self.every.is_some() { Reach::Series } else { Reach::Row }
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        self.bind(input).map(|bound| (*bound.output).clone())
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Aggregating::new(self.bind(input)?)))
    }

    fn needs_origins(&self) -> bool {
        self.every.is_some()
    }

    fn gives_up(&self) -> bool {
        true
    }

    fn with_agreement(&self, agreement: Agreement) -> Option<Arc<dyn Stage>> {
        self.every.is_some().then(|| Arc::new(Self { agreement, ..self.clone() }) as Arc<dyn Stage>)
    }

    fn memory(&self) -> String {
        let sketch = if self.quantiles.is_empty() {
            ""
        } else {
            ", and 16 B to 1 KiB for each octave of its values, depending on their number"
        };
        match self.every {
            Some(_) => format!("one summary of the open interval per series{sketch}"),
            None => format!("one summary per series and worker{sketch}"),
        }
    }
}
