//! `moving_average`: the exact mean over the last records of a series, or over a duration (clauses 15 and 16).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moving::{Moving, WindowStatistic};
use crate::kernel::integers::IntegerMean;
use crate::kernel::mean::Mean;
use crate::stage::Component;

/// The mean of the values in the window: the correctly rounded sum, divided by the number of samples.
pub type MovingAverage = Moving<Average>;

inventory::submit! { Component::series::<MovingAverage>("moving_average", "the exact mean over the last records, or over a duration") }

/// The statistic of [`MovingAverage`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Average {}

impl WindowStatistic for Average {
    const NAME: &'static str = "moving_average";
    const SUFFIX: &'static str = "avg";
    const KEEPS: &'static str = "their exact sum";
    type Aggregate = Mean;
    type OfIntegers = IntegerMean;

    fn options(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Field, Schema};
    use crate::stage::testing::{Table, run};
    use crate::stage::{EachSeries, Stage, Unusual};

    fn table(values: &[Option<f64>]) -> Table {
        values
            .iter()
            .enumerate()
            .fold(Table::new(&["v"]), |table, (at, &value)| table.row("a", at as i64 * 1000, &[value]))
    }

    #[test]
    fn clause_15_a_record_sees_itself_and_what_came_before() {
        let result = run(&MovingAverage::rows(2), &table(&[Some(1.0), Some(2.0), Some(6.0), None, None]), 2);
        assert_eq!(result.measurement("v_avg"), [Some(1.0), Some(1.5), Some(4.0), Some(6.0), None]);
        assert_eq!(result.measurement("v"), [Some(1.0), Some(2.0), Some(6.0), None, None]);
    }

    #[test]
    fn clause_15_min_samples_and_count() {
        let stage = MovingAverage::rows(3).min_samples(2).count(true);
        let result = run(&stage, &table(&[Some(1.0), None, Some(3.0), Some(f64::NAN)]), 9);
        assert_eq!(result.measurement("v_avg"), [None, None, Some(2.0), None]);
        assert_eq!(result.counts("v_avg_count"), [1, 1, 2, 1]);
    }

    #[test]
    fn clause_15_a_bad_value_touches_only_windows_that_contain_it() {
        let stage = MovingAverage::rows(2).non_finite(Unusual::Propagate);
        let result = run(&stage, &table(&[Some(1.0), Some(f64::INFINITY), Some(3.0), Some(5.0)]), 1);
        assert_eq!(
            result.measurement("v_avg"),
            [Some(1.0), Some(f64::INFINITY), Some(f64::INFINITY), Some(4.0)]
        );
    }

    #[test]
    fn clause_15_a_duration_is_half_open_and_late_records_are_set_aside() {
        let table = Table::new(&["v"])
            .row("a", 0, &[Some(1.0)])
            .row("a", 5_000, &[Some(3.0)])
            .row("b", 0, &[Some(9.0)])
            .row("a", 4_999, &[Some(100.0)])
            .row("a", 5_000, &[Some(5.0)]);
        let result = run(&MovingAverage::duration("5us"), &table, 2);
        assert_eq!(result.measurement("v_avg"), [Some(1.0), Some(3.0), Some(9.0), Some(4.0)]);
        assert_eq!(result.flow.rejections.len(), 1);
        assert_eq!(result.flow.rejections[0].position.line, 4);
        assert!(
            result.flow.rejections[0].reason.contains("1ns behind"),
            "{}",
            result.flow.rejections[0].reason
        );
    }

    #[test]
    fn clause_15_a_duration_without_a_time_column_is_a_configuration_error() {
        let schema = Schema::new(vec![Field::sensor("sensor"), Field::measurement("v")]).expect("schema");
        let error = EachSeries(MovingAverage::duration("5m")).output(&schema).expect_err("no time");
        assert!(error.to_string().contains("needs a time column"), "{error}");
        assert!(EachSeries(MovingAverage::rows(0)).output(&schema).is_err());
    }
}
