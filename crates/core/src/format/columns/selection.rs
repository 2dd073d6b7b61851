//! What the options use a column for, by its name.

use super::{ColumnOptions, Columns, Composite};
use crate::batch::{FieldType, Pattern};

/// What a column of the input is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The time.
    Time,
    /// A part of the time.
    TimePart(usize),
    /// The sensor.
    Sensor,
    /// A part of the sensor's name.
    SensorPart(usize),
    /// A measurement, declared by the options.
    Measurement,
    /// Text, declared by the options.
    Text,
    /// A measurement or text, depending on its values or declared type.
    Value,
    /// It is not read.
    Skip,
}

/// The patterns of `measurements` and `columns`.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub(super) measurements: Option<Vec<Pattern>>,
    pub(super) columns: Option<Vec<Pattern>>,
}

impl Selection {
    pub(super) fn new(options: &ColumnOptions) -> Self {
        let patterns = |texts: &Option<Vec<String>>| {
            texts.as_ref().map(|texts| texts.iter().map(|text| Pattern::new(text.as_str())).collect())
        };
        Self { measurements: patterns(&options.measurements), columns: patterns(&options.columns) }
    }
}

fn any(patterns: Option<&Vec<Pattern>>, name: &str) -> bool {
    patterns.is_some_and(|patterns| patterns.iter().any(|pattern| pattern.fits(name)))
}

impl Columns {
    /// What the column `name` is used for.
    pub(super) fn use_of(&self, name: &str) -> Use {
        let part = |made: &Option<Composite>| made.as_ref().and_then(|made| made.part(name));
        let is = |single: Option<&str>| single == Some(name);
        if let Some(part) = part(&self.made_time) {
            Use::TimePart(part)
        } else if let Some(part) = part(&self.made_sensor) {
            Use::SensorPart(part)
        } else if is(self.single_time()) {
            Use::Time
        } else if is(self.single_sensor()) {
            Use::Sensor
        } else if let Some(ty) = self.types.of(name) {
            if ty == FieldType::Text { Use::Text } else { Use::Measurement }
        } else if any(self.selection.measurements.as_ref(), name) {
            Use::Measurement
        } else if self.selection.columns.is_none() || any(self.selection.columns.as_ref(), name) {
            Use::Value
        } else {
            Use::Skip
        }
    }

    /// Whether the options declare the field that records call `name` as a measurement.
    pub fn names_measurement(&self, name: &str) -> bool {
        self.use_of(self.renamed(name)) == Use::Measurement
    }

    /// Whether the field that records call `name` is left out because no option selects it.
    pub fn leaves_out(&self, name: &str) -> bool {
        self.selection.columns.is_some() && self.use_of(self.renamed(name)) == Use::Skip
    }
}
