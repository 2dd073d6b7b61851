//! `running`: a value is scaled by the preceding values of its series only.

use serde::{Deserialize, Serialize};

use super::constants::{Constants, Scale};
use super::{Method, Normalize};
use crate::batch::{Field, Schema};
use crate::error::Result;
use crate::kernel::exact_sum::{ExactSquares, ExactSum, population_deviation};
use crate::kernel::order::{greater, lesser};
use crate::stage::{ByColumn, Run, SeriesStage};

/// The stage with `running = true`.
#[derive(Clone, Serialize)]
pub(super) struct Running(Normalize);

/// The preceding finite values of a series.
#[derive(Serialize, Deserialize)]
pub(super) enum Past {
    Extremes { count: u64, min: f64, max: f64 },
    Moments { count: u64, sum: ExactSum, squares: Box<ExactSquares> },
}

impl Past {
    fn add(&mut self, value: f64) {
        match self {
            Self::Extremes { count, min, max } => {
                let is_first = *count == 0;
                *count += 1;
                *min = if is_first { value } else { lesser(*min, value) };
                *max = if is_first { value } else { greater(*max, value) };
            }
            Self::Moments { count, sum, squares } => {
                *count += 1;
                sum.add(value);
                squares.add(value);
            }
        }
    }

    fn constants(&self) -> Option<Constants> {
        match self {
            Self::Extremes { count: 0, .. } | Self::Moments { count: 0, .. } => None,
            Self::Extremes { min, max, .. } => Some(Constants { zero: *min, unit: max - min }),
            Self::Moments { count, sum, squares } => {
                Some(Constants { zero: sum.mean(*count), unit: population_deviation(sum, squares, *count) })
            }
        }
    }
}

impl Running {
    pub(super) fn new(options: &Normalize) -> Self {
        Self(options.clone())
    }
}

impl SeriesStage for Running {
    type State = Past;
    type Bound = ();

    fn name(&self) -> &str {
        "normalize"
    }

    fn columns(&self) -> Option<&[String]> {
        match self.0.columns.as_ref()? {
            ByColumn::Names(names) => Some(names),
            // Constants in the options exclude `running`.
            ByColumn::Rules(_) => None,
        }
    }

    fn outputs(&self, column: &str) -> Vec<Field> {
        vec![Field::measurement(self.0.output_name(column))]
    }

    /// Normalised values have none.
    fn output_unit(&self, _unit: &str) -> Option<String> {
        None
    }

    fn bind(&self, _input: &Schema) -> Result<()> {
        Ok(())
    }

    fn state(&self, _bound: &(), _sensor: &str, _column: &str) -> Past {
        match self.0.method {
            Method::MinMax => Past::Extremes { count: 0, min: 0.0, max: 0.0 },
            _ => Past::Moments { count: 0, sum: ExactSum::new(), squares: Box::default() },
        }
    }

    fn step(&self, _bound: &(), past: &mut Past, run: &mut Run<'_>) -> Result<()> {
        for at in 0..run.len() {
            let value = run.value(at);
            let scaled = value.and_then(|value| {
                if value.is_nan() {
                    Some(value)
                } else {
                    Some(past.constants()?.apply(value, Scale::of(&self.0)))
                }
            });
            run.push(0, scaled);
            if let Some(value) = value.filter(|value| value.is_finite()) {
                past.add(value);
            }
        }
        Ok(())
    }
}
