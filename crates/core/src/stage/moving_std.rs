//! `moving_std`: the standard deviation of the last records of a series, or of a duration (clauses 15 and 16).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moving::{Moving, WindowStatistic};
use crate::kernel::deviation::Deviation;
use crate::kernel::integers::IntegerDeviation;
use crate::stage::Component;

/// The standard deviation of the values in the window, from exact sums of values and squares.
pub type MovingStd = Moving<Std>;

inventory::submit! { Component::series::<MovingStd>("moving_std", "the standard deviation of the last records, or of a duration") }

/// The statistic of [`MovingStd`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Std {
    /// Degrees of freedom subtracted from the number of samples in the divisor: 0 for the deviation of a population, 1 for that of a
    /// sample. With no more samples than this, the result is null.
    #[serde(default)]
    pub ddof: u32,
}

impl WindowStatistic for Std {
    const NAME: &'static str = "moving_std";
    const SUFFIX: &'static str = "std";
    const KEEPS: &'static str = "the exact sums of them and their squares";
    type Aggregate = Deviation;
    type OfIntegers = IntegerDeviation;

    fn options(&self) -> u32 {
        self.ddof
    }

    fn least_samples(&self) -> u64 {
        u64::from(self.ddof) + 1
    }
}

impl MovingStd {
    /// Degrees of freedom subtracted from the number of samples.
    pub fn ddof(mut self, ddof: u32) -> Self {
        self.statistic.ddof = ddof;
        self
    }
}
