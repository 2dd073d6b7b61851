//! What the text of a field means: nothing, a number, or what stands there.

use super::{Columns, Decimal};
use crate::kernel::number::{parse_decimal_comma, parse_f64};

impl Columns {
    /// The text of a field without the spaces around it.
    pub fn trim(field: &[u8]) -> &[u8] {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        if let [first, .., last] = field
            && !is_space(first)
            && !is_space(last)
        {
            return field;
        }
        let Some(first) = field.iter().position(|byte| !is_space(byte)) else { return &[] };
        let last = field.iter().rposition(|byte| !is_space(byte)).unwrap_or(first);
        &field[first..=last]
    }

    /// Whether a trimmed field stands for a missing value.
    pub fn is_null(&self, field: &[u8]) -> bool {
        field.is_empty() || self.options.null_values.iter().any(|null| null.as_bytes() == field)
    }

    /// Whether texts besides the empty one stand for a missing value.
    pub fn has_null_values(&self) -> bool {
        !self.options.null_values.is_empty()
    }

    /// The decimal mark of numbers.
    pub fn decimal_mark(&self) -> u8 {
        match self.options.decimal {
            Decimal::Point => b'.',
            Decimal::Comma => b',',
        }
    }

    /// The number in a trimmed field that is not null.
    pub fn number(&self, field: &[u8]) -> Option<f64> {
        match self.options.decimal {
            Decimal::Point => parse_f64(field),
            Decimal::Comma => parse_decimal_comma(field),
        }
    }
}
