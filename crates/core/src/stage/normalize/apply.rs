//! Applies constants to single records.

use std::sync::Arc;

use super::constants::{Constants, Scale};
use super::{Normalize, Unknown};
use crate::batch::{Batch, Column, Numbers, Schema};
use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};
use crate::stage::{Flow, OfSensors, Process};

/// Constants, looked up once per series by `lookup(sensor, column)`.
pub(super) struct Apply<L> {
    options: Normalize,
    schema: Arc<Schema>,
    /// By measurement: the index of its input and of its result, its name, and the constants of each sensor's series.
    columns: Vec<SelectedColumn>,
    lookup: L,
}

type SelectedColumn = (usize, usize, Arc<str>, OfSensors<Option<Constants>>);

impl<L: Fn(&str, &str) -> Option<Constants> + Send> Apply<L> {
    pub(super) fn new(options: &Normalize, input: &Schema, lookup: L) -> Result<Self> {
        let (schema, places) = options.bind(input)?;
        let name = |at: usize| Arc::clone(&input.fields()[at].name);
        let columns =
            places.into_iter().map(|(at, into)| (at, into, name(at), OfSensors::default())).collect();
        Ok(Self { options: options.clone(), schema: Arc::new(schema), columns, lookup })
    }
}

impl<L: Fn(&str, &str) -> Option<Constants> + Send + 'static> Process for Apply<L> {
    fn process(&mut self, mut batch: Batch, sensors: &Sensors, _flow: &mut Flow) -> Result<Batch> {
        let Self { options, columns, lookup, .. } = self;
        let mut made = Vec::new();
        for (at, into, name, known) in columns {
            let known = known.of(sensors, |sensor| lookup(sensor, name));
            // A measurement that is overwritten need not be kept beside its result.
            let mut column = match batch.column_mut(*at) {
                Column::F64(numbers) if at == into => std::mem::take(numbers),
                _ => batch.measurement(*at).into_owned(),
            };
            if let Some(id) = scale(&mut column, batch.sensors(), known, options) {
                return Err(unknown(sensors.name(id), name));
            }
            made.push((*into, Column::F64(column)));
        }
        made.sort_by_key(|&(into, _)| into);
        Ok(batch.with_columns(Arc::clone(&self.schema), made))
    }
}

/// Scales the values in place. Returns the first sensor without constants, if that ends the run.
fn scale(
    column: &mut Numbers<f64>,
    ids: &[SensorId],
    known: &[Option<Constants>],
    options: &Normalize,
) -> Option<SensorId> {
    let unknown = options.unknown;
    // A loop for each scale, so that none asks for it at each value.
    match Scale::of(options) {
        Scale::Distance => scale_by(column, ids, known, unknown, Constants::distance),
        Scale::Range { low, high } => {
            scale_by(column, ids, known, unknown, |constants, value| constants.in_range(value, low, high))
        }
        Scale::Clipped { low, high } => {
            scale_by(column, ids, known, unknown, |constants, value| constants.clipped(value, low, high))
        }
    }
}

#[inline]
fn scale_by(
    column: &mut Numbers<f64>,
    ids: &[SensorId],
    known: &[Option<Constants>],
    unknown: Unknown,
    scaled: impl Fn(Constants, f64) -> f64,
) -> Option<SensorId> {
    let Numbers { values, valid } = column;
    if let Some(constants) = known.first().copied().flatten().filter(|one| are_all(known, *one, ids)) {
        values.to_mut().iter_mut().for_each(|value| *value = scaled(constants, *value));
        return None;
    }
    for (row, (value, id)) in values.to_mut().iter_mut().zip(ids).enumerate() {
        if let Some(constants) = known[id.index()] {
            *value = scaled(constants, *value);
            continue;
        }
        match unknown {
            Unknown::Keep => {}
            Unknown::Null => {
                valid.set(row, false);
                *value = 0.0;
            }
            Unknown::Error => return Some(*id),
        }
    }
    None
}

/// Whether the constants of all sensors are `one`, where looking is worth it: there are no more sensors than records.
fn are_all(known: &[Option<Constants>], one: Constants, ids: &[SensorId]) -> bool {
    known.len() <= ids.len() && known.iter().all(|other| other.is_some_and(|other| other.is_same(one)))
}

fn unknown(sensor: &str, column: &str) -> Error {
    Error::data(format!("no constants for `{column}` of sensor `{sensor}`"))
        .with_help("fit again with data of that sensor, or set `unknown` to \"null\" or \"keep\"")
}
