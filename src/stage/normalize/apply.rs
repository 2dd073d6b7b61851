//! Applies constants: a matter of one row.

use std::sync::Arc;

use super::constants::Constants;
use super::{Normalize, Unknown};
use crate::batch::{Batch, Column, Measurement, Schema};
use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};
use crate::stage::{Flow, OfSensors, Process};

/// Constants looked up once a series, by `lookup(sensor, column)`.
pub(super) struct Apply<L> {
    options: Normalize,
    schema: Arc<Schema>,
    /// For each measurement: where it is, where its result goes, its name, and what is known of its series.
    columns: Vec<Bound>,
    lookup: L,
}

type Bound = (usize, usize, Arc<str>, OfSensors<Option<Constants>>);

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
    fn process(&mut self, batch: Batch, sensors: &Sensors, _flow: &mut Flow) -> Result<Batch> {
        let Self { options, columns, lookup, .. } = self;
        let mut made = Vec::new();
        for (at, into, name, known) in columns {
            let Measurement { values, valid } = batch.measurement(*at);
            let mut valid = valid.clone();
            let known = known.of(sensors, |sensor| lookup(sensor, name));
            let rows = batch.sensors().iter().zip(values).enumerate();
            let apply = |(row, (&id, &value)): (usize, (&SensorId, &f64))| match &known[id.index()] {
                Some(constants) => Ok(constants.apply(value, options)),
                None => match options.unknown {
                    Unknown::Keep => Ok(value),
                    Unknown::Null => {
                        valid.set(row, false);
                        Ok(0.0)
                    }
                    Unknown::Error => Err(unknown(sensors.name(id), name)),
                },
            };
            let values = rows.map(apply).collect::<Result<_>>()?;
            made.push((*into, Column::Measurement(Measurement { values, valid })));
        }
        made.sort_by_key(|&(into, _)| into);
        Ok(batch.with_columns(Arc::clone(&self.schema), made))
    }
}

fn unknown(sensor: &str, column: &str) -> Error {
    Error::data(format!("there are no constants for `{column}` of sensor `{sensor}`"))
        .with_help("fit again with data of that sensor, or set `unknown` to \"null\" or \"keep\"")
}
