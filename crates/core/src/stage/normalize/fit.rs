//! The first pass: exact summaries of every series, which do not depend on the order of its values.

use std::any::Any;
use std::collections::BTreeMap;

use super::constants::{Constants, FitFile, Summary};
use super::{Method, Normalize, Unknown};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::kernel::exact_sum::{ExactSquares, ExactSum, population_deviation};
use crate::kernel::order::{greater, lesser};
use crate::kernel::quantile::ExactQuantiles;
use crate::sensor::Sensors;
use crate::stage::{Fit, Fitted, PerSensor};

/// Counters of a quantile search, a series: more distinct values than this need further passes.
const COUNTERS: usize = 4096;
/// Remarks name this many series.
const NAMED: usize = 5;

/// Takes note of all finite values.
pub(super) struct FirstPass {
    options: Normalize,
    /// For each measurement: where it is, and what is known of its series.
    columns: Vec<(usize, PerSensor<Summing>)>,
    names: Vec<String>,
}

/// What is known of one series.
enum Summing {
    Extremes { count: u64, min: f64, max: f64 },
    Moments(Box<(u64, ExactSum, ExactSquares)>),
    Quantiles(ExactQuantiles),
}

impl Summing {
    fn new(method: Method) -> Self {
        match method {
            Method::MinMax => Self::Extremes { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY },
            Method::ZScore => Self::Moments(Box::new((0, ExactSum::new(), ExactSquares::new()))),
            Method::Robust => Self::Quantiles(ExactQuantiles::new(&[0.25, 0.5, 0.75], COUNTERS)),
        }
    }

    fn add(&mut self, value: f64) {
        match self {
            Self::Extremes { count, min, max } => {
                *count += 1;
                *min = lesser(*min, value);
                *max = greater(*max, value);
            }
            Self::Moments(moments) => {
                moments.0 += 1;
                moments.1.add(value);
                moments.2.add(value);
            }
            Self::Quantiles(quantiles) => quantiles.add(value),
        }
    }

    /// The same question, nothing seen yet in this pass.
    fn fork(&self) -> Self {
        match self {
            Self::Extremes { .. } => Self::new(Method::MinMax),
            Self::Moments(_) => Self::new(Method::ZScore),
            Self::Quantiles(quantiles) => Self::Quantiles(quantiles.fork()),
        }
    }

    fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Extremes { count, min, max }, Self::Extremes { count: more, min: least, max: most }) => {
                *count += more;
                *min = lesser(*min, least);
                *max = greater(*max, most);
            }
            (Self::Moments(moments), Self::Moments(more)) => {
                moments.0 += more.0;
                moments.1.merge(&more.1);
                moments.2.merge(&more.2);
            }
            (Self::Quantiles(quantiles), Self::Quantiles(more)) => quantiles.merge(more),
            _ => unreachable!("one method, one kind of summary"),
        }
    }

    /// Whether another pass is needed.
    fn finish_pass(&mut self) -> bool {
        match self {
            Self::Quantiles(quantiles) => quantiles.finish_pass(),
            _ => false,
        }
    }

    fn summary(&self) -> Summary {
        let (count, zero, unit) = match self {
            // +0 and −0 are one value: the sign must not depend on the order of the input.
            Self::Extremes { count, min, max } => (*count, min + 0.0, max - min),
            Self::Moments(moments) => {
                let (count, sum, squares) = &**moments;
                (*count, sum.mean((*count).max(1)), population_deviation(sum, squares, (*count).max(1)))
            }
            Self::Quantiles(quantiles) => {
                let value = |q| quantiles.value(q).unwrap_or(0.0);
                (quantiles.count(), value(0.5), value(0.75) - value(0.25))
            }
        };
        Summary { count, constants: (count > 0).then_some(Constants { zero, unit }) }
    }
}

impl FirstPass {
    pub(super) fn new(options: Normalize, columns: Vec<usize>) -> Self {
        Self {
            options,
            columns: columns.into_iter().map(|at| (at, PerSensor::default())).collect(),
            names: Vec::new(),
        }
    }

    fn file(&self, sensors: &Sensors) -> FitFile {
        let mut series: BTreeMap<String, BTreeMap<String, Summary>> = BTreeMap::new();
        for ((_, known), column) in self.columns.iter().zip(&self.names) {
            for (id, summing) in known.iter() {
                let columns = series.entry(sensors.name(id).to_owned()).or_default();
                columns.insert(column.clone(), summing.summary());
            }
        }
        FitFile::new(self.options.method, series)
    }
}

impl Fit for FirstPass {
    fn fork(&self) -> Box<dyn Fit> {
        let columns = self.columns.iter().map(|(at, known)| (*at, known.map(Summing::fork))).collect();
        Box::new(Self { options: self.options.clone(), columns, names: self.names.clone() })
    }

    fn merge(&mut self, fork: Box<dyn Fit>) -> Result<()> {
        let fork: Box<dyn Any> = fork;
        let fork = fork.downcast::<Self>().map_err(|_| Error::internal("not a fork of this first pass"))?;
        if self.names.is_empty() {
            self.names = fork.names;
        }
        for ((_, known), (_, more)) in self.columns.iter_mut().zip(fork.columns) {
            for (id, summing) in more.into_kept() {
                known.get_or_insert_with(id, || Summing::new(self.options.method)).merge(summing);
            }
        }
        Ok(())
    }

    fn observe(&mut self, batch: &Batch, _sensors: &Sensors) -> Result<()> {
        if self.names.is_empty() {
            let name = |&(at, _): &(usize, _)| batch.schema().fields()[at].name.to_string();
            self.names = self.columns.iter().map(name).collect();
        }
        let method = self.options.method;
        for (at, known) in &mut self.columns {
            for (&id, value) in batch.sensors().iter().zip(batch.measurement(*at).iter()) {
                let summing = known.get_or_insert_with(id, || Summing::new(method));
                if let Some(value) = value.filter(|value| value.is_finite()) {
                    summing.add(value);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, sensors: &Sensors) -> Result<Option<Fitted>> {
        let mut is_done = true;
        for (_, known) in &mut self.columns {
            known.iter_mut().for_each(|summing| is_done &= !summing.finish_pass());
        }
        if !is_done {
            return Ok(None);
        }
        let file = self.file(sensors);
        let remarks = remarks(&file);
        // Every series of the second pass was in the first; those without a finite value have no constants.
        let options = Normalize { unknown: Unknown::Null, ..self.options.clone() };
        Ok(Some(Fitted { stage: Box::new(options.with_constants(file)), remarks }))
    }
}

fn remarks(file: &FitFile) -> Vec<String> {
    let all = || {
        let columns = |(sensor, columns): (&String, &BTreeMap<String, Summary>)| {
            columns
                .iter()
                .map(|(column, summary)| (format!("`{column}` of `{sensor}`"), *summary))
                .collect::<Vec<_>>()
        };
        file.series.iter().flat_map(columns)
    };
    let named = |what: &str, names: Vec<String>| {
        let more =
            if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
        (!names.is_empty())
            .then(|| format!("normalize: {what}: {}{more}", names[..names.len().min(NAMED)].join(", ")))
    };
    let constant =
        all().filter(|(_, s)| s.constants.is_some_and(|c| c.unit == 0.0)).map(|(name, _)| name).collect();
    let empty = all().filter(|(_, s)| s.constants.is_none()).map(|(name, _)| name).collect();
    named("never changes, becomes 0", constant)
        .into_iter()
        .chain(named("has no finite value, becomes null", empty))
        .collect()
}
