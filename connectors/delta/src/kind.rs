//! The types of columns: those of the records, and those of a table that take them.

use delta_kernel::schema::{DecimalType, PrimitiveType};
use tidemill_engine::batch::{Field, FieldRole, FieldType};

/// What a column of the records has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    Time,
    /// The day of the time.
    Day,
    Text,
    F64,
    I64,
    U64,
    Bool,
}

impl Own {
    pub(crate) fn of(field: &Field) -> Self {
        match (field.role, field.ty) {
            (FieldRole::Time, _) => Self::Time,
            (FieldRole::Sensor, _) => Self::Text,
            (_, FieldType::F64) => Self::F64,
            (_, FieldType::I64) => Self::I64,
            (_, FieldType::U64) => Self::U64,
            (_, FieldType::Bool) => Self::Bool,
            _ => Self::Text,
        }
    }

    /// The type of its column in a new table.
    pub(crate) fn new_type(self) -> PrimitiveType {
        match self {
            Self::Time => PrimitiveType::Timestamp,
            Self::Day => PrimitiveType::Date,
            Self::Text => PrimitiveType::String,
            Self::F64 => PrimitiveType::Double,
            Self::I64 => PrimitiveType::Long,
            // Delta has no integers without a sign; up to 38 digits are allowed.
            Self::U64 => DecimalType::try_new(20, 0).map_or(PrimitiveType::Long, PrimitiveType::Decimal),
            Self::Bool => PrimitiveType::Boolean,
        }
    }

    /// Whether a column of this type takes the values. Integers that are too large for it are found when they are written.
    pub(crate) fn fits(self, ty: &PrimitiveType) -> bool {
        use PrimitiveType::{
            Boolean, Byte, Date, Decimal, Double, Float, Integer, Long, Short, String, Timestamp,
            TimestampNtz,
        };
        match self {
            Self::Time => matches!(ty, Timestamp | TimestampNtz),
            Self::Day => *ty == Date,
            Self::Text => *ty == String,
            Self::F64 => matches!(ty, Double | Float),
            Self::I64 | Self::U64 => {
                matches!(ty, Long | Integer | Short | Byte)
                    || matches!(ty, Decimal(decimal) if decimal.scale() == 0)
            }
            Self::Bool => *ty == Boolean,
        }
    }

    /// Whether a table can be partitioned by it.
    pub(crate) fn can_partition(self) -> bool {
        matches!(self, Self::Day | Self::Text | Self::I64 | Self::Bool)
    }

    /// What the records have.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Time => "times",
            Self::Day => "days",
            Self::Text => "text",
            Self::F64 => "numbers (f64)",
            Self::I64 => "integers (i64)",
            Self::U64 => "integers (u64)",
            Self::Bool => "booleans",
        }
    }

    /// The types that it can be written to.
    pub(crate) fn needs(self) -> &'static str {
        match self {
            Self::Time => "timestamp or timestamp_ntz",
            Self::Day => "date",
            Self::Text => "string",
            Self::F64 => "double or float",
            Self::I64 | Self::U64 => "long, integer, short, byte or decimal without a fraction",
            Self::Bool => "boolean",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_new_column_takes_what_it_was_made_for() {
        for own in [Own::Time, Own::Day, Own::Text, Own::F64, Own::I64, Own::U64, Own::Bool] {
            assert!(own.fits(&own.new_type()), "{own:?}");
        }
        assert_eq!(Own::U64.new_type().to_string(), "decimal(20,0)");
        assert!(!Own::I64.fits(&PrimitiveType::Double) && !Own::Time.fits(&PrimitiveType::Date));
    }
}
