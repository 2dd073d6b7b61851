//! One number, as its column has it.

use serde::{Deserialize, Serialize};

/// A value of a column of numbers, with all its digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Number {
    /// A float.
    F64(f64),
    /// An integer with a sign.
    I64(i64),
    /// An integer without a sign.
    U64(u64),
    /// A boolean, which counts as 1 or 0.
    Bool(bool),
}

impl Number {
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

    /// The integer, unless it is a float.
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
