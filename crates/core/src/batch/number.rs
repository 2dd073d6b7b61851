//! A single number of any type.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FieldType;

/// An exact value of a numeric column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Number {
    /// A 64-bit float.
    F64(f64),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A boolean, counted as 1 or 0.
    Bool(bool),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F64(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

impl Number {
    /// Its type.
    pub fn ty(self) -> FieldType {
        match self {
            Self::F64(_) => FieldType::F64,
            Self::I64(_) => FieldType::I64,
            Self::U64(_) => FieldType::U64,
            Self::Bool(_) => FieldType::Bool,
        }
    }

    /// The nearest float.
    #[inline]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::F64(value) => value,
            Self::I64(value) => value as f64,
            Self::U64(value) => value as f64,
            Self::Bool(value) => f64::from(u8::from(value)),
        }
    }

    /// The same number as type `ty`: converted to the nearest float, otherwise unchanged; `None` if `ty` cannot represent it.
    pub fn to_type(self, ty: FieldType) -> Option<Self> {
        let whole = || match self {
            Self::F64(value) => (value.fract() == 0.0 && value.abs() < 1e20).then_some(value as i128),
            other => other.as_integer(),
        };
        match ty {
            FieldType::F64 => Some(Self::F64(self.as_f64())),
            ty => Self::of_integer(whole()?, ty),
        }
    }

    /// An integer as type `ty`; `None` if `ty` cannot represent it.
    pub fn of_integer(value: i128, ty: FieldType) -> Option<Self> {
        match ty {
            FieldType::F64 => Some(Self::F64(value as f64)),
            FieldType::I64 => value.try_into().ok().map(Self::I64),
            FieldType::U64 => value.try_into().ok().map(Self::U64),
            FieldType::Bool => (0..=1).contains(&value).then_some(Self::Bool(value == 1)),
            FieldType::Text => None,
        }
    }

    /// The integer value; `None` for a float.
    #[inline]
    pub fn as_integer(self) -> Option<i128> {
        match self {
            Self::F64(_) => None,
            Self::I64(value) => Some(value.into()),
            Self::U64(value) => Some(value.into()),
            Self::Bool(value) => Some(value.into()),
        }
    }
}
