//! `smooth`: an exponentially weighted mean of each measurement, with state per series.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::batch::{Field, Schema};
use tidemill::stage::{Component, Run, SeriesStage};
use tidemill::{Error, Result};

/// Adds `{column}_smooth`: `weight` times the new value plus the rest of the previous mean.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smooth {
    /// The weight of a new value, from 0 to 1.
    pub weight: f64,
}

tidemill::submit! { Component::series::<Smooth>("smooth", "an exponentially weighted mean") }

impl SeriesStage for Smooth {
    /// The last smoothed value, if any.
    type State = Option<f64>;
    type Bound = ();

    fn name(&self) -> &str {
        "smooth"
    }

    fn outputs(&self, column: &str) -> Vec<Field> {
        vec![Field::measurement(format!("{column}_smooth"))]
    }

    fn bind(&self, _input: &Schema) -> Result<()> {
        match (0.0..=1.0).contains(&self.weight) {
            true => Ok(()),
            false => Err(Error::config(format!("`weight` is {}, not from 0 to 1", self.weight))),
        }
    }

    fn state(&self, _bound: &(), _sensor: &str, _column: &str) -> Option<f64> {
        None
    }

    fn step(&self, _bound: &(), last: &mut Option<f64>, run: &mut Run<'_>) -> Result<()> {
        for at in 0..run.len() {
            if let Some(new) = run.value(at).filter(|value| value.is_finite()) {
                *last = Some(last.map_or(new, |last| last + self.weight * (new - last)));
            }
            run.push(0, *last);
        }
        Ok(())
    }
}
