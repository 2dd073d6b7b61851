//! `moving_min`: the minimum of the last records of a series, or of a duration (clauses 15 and 16).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moving::{Moving, WindowStatistic};
use crate::kernel::extreme::{Least, Low};
use crate::kernel::integers::IntegerExtreme;
use crate::stage::Component;

/// The minimum of the window; −0 is less than +0.
pub type MovingMin = Moving<Min>;

inventory::submit! { Component::series::<MovingMin>("moving_min", "the least value of the last records, or of a duration") }

/// The statistic of [`MovingMin`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Min {}

impl WindowStatistic for Min {
    const NAME: &'static str = "moving_min";
    const SUFFIX: &'static str = "min";
    const KEEPS: &'static str = "the least of the newest";
    const KEEPS_TYPE: bool = true;
    type Aggregate = Least;
    type OfIntegers = IntegerExtreme<Low>;

    fn options(&self) {}
}
