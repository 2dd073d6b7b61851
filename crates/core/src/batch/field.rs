//! What one column of a batch is for, and what its values are.

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
    /// What was measured: stages work on these columns unless told otherwise.
    Measurement,
    /// How far a measurement can be trusted: whether it passed, of how many samples it is.
    Quality,
    /// Anything else, carried along.
    Tag,
}

/// The type of a column. Every type has validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldType {
    /// Floating-point numbers of 64 bits.
    F64,
    /// Integers of 64 bits with a sign; for a time, nanoseconds since 1970-01-01 UTC.
    I64,
    /// Integers of 64 bits without a sign.
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

    /// Whether its values are numbers, which booleans are too: 1 and 0.
    pub fn is_number(self) -> bool {
        self != Self::Text
    }

    /// Whether its values are integers.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::I64 | Self::U64)
    }
}

/// One column's name, role and type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The name, unique in its schema.
    pub name: Arc<str>,
    /// Its role.
    pub role: FieldRole,
    /// Its type.
    pub ty: FieldType,
}

impl Field {
    /// A field.
    pub fn new(name: impl Into<Arc<str>>, role: FieldRole, ty: FieldType) -> Self {
        Self { name: name.into(), role, ty }
    }

    /// The event time.
    pub fn time(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Time, FieldType::I64)
    }

    /// The sensor.
    pub fn sensor(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Sensor, FieldType::Text)
    }

    /// A measurement in floating point.
    pub fn measurement(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Measurement, FieldType::F64)
    }

    /// Whether something holds of a record.
    pub fn flag(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Quality, FieldType::Bool)
    }

    /// How many samples there are.
    pub fn count(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Quality, FieldType::U64)
    }

    /// Text that is carried along.
    pub fn text(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, FieldRole::Tag, FieldType::Text)
    }

    /// The same with values of another type.
    #[must_use]
    pub fn with_type(self, ty: FieldType) -> Self {
        Self { ty, ..self }
    }

    /// Role and type in words, as a noun.
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
