//! The first pass: exact summaries of every series, independent of the order of its values.

use std::any::Any;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::constants::{Constants, FitFile, Summary};
use super::fixed::FixedNormalize;
use super::{Method, Normalize, Unknown};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::kernel::exact_sum::{ExactSquares, ExactSum, population_deviation};
use crate::kernel::order::{greater, lesser};
use crate::kernel::quantile::ExactQuantiles;
use crate::sensor::{SensorId, SensorNames, Sensors};
use crate::stage::state::Envelope;
use crate::stage::{Fit, Fitted, Identity, PerSensor};

/// Counters of a quantile search, per series: more distinct values need further passes.
const COUNTERS: usize = 4096;
/// The number of series that remarks name.
const NAMED: usize = 5;

/// Summarises all finite values.
pub(super) struct FirstPass {
    options: Normalize,
    /// Tells whether a partial pass of another process belongs to the same pass.
    identity: Identity,
    /// By measurement: its index, and the summary of each sensor's series.
    columns: Vec<(usize, PerSensor<Summing>)>,
    /// The names of the measurements.
    names: Vec<String>,
}

const ENVELOPE: Envelope = Envelope { magic: *b"tmft", version: 1, what: "a partial first pass" };

/// A partial pass, as other processes read it.
#[derive(Serialize, Deserialize)]
struct FitState {
    identity: Identity,
    sensors: SensorNames,
    /// By measurement: each sensor by the place of its name.
    columns: Vec<Vec<(u32, Summing)>>,
}

/// The summary of one series.
#[derive(Clone, Serialize, Deserialize)]
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

    /// An empty copy for another worker in this pass.
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

    /// Whether `other`, which may have been read from anywhere, is of the same method and pass, so that the two can be merged.
    fn goes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Quantiles(quantiles), Self::Quantiles(more)) => quantiles.is_same_search(more),
            _ => other.is_of(self),
        }
    }

    /// Whether it is one that can have come about where series begin with `new`.
    fn is_of(&self, new: &Self) -> bool {
        /// More values than any machine has seen.
        const MOST: u64 = 1 << 56;
        match (self, new) {
            (Self::Extremes { count, min, max }, Self::Extremes { .. }) => {
                let is_range = min.is_finite() && max.is_finite() && min <= max;
                *count < MOST && (is_range || *count == 0)
            }
            (Self::Moments(moments), Self::Moments(_)) => moments.0 < MOST,
            (Self::Quantiles(quantiles), Self::Quantiles(new)) => new.is_of_same_kind(quantiles),
            _ => false,
        }
    }

    /// Ends a pass; returns whether another one is needed.
    fn finish_pass(&mut self) -> bool {
        match self {
            Self::Quantiles(quantiles) => quantiles.finish_pass(),
            _ => false,
        }
    }

    fn summary(&self) -> Summary {
        let (count, zero, unit) = match self {
            // +0 and −0 are equal: the sign must not depend on the order of the input.
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
    /// Of the measurements of `input` that `options` name.
    pub(super) fn new(options: Normalize, input: &Schema) -> Result<Self> {
        let columns = options.columns(input)?;
        let fields: Vec<_> = columns.iter().map(|&at| &input.fields()[at]).collect();
        Ok(Self {
            identity: Identity::with_columns(&options, fields.iter().copied()),
            names: fields.iter().map(|field| field.name.to_string()).collect(),
            columns: columns.into_iter().map(|at| (at, PerSensor::default())).collect(),
            options,
        })
    }

    /// Takes over what is known of a series elsewhere.
    fn merge_series(
        known: &mut PerSensor<Summing>,
        id: SensorId,
        more: Summing,
        new: &Summing,
    ) -> Result<()> {
        let is_sound = match known.get(id) {
            Some(mine) => mine.goes_with(&more),
            None => more.is_of(new),
        };
        if !is_sound {
            return Err(Error::data("the partial first pass is damaged, or of another pass")
                .with_help("merge partial first passes of the same pass of the same stage"));
        }
        match known.get_mut(id) {
            Some(mine) => mine.merge(more),
            // What it looks for is taken over too.
            None => {
                known.get_or_insert_with(id, || more);
            }
        }
        Ok(())
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
        let (options, identity, names) = (self.options.clone(), self.identity.clone(), self.names.clone());
        Box::new(Self { options, identity, columns, names })
    }

    fn merge(&mut self, fork: Box<dyn Fit>) -> Result<()> {
        let fork: Box<dyn Any> = fork;
        let fork = fork.downcast::<Self>().map_err(|_| Error::internal("not a fork of this first pass"))?;
        for ((_, known), (_, more)) in self.columns.iter_mut().zip(fork.columns) {
            for (id, summing) in more.into_kept() {
                known.get_or_insert_with(id, || Summing::new(self.options.method)).merge(summing);
            }
        }
        Ok(())
    }

    fn observe(&mut self, batch: &Batch, _sensors: &Sensors) -> Result<()> {
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
        // Every series of the second pass was in the first one; those without a finite value have no constants.
        let options = Normalize { unknown: Unknown::Null, ..self.options.clone() };
        Ok(Some(Fitted { stage: Box::new(FixedNormalize::new(&options, file)), remarks }))
    }

    fn save(&self, sensors: &Sensors) -> Result<Vec<u8>> {
        if self.columns.iter().any(|(_, known)| known.as_slice().len() > sensors.len()) {
            return Err(Error::config("the sensors are not those of the batches that were observed"));
        }
        let (mut names, mut places) = (SensorNames::default(), vec![None; sensors.len()]);
        let mut place = |id: SensorId| {
            *places[id.index()].get_or_insert_with(|| {
                names.push(sensors.name(id));
                names.len() as u32 - 1
            })
        };
        let columns = self.columns.iter();
        let columns = columns
            .map(|(_, known)| known.iter().map(|(id, summing)| (place(id), summing.clone())).collect());
        let columns = columns.collect();
        ENVELOPE.seal(&FitState { identity: self.identity.clone(), sensors: names, columns })
    }

    fn merge_saved(&mut self, saved: &[u8], sensors: &mut Sensors) -> Result<()> {
        let FitState { identity, sensors: names, columns } = ENVELOPE.open(saved)?;
        self.identity.check(&identity)?;
        let ids = names.iter().map(|name| sensors.id(name)).collect::<Result<Vec<_>>>()?;
        let damaged = || Error::data("the partial first pass is damaged: a series has no sensor or column");
        if columns.len() != self.columns.len() || ids.iter().any(|id| id.index() >= sensors.len()) {
            return Err(damaged());
        }
        let new = Summing::new(self.options.method);
        for ((_, known), more) in self.columns.iter_mut().zip(columns) {
            for (place, summing) in more {
                let id = *ids.get(place as usize).ok_or_else(damaged)?;
                Self::merge_series(known, id, summing, &new)?;
            }
        }
        Ok(())
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
    named("constant, becomes 0", constant)
        .into_iter()
        .chain(named("no finite value, becomes null", empty))
        .collect()
}
