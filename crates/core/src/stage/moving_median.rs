//! `moving_median`: the median of the last records of a series, or of a duration (clauses 15 and 16).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moving::{Moving, WindowStatistic};
use crate::kernel::integers::IntegerMedian;
use crate::kernel::median::Median;
use crate::stage::Component;

/// The median of the window; for an even number of values, the mean of the two middle ones.
pub type MovingMedian = Moving<Middle>;

inventory::submit! { Component::series::<MovingMedian>("moving_median", "the median of the last records, or of a duration") }

/// The statistic of [`MovingMedian`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Middle {}

impl WindowStatistic for Middle {
    const NAME: &'static str = "moving_median";
    const SUFFIX: &'static str = "median";
    const KEEPS: &'static str = "the same numbers in order";
    type Aggregate = Median;
    type OfIntegers = IntegerMedian;

    fn options(&self) {}
}
