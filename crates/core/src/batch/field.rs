//! The name, role and type of a column.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The role of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldRole {
    /// The event time; at most one column.
    Time,
    /// The sensor; exactly one column.
    Sensor,
    /// A measured value: stages process these columns by default.
    Measurement,
    /// The quality of a measurement: whether it passed, its number of samples.
    Quality,
    /// Any other column, carried through.
    Tag,
}

/// The type of a column. Every type has validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldType {
    /// 64-bit floating-point numbers.
    F64,
    /// Signed 64-bit integers; for a time, nanoseconds since 1970-01-01 UTC.
    I64,
    /// Unsigned 64-bit integers.
    U64,
    /// Booleans.
    Bool,
    /// Text; for a sensor, its name.
    Text,
}

impl FieldType {
    /// The name of the type in options and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::Bool => "bool",
            Self::Text => "text",
        }
    }

    /// Whether its values are numbers, including booleans as 1 and 0.
    pub fn is_number(self) -> bool {
        self != Self::Text
    }

    /// Whether its values are integers.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::I64 | Self::U64)
    }
}

/// The name, role, type, unit and metadata of a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The name, unique in its schema.
    pub name: Arc<str>,
    /// Its role.
    pub role: FieldRole,
    /// Its type.
    pub ty: FieldType,
    /// The unit of its values, such as "degC": any text; units are compared, values are never converted.
    pub unit: Option<Arc<str>>,
    /// Other information about it, by key. No stage uses it.
    pub metadata: BTreeMap<String, String>,
}

impl Field {
    /// A field with this name, role and type.
    pub fn new(name: impl Into<Arc<str>>, role: FieldRole, ty: FieldType) -> Self {
        Self { name: name.into(), role, ty, unit: None, metadata: BTreeMap::new() }
    }

    /// An event time field.
    pub fn time(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Time, FieldType::I64)
    }

    /// A sensor field.
    pub fn sensor(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Sensor, FieldType::Text)
    }

    /// A measurement of type f64.
    pub fn measurement(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Measurement, FieldType::F64)
    }

    /// A boolean quality field.
    pub fn flag(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Quality, FieldType::Bool)
    }

    /// A quality field with a number of samples.
    pub fn count(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Quality, FieldType::U64)
    }

    /// Carried text.
    pub fn text(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Tag, FieldType::Text)
    }

    /// The same field with another type.
    #[must_use]
    pub fn with_type(self, ty: FieldType) -> Self {
        Self { ty, ..self }
    }

    /// The same with values in `unit`.
    #[must_use]
    pub fn with_unit(self, unit: impl Into<Arc<str>>) -> Self {
        Self { unit: Some(unit.into()), ..self }
    }

    /// The same with `value` under `key` of its metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// The same with the unit and the metadata of `other`, whose values have the same scale.
    #[must_use]
    pub fn described_as(self, other: &Self) -> Self {
        Self { unit: other.unit.clone(), metadata: other.metadata.clone(), ..self }
    }

    /// Whether `other` has the same name, role and type.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.name, self.role, self.ty) == (&other.name, other.role, other.ty)
    }

    /// Role, type and unit, for people.
    pub fn summary(&self) -> Cow<'static, str> {
        match &self.unit {
            Some(unit) => format!("{} in {unit}", self.description()).into(),
            None => self.description().into(),
        }
    }

    /// Role and type as a noun phrase, for messages.
    pub fn description(&self) -> &'static str {
        match (self.role, self.ty) {
            (FieldRole::Time, _) => "time",
            (FieldRole::Sensor, _) => "sensor",
            (FieldRole::Measurement, FieldType::F64) => "measurement",
            (FieldRole::Measurement, FieldType::I64) => "i64 measurement",
            (FieldRole::Measurement, FieldType::U64) => "u64 measurement",
            (FieldRole::Measurement, FieldType::Bool) => "bool measurement",
            (FieldRole::Measurement, FieldType::Text) => "text measurement",
            (FieldRole::Quality, FieldType::Bool) => "flag",
            (FieldRole::Quality, FieldType::U64) => "count",
            (FieldRole::Quality | FieldRole::Tag, ty) => ty.as_str(),
        }
    }
}
