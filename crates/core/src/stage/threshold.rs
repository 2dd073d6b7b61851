//! `threshold`: values outside the bounds are dropped, masked or flagged (clause 13).

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ByColumn, Component, Flow, Foresight, OfSensors, Process, Reach, Rules, Stage, parameters_of};
use crate::batch::{Batch, Booleans, Column, Extent, Field, FieldRole, Mask, Numbers, Range, Schema};
use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};

/// Keeps `min <= value <= max`. NaN fails every comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Threshold {
    /// The lowest value that passes; no lower bound if not given.
    pub min: Option<f64>,
    /// The highest value that passes; no upper bound if not given.
    pub max: Option<f64>,
    /// What to do with a value that fails: `drop` removes the record if any of its values fails, `mask` makes the value null, `flag` adds a
    /// boolean column that is true if it passes.
    pub action: Action,
    /// How nulls are treated: `drop` as failing, `keep` as passing.
    pub nulls: Nulls,
    /// The measurements to check, by name or glob; all if not given. As a table, such as "TI*" = { min = -40.0, max = 150.0 }, with their
    /// own bounds: the last match wins, and a bound that is missing there is that of the stage.
    pub columns: Option<ByColumn<Bounds>>,
    /// With `action = "flag"`: the name of the new column, where {column} is replaced by the measurement's name; "{column}_ok" if not
    /// given.
    pub into: Option<String>,
    /// Other bounds for some sensors, by name or glob; the last match wins. A bound that is missing here is that of the column, or of the
    /// stage.
    pub sensors: IndexMap<String, Bounds>,
}

inventory::submit! { Component::of::<Threshold>("threshold", "drops, masks or flags values outside the bounds") }

/// What to do with a value that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// The record is removed.
    #[default]
    Drop,
    /// The value becomes null.
    Mask,
    /// A boolean column is added.
    Flag,
}

/// How nulls are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Nulls {
    /// It fails.
    #[default]
    Drop,
    /// It passes.
    Keep,
}

/// The lowest and the highest value that pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// The lowest.
    pub min: Option<f64>,
    /// The highest.
    pub max: Option<f64>,
}

impl Bounds {
    /// These bounds where given, otherwise those of `base`.
    fn over(&self, base: &Self) -> Self {
        Self { min: self.min.or(base.min), max: self.max.or(base.max) }
    }

    fn interval(&self) -> ValueRange {
        ValueRange { min: self.min.unwrap_or(f64::NEG_INFINITY), max: self.max.unwrap_or(f64::INFINITY) }
    }

    fn check(&self) -> Result<()> {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min > max => {
                Err(Error::config(format!("`min` {min} is above `max` {max}")))
            }
            (min, max) if min.or(max).is_none() => Err(Error::config("neither `min` nor `max` is given")),
            (min, max) if min.is_some_and(f64::is_nan) || max.is_some_and(f64::is_nan) => {
                Err(Error::config("a bound is not a number"))
            }
            _ => Ok(()),
        }
    }
}

/// Bounds with infinities for missing ones.
#[derive(Clone, Copy, Debug)]
struct ValueRange {
    min: f64,
    max: f64,
}

impl ValueRange {
    #[inline]
    fn contains(self, value: f64) -> bool {
        (self.min <= value) & (value <= self.max)
    }

    /// The same for an exact integer: an integer is below a bound if it is below the next integer.
    #[inline]
    fn contains_integer<T: Into<i128>>(self, value: T) -> bool {
        let value = value.into();
        (self.min.ceil() as i128 <= value) & (value <= self.max.floor() as i128)
    }
}

impl Threshold {
    /// Keeps `min <= value <= max`, drops everything else.
    pub fn between(min: f64, max: f64) -> Self {
        Self { min: Some(min), max: Some(max), ..Self::default() }
    }

    /// With another action.
    pub fn action(mut self, action: Action) -> Self {
        self.action = action;
        self
    }

    /// With other bounds for the sensors that match `pattern`.
    pub fn sensor(mut self, pattern: impl Into<String>, bounds: Bounds) -> Self {
        self.sensors.insert(pattern.into(), bounds);
        self
    }

    fn bind(&self, input: &Schema) -> Result<RunningThreshold> {
        if self.into.is_some() && self.action != Action::Flag {
            return Err(Error::config("`into` has no effect without `action = \"flag\"`"));
        }
        let stage = Bounds { min: self.min, max: self.max };
        let (mut schema, mut flags) = (input.clone(), Vec::new());
        let (mut columns, mut rules) = (Vec::new(), Vec::new());
        for (at, bounds) in ByColumn::select(self.columns.as_ref(), input)? {
            columns.push(at);
            rules.push(self.rules(bounds.map_or(stage, |bounds| bounds.over(&stage)))?);
        }
        let is_mask = self.action == Action::Mask;
        if let Some(&at) =
            columns.iter().find(|&&at| is_mask && input.fields()[at].role == FieldRole::Quality)
        {
            let (name, what) = (&input.fields()[at].name, input.fields()[at].description());
            return Err(Error::config(format!("column `{name}` is a {what}, which cannot be masked"))
                .with_help("drop the records, or flag them"));
        }
        if columns.len() > 1 && self.into.as_ref().is_some_and(|into| !into.contains("{column}")) {
            return Err(Error::config("`into` gives several columns the same name")
                .with_help("let it contain {column}"));
        }
        if self.action == Action::Flag {
            for &at in &columns {
                let name = self
                    .into
                    .as_deref()
                    .unwrap_or("{column}_ok")
                    .replace("{column}", &input.fields()[at].name);
                let (wider, flag) = schema.with(Field::flag(name))?;
                schema = wider;
                flags.push(flag);
            }
        }
        Ok(RunningThreshold {
            action: self.action,
            keeps_nulls: self.nulls == Nulls::Keep,
            known: vec![OfSensors::default(); columns.len()],
            rules,
            columns,
            flags,
            schema: Arc::new(schema),
        })
    }

    /// Whether a column is outside the bounds in all of `records`, whatever their sensors: one column is enough. NaN is always outside.
    fn filters_all(&self, input: &Schema, records: &Extent) -> Result<bool> {
        let stage = Bounds { min: self.min, max: self.max };
        for (at, bounds) in ByColumn::select(self.columns.as_ref(), input)? {
            let Some(Range { numbers, has_nulls }) = records.measurements[at] else { continue };
            let is_outside = |bounds: &Bounds| {
                let ValueRange { min, max } = bounds.interval();
                numbers.is_none_or(|(lowest, highest)| highest < min || max < lowest)
            };
            let rules = self.rules(bounds.map_or(stage, |bounds| bounds.over(&stage)))?;
            if (self.nulls == Nulls::Drop || !has_nulls) && rules.iter().all(is_outside) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The bounds of a column: `base`, and exceptions for some sensors.
    fn rules(&self, base: Bounds) -> Result<Rules<Bounds>> {
        let rules = Rules::new(base, &self.sensors, |base, exception| exception.over(base))?;
        let is_base_used = self.sensors.is_empty() || base.min.or(base.max).is_some();
        rules.iter().skip(usize::from(!is_base_used)).try_for_each(Bounds::check)?;
        Ok(rules)
    }
}

impl Stage for Threshold {
    fn name(&self) -> &str {
        "threshold"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn reach(&self) -> Reach {
        Reach::Row
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        self.bind(input).map(|bound| Arc::unwrap_or_clone(bound.schema))
    }

    fn foresee(&self, input: &Schema, records: &Extent) -> Foresight {
        let is_filtered = self.action == Action::Drop && self.filters_all(input, records).unwrap_or(false);
        if is_filtered { Foresight::Filtered } else { Foresight::Unknown }
    }

    fn reloads(&self, option: &str) -> bool {
        ["min", "max", "nulls", "columns", "sensors"].contains(&option)
    }

    fn sensor_patterns(&self) -> Vec<String> {
        self.sensors.keys().cloned().collect()
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Ok(Box::new(self.bind(input)?))
    }
}

/// The running stage.
struct RunningThreshold {
    action: Action,
    keeps_nulls: bool,
    columns: Vec<usize>,
    /// By column.
    rules: Vec<Rules<Bounds>>,
    known: Vec<OfSensors<ValueRange>>,
    flags: Vec<usize>,
    schema: Arc<Schema>,
}

impl Process for RunningThreshold {
    fn process(&mut self, mut batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        let passing: Vec<Mask> =
            (0..self.columns.len()).map(|column| self.passing(&batch, column, sensors)).collect();
        match self.action {
            Action::Drop => {
                let both = |mut keep: Mask, passes| {
                    keep.and(&passes);
                    keep
                };
                if let Some(keep) = passing.into_iter().reduce(both) {
                    flow.filter(&mut batch, &keep);
                }
                Ok(batch)
            }
            Action::Mask => {
                for (&at, passes) in self.columns.iter().zip(&passing) {
                    batch.column_mut(at).valid_mut().into_iter().for_each(|valid| valid.and(passes));
                }
                Ok(batch)
            }
            Action::Flag => {
                let flags = passing.into_iter().map(|passes| Column::Bool(Booleans::all(passes)));
                let columns = self.flags.iter().copied().zip(flags).collect();
                Ok(batch.with_columns(Arc::clone(&self.schema), columns))
            }
        }
    }
}

impl RunningThreshold {
    /// For each record, whether its value in the `column`th selected column passes.
    fn passing(&mut self, batch: &Batch, column: usize, sensors: &Sensors) -> Mask {
        let Self { columns, known, rules, keeps_nulls, .. } = self;
        let (known, rules) = (&mut known[column], &rules[column]);
        let ids = batch.sensors();
        let bounds = match rules.single() {
            Some(bounds) => ValueRanges::One(bounds.interval()),
            None => ValueRanges::BySensor(known.of(sensors, |name| rules.of(name).interval())),
        };
        let (mut passing, valid) = match &batch.columns()[columns[column]] {
            Column::I64(Numbers { values, valid }) => {
                (bounds.passing(values, ids, ValueRange::contains_integer), valid)
            }
            Column::U64(Numbers { values, valid }) => {
                (bounds.passing(values, ids, ValueRange::contains_integer), valid)
            }
            Column::Bool(booleans) => {
                let values = booleans.to_numbers().values;
                (bounds.passing(&values, ids, ValueRange::contains), &booleans.valid)
            }
            Column::F64(Numbers { values, valid }) => {
                (bounds.passing(values, ids, ValueRange::contains), valid)
            }
            Column::Time(_) | Column::Sensor(_) | Column::Text(_) => {
                unreachable!("columns of numbers are selected")
            }
        };
        match keeps_nulls {
            true => passing.or_not(valid),
            false => passing.and(valid),
        }
        passing
    }
}

/// The bounds of a column.
enum ValueRanges<'k> {
    One(ValueRange),
    BySensor(&'k [ValueRange]),
}

impl ValueRanges<'_> {
    /// The values that pass.
    fn passing<T: Copy>(
        &self,
        values: &[T],
        ids: &[SensorId],
        contains: impl Fn(ValueRange, T) -> bool,
    ) -> Mask {
        match *self {
            Self::One(interval) => Mask::of(values, |value| contains(interval, value)),
            Self::BySensor(intervals) => {
                Mask::from_fn(values.len(), |row| contains(intervals[ids[row].index()], values[row]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::{Table, run};

    const NAN: f64 = f64::NAN;

    fn values(stage: &Threshold) -> (Vec<Option<f64>>, u64) {
        let table = Table::new(&["v"])
            .row("a", 0, &[Some(1.0)])
            .row("a", 1, &[Some(5.0)])
            .row("press-1", 2, &[Some(5.0)])
            .row("a", 3, &[Some(NAN)])
            .row("a", 4, &[None])
            .row("a", 5, &[Some(f64::INFINITY)])
            .row("a", 6, &[Some(3.0)]);
        let result = run(stage, &table, 3);
        (result.measurement("v"), result.flow.filtered)
    }

    #[test]
    fn clause_13_drop_removes_the_record() {
        assert_eq!(values(&Threshold::between(1.0, 3.0)), (vec![Some(1.0), Some(3.0)], 5));
        let open = Threshold { min: Some(3.0), nulls: Nulls::Keep, ..Threshold::default() };
        assert_eq!(values(&open).0, [Some(5.0), Some(5.0), None, Some(f64::INFINITY), Some(3.0)]);
    }

    #[test]
    fn clause_13_mask_makes_the_value_null() {
        let masked = values(&Threshold::between(1.0, 3.0).action(Action::Mask));
        assert_eq!(masked, (vec![Some(1.0), None, None, None, None, None, Some(3.0)], 0));
    }

    #[test]
    fn clause_13_flag_adds_a_column() {
        let table =
            Table::new(&["v"]).row("a", 0, &[Some(1.0)]).row("a", 1, &[Some(NAN)]).row("a", 2, &[None]);
        let result = run(&Threshold::between(0.0, 3.0).action(Action::Flag), &table, 2);
        assert_eq!(result.flags("v_ok"), [true, false, false]);
        assert_eq!(result.measurement("v").len(), 3);
    }

    #[test]
    fn clause_12_the_last_matching_rule_wins() {
        let stage = Threshold::between(1.0, 3.0)
            .sensor("press-*", Bounds { max: Some(10.0), ..Bounds::default() })
            .sensor("nobody", Bounds { max: Some(0.0), min: Some(0.0) });
        assert_eq!(values(&stage).0, [Some(1.0), Some(5.0), Some(3.0)]);
    }

    #[test]
    fn clause_13_any_failing_measurement_drops_the_record() {
        let table =
            Table::new(&["v", "w"]).row("a", 0, &[Some(1.0), Some(9.0)]).row("a", 1, &[Some(1.0), Some(2.0)]);
        assert_eq!(run(&Threshold::between(0.0, 3.0), &table, 9).measurement("w"), [Some(2.0)]);
        let one = Threshold { columns: Some(vec!["v".into()].into()), ..Threshold::between(0.0, 3.0) };
        assert_eq!(run(&one, &table, 9).measurement("w").len(), 2);
    }

    #[test]
    fn clause_12_rules_by_column_go_before_the_stage_and_behind_those_by_sensor() {
        let table = Table::new(&["TI1", "TI2", "PI1", "note"])
            .row("a", 0, &[Some(20.0), Some(300.0), Some(1013.0), Some(1e9)])
            .row("a", 1, &[Some(-50.0), Some(21.0), Some(9999.0), None])
            .row("hot", 2, &[Some(300.0), Some(600.0), Some(1000.0), None]);
        let bounds = |min: f64, max: f64| Bounds { min: Some(min), max: Some(max) };
        let columns = [("TI*".to_owned(), bounds(-40.0, 150.0)), ("PI*".to_owned(), bounds(900.0, 1100.0))];
        let hot = Bounds { max: Some(2000.0), ..Bounds::default() };
        let stage = Threshold {
            columns: Some(ByColumn::Rules(columns.into())),
            action: Action::Mask,
            ..Threshold::default()
        };
        let result = run(&stage.sensor("hot", hot), &table, 2);
        assert_eq!(result.measurement("TI1"), [Some(20.0), None, Some(300.0)]);
        assert_eq!(result.measurement("TI2"), [None, Some(21.0), Some(600.0)]);
        assert_eq!(result.measurement("PI1"), [Some(1013.0), None, Some(1000.0)]);
        assert_eq!(result.measurement("note"), [Some(1e9), None, None]);
    }

    #[test]
    fn senseless_options_are_refused() {
        let schema = Table::new(&["v"]).schema();
        let error = |stage: Threshold| stage.output(&schema).expect_err("senseless").to_string();
        assert!(error(Threshold::between(3.0, 1.0)).contains("above `max`"));
        assert!(error(Threshold::default()).contains("neither"));
        assert!(
            error(Threshold { into: Some("x".into()), ..Threshold::between(0.0, 1.0) }).contains("`into`")
        );
        assert!(
            error(Threshold { columns: Some(vec!["w".into()].into()), ..Threshold::between(0.0, 1.0) })
                .contains("no column `w`")
        );
    }
}
