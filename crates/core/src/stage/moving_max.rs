//! `moving_max`: the maximum of the last records of a series, or of a duration (clauses 15 and 16).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moving::{Moving, WindowStatistic};
use crate::kernel::extreme::{Greatest, High};
use crate::kernel::integers::IntegerExtreme;
use crate::stage::Component;

/// The maximum of the window; +0 is greater than −0.
pub type MovingMax = Moving<Max>;

inventory::submit! { Component::series::<MovingMax>("moving_max", "the greatest value of the last records, or of a duration") }

/// The statistic of [`MovingMax`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Max {}

impl WindowStatistic for Max {
    const NAME: &'static str = "moving_max";
    const SUFFIX: &'static str = "max";
    const KEEPS: &'static str = "the greatest of the newest";
    const KEEPS_TYPE: bool = true;
    type Aggregate = Greatest;
    type OfIntegers = IntegerExtreme<High>;

    fn options(&self) {}
}
