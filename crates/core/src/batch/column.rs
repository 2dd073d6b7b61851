//! One column of a batch.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::rows::{compact, gather};
use super::{Booleans, Field, FieldRole, FieldType, Mask, Number, Numbers, Span};
use crate::sensor::SensorId;
use crate::time::Timestamp;

/// The values of one field, one a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Column {
    /// Event times.
    Time(TimeColumn),
    /// Which sensor each record is of.
    Sensor(Vec<SensorId>),
    /// Floats.
    F64(Numbers<f64>),
    /// Integers with a sign.
    I64(Numbers<i64>),
    /// Integers without a sign.
    U64(Numbers<u64>),
    /// Booleans.
    Bool(Booleans),
    /// Text; a null span is missing.
    Text(Vec<Span>),
}

/// Event times and how they were written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TimeColumn {
    /// The times.
    pub values: Vec<Timestamp>,
    /// The text of each as it came in; empty where there was none, or where a stage changed a time.
    pub text: Vec<Span>,
}

impl Column {
    /// A column for `field` without values.
    pub fn empty(field: &Field) -> Self {
        match field.role {
            FieldRole::Time => Self::Time(TimeColumn::default()),
            FieldRole::Sensor => Self::Sensor(Vec::new()),
            _ => Self::missing(field.ty, 0),
        }
    }

    /// A column of `len` missing values.
    pub fn missing(ty: FieldType, len: usize) -> Self {
        match ty {
            FieldType::F64 => Self::F64(Numbers::missing(len)),
            FieldType::I64 => Self::I64(Numbers::missing(len)),
            FieldType::U64 => Self::U64(Numbers::missing(len)),
            FieldType::Bool => Self::Bool(Booleans::missing(len)),
            FieldType::Text => Self::Text(vec![Span::NULL; len]),
        }
    }

    /// A column of `len` values: all 0, false, valid; text is null.
    pub(crate) fn filled(ty: FieldType, len: usize) -> Self {
        match ty {
            FieldType::F64 => Self::F64(Numbers::all(vec![0.0; len])),
            FieldType::I64 => Self::I64(Numbers::all(vec![0; len])),
            FieldType::U64 => Self::U64(Numbers::all(vec![0; len])),
            FieldType::Bool => Self::Bool(Booleans::all(Mask::filled(len, false))),
            FieldType::Text => Self::Text(vec![Span::NULL; len]),
        }
    }

    /// Whether it is a column for `field`.
    pub fn fits(&self, field: &Field) -> bool {
        match self {
            Self::Time(_) => field.role == FieldRole::Time,
            Self::Sensor(_) => field.role == FieldRole::Sensor,
            other => {
                other.value_type() == field.ty && !matches!(field.role, FieldRole::Time | FieldRole::Sensor)
            }
        }
    }

    /// What its values are.
    pub fn value_type(&self) -> FieldType {
        match self {
            Self::F64(_) => FieldType::F64,
            Self::Time(_) | Self::I64(_) => FieldType::I64,
            Self::U64(_) => FieldType::U64,
            Self::Bool(_) => FieldType::Bool,
            Self::Sensor(_) | Self::Text(_) => FieldType::Text,
        }
    }

    /// Its numbers as floats: integers as the nearest, booleans as 1 and 0; `None` where it has none.
    pub fn to_f64(&self) -> Option<Cow<'_, Numbers<f64>>> {
        Some(match self {
            Self::F64(numbers) => Cow::Borrowed(numbers),
            Self::I64(numbers) => Cow::Owned(numbers.map(|value| value as f64)),
            Self::U64(numbers) => Cow::Owned(numbers.map(|value| value as f64)),
            Self::Bool(booleans) => Cow::Owned(booleans.to_numbers()),
            Self::Time(_) | Self::Sensor(_) | Self::Text(_) => return None,
        })
    }

    /// The number at `row`, with all its digits; `None` where it is missing, or none.
    #[inline]
    pub fn number(&self, row: usize) -> Option<Number> {
        match self {
            Self::F64(numbers) => numbers.get(row).map(Number::F64),
            Self::I64(numbers) => numbers.get(row).map(Number::I64),
            Self::U64(numbers) => numbers.get(row).map(Number::U64),
            Self::Bool(booleans) => booleans.get(row).map(Number::Bool),
            Self::Time(_) | Self::Sensor(_) | Self::Text(_) => None,
        }
    }

    /// Appends a number of the column's type, or as the nearest float to a column of floats.
    ///
    /// # Panics
    /// When the column has numbers of another type: a bug in the caller.
    pub fn push_number(&mut self, value: Option<Number>) {
        match (self, value) {
            (Self::F64(numbers), value) => numbers.push(value.map(Number::as_f64)),
            (Self::I64(numbers), None) => numbers.push(None),
            (Self::I64(numbers), Some(Number::I64(value))) => numbers.push(Some(value)),
            (Self::U64(numbers), None) => numbers.push(None),
            (Self::U64(numbers), Some(Number::U64(value))) => numbers.push(Some(value)),
            (Self::Bool(booleans), None) => booleans.push(None),
            (Self::Bool(booleans), Some(Number::Bool(value))) => booleans.push(Some(value)),
            (column, value) => panic!("{value:?} for a column of {}", column.value_type().as_str()),
        }
    }

    /// Which values are there, to be changed in place; `None` for times, sensors and text.
    pub(crate) fn valid_mut(&mut self) -> Option<&mut Mask> {
        match self {
            Self::F64(numbers) => Some(&mut numbers.valid),
            Self::I64(numbers) => Some(&mut numbers.valid),
            Self::U64(numbers) => Some(&mut numbers.valid),
            Self::Bool(booleans) => Some(&mut booleans.valid),
            Self::Time(_) | Self::Sensor(_) | Self::Text(_) => None,
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Time(time) => time.values.len(),
            Self::Sensor(ids) => ids.len(),
            Self::F64(numbers) => numbers.len(),
            Self::I64(numbers) => numbers.len(),
            Self::U64(numbers) => numbers.len(),
            Self::Bool(booleans) => booleans.len(),
            Self::Text(spans) => spans.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for `more` values.
    pub(crate) fn reserve(&mut self, more: usize) {
        match self {
            Self::Time(time) => {
                time.values.reserve(more);
                time.text.reserve(more);
            }
            Self::Sensor(ids) => ids.reserve(more),
            Self::F64(numbers) => numbers.reserve(more),
            Self::I64(numbers) => numbers.reserve(more),
            Self::U64(numbers) => numbers.reserve(more),
            Self::Text(spans) => spans.reserve(more),
            Self::Bool(_) => {}
        }
    }

    /// Appends `more` missing values; times and sensors are never missing.
    pub(crate) fn extend_missing(&mut self, more: usize) {
        match self {
            Self::F64(numbers) => numbers.extend_missing(more),
            Self::I64(numbers) => numbers.extend_missing(more),
            Self::U64(numbers) => numbers.extend_missing(more),
            Self::Bool(booleans) => booleans.extend_missing(more),
            Self::Text(spans) => spans.resize(spans.len() + more, Span::NULL),
            Self::Time(_) | Self::Sensor(_) => {}
        }
    }

    /// Takes away the values from `at` on.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Time(time) => Self::Time(TimeColumn {
                values: time.values.split_off(at),
                text: time.text.split_off(at.min(time.text.len())),
            }),
            Self::Sensor(ids) => Self::Sensor(ids.split_off(at)),
            Self::F64(numbers) => Self::F64(numbers.split_off(at)),
            Self::I64(numbers) => Self::I64(numbers.split_off(at)),
            Self::U64(numbers) => Self::U64(numbers.split_off(at)),
            Self::Bool(booleans) => Self::Bool(booleans.split_off(at)),
            Self::Text(spans) => Self::Text(spans.split_off(at)),
        }
    }

    /// Appends the values at `range` of a column of the same kind, whose text is the same batch's.
    pub(crate) fn append_range(&mut self, other: &Self, range: Range<usize>) {
        match (self, other) {
            (Self::Time(time), Self::Time(more)) => {
                time.values.extend_from_slice(&more.values[range.clone()]);
                time.text.extend_from_slice(more.text.get(range).unwrap_or_default());
            }
            (Self::Sensor(ids), Self::Sensor(more)) => ids.extend_from_slice(&more[range]),
            (Self::F64(numbers), Self::F64(more)) => numbers.append_range(more, range),
            (Self::I64(numbers), Self::I64(more)) => numbers.append_range(more, range),
            (Self::U64(numbers), Self::U64(more)) => numbers.append_range(more, range),
            (Self::Bool(booleans), Self::Bool(more)) => booleans.append_range(more, range),
            (Self::Text(spans), Self::Text(more)) => spans.extend_from_slice(&more[range]),
            _ => unreachable!("columns of one type"),
        }
    }

    /// Shortens it to `len` values, if it is longer.
    pub(crate) fn truncate(&mut self, len: usize) {
        match self {
            Self::Time(time) => {
                time.values.truncate(len);
                time.text.truncate(len);
            }
            Self::Sensor(ids) => ids.truncate(len),
            Self::F64(numbers) => numbers.truncate(len),
            Self::I64(numbers) => numbers.truncate(len),
            Self::U64(numbers) => numbers.truncate(len),
            Self::Bool(booleans) => booleans.truncate(len),
            Self::Text(spans) => spans.truncate(len),
        }
    }

    pub(super) fn retain(&mut self, keep: &Mask) {
        match self {
            Self::Time(time) => {
                compact(&mut time.values, keep);
                if !time.text.is_empty() {
                    compact(&mut time.text, keep);
                }
            }
            Self::Sensor(ids) => compact(ids, keep),
            Self::F64(numbers) => numbers.retain(keep),
            Self::I64(numbers) => numbers.retain(keep),
            Self::U64(numbers) => numbers.retain(keep),
            Self::Bool(booleans) => booleans.retain(keep),
            Self::Text(spans) => compact(spans, keep),
        }
    }

    pub(crate) fn take(&self, rows: &[u32]) -> Self {
        match self {
            Self::Time(time) => {
                let text = if time.text.is_empty() { Vec::new() } else { gather(&time.text, rows) };
                Self::Time(TimeColumn { values: gather(&time.values, rows), text })
            }
            Self::Sensor(ids) => Self::Sensor(gather(ids, rows)),
            Self::F64(numbers) => Self::F64(numbers.take(rows)),
            Self::I64(numbers) => Self::I64(numbers.take(rows)),
            Self::U64(numbers) => Self::U64(numbers.take(rows)),
            Self::Bool(booleans) => Self::Bool(booleans.take(rows)),
            Self::Text(spans) => Self::Text(gather(spans, rows)),
        }
    }

    pub(crate) fn append(&mut self, other: &Self, carry: &mut impl FnMut(Span) -> Span) {
        match (self, other) {
            (Self::Time(time), Self::Time(more)) => {
                let (before, has_text) = (time.values.len(), !more.text.is_empty());
                time.values.extend(&more.values);
                // Times of a source without text may come before or behind those of one with text.
                if has_text {
                    time.text.resize(before, Span::NULL);
                    time.text.extend(more.text.iter().map(|&span| carry(span)));
                } else if !time.text.is_empty() {
                    time.text.resize(time.values.len(), Span::NULL);
                }
            }
            (Self::Sensor(ids), Self::Sensor(more)) => ids.extend(more),
            (Self::F64(numbers), Self::F64(more)) => numbers.append(more),
            (Self::I64(numbers), Self::I64(more)) => numbers.append(more),
            (Self::U64(numbers), Self::U64(more)) => numbers.append(more),
            (Self::Bool(booleans), Self::Bool(more)) => booleans.append(more),
            (Self::Text(spans), Self::Text(more)) => spans.extend(more.iter().map(|&span| carry(span))),
            _ => unreachable!("batches of one schema have columns of one type"),
        }
    }
}
