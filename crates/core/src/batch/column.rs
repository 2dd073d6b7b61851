//! One column of a batch.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::rows::{compact, compact_buffer, gather};
use super::{Booleans, Buffer, Field, FieldRole, FieldType, Mask, Number, Numbers, Span};
use crate::sensor::SensorId;
use crate::time::Timestamp;

/// The values of one field, one per record.
#[derive(Clone, Debug, Serialize, Deserialize)]
// Exhaustive: whoever writes columns must handle every type, and the compiler shows where one is missing.
pub enum Column {
    /// Event times.
    Time(TimeColumn),
    /// The sensor of each record.
    Sensor(Vec<SensorId>),
    /// 64-bit floats.
    F64(Numbers<f64>),
    /// Signed 64-bit integers.
    I64(Numbers<i64>),
    /// Unsigned 64-bit integers.
    U64(Numbers<u64>),
    /// Booleans.
    Bool(Booleans),
    /// Text; a null span is missing.
    Text(Vec<Span>),
}

/// Event times, with their original text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TimeColumn {
    /// The times.
    pub values: Buffer<Timestamp>,
    /// The original text of each time; empty if the source has none, or if a stage changed a time.
    pub text: Vec<Span>,
}

impl Column {
    /// An empty column for `field`.
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

    /// Whether its type matches `field`.
    pub fn fits(&self, field: &Field) -> bool {
        match self {
            Self::Time(_) => field.role == FieldRole::Time,
            Self::Sensor(_) => field.role == FieldRole::Sensor,
            other => {
                other.value_type() == field.ty && !matches!(field.role, FieldRole::Time | FieldRole::Sensor)
            }
        }
    }

    /// The type of its values.
    pub fn value_type(&self) -> FieldType {
        match self {
            Self::F64(_) => FieldType::F64,
            Self::Time(_) | Self::I64(_) => FieldType::I64,
            Self::U64(_) => FieldType::U64,
            Self::Bool(_) => FieldType::Bool,
            Self::Sensor(_) | Self::Text(_) => FieldType::Text,
        }
    }

    /// Its numbers as floats: integers as the nearest float, booleans as 1 and 0; `None` for columns without numbers.
    pub fn to_f64(&self) -> Option<Cow<'_, Numbers<f64>>> {
        Some(match self {
            Self::F64(numbers) => Cow::Borrowed(numbers),
            Self::I64(numbers) => Cow::Owned(numbers.map(|value| value as f64)),
            Self::U64(numbers) => Cow::Owned(numbers.map(|value| value as f64)),
            Self::Bool(booleans) => Cow::Owned(booleans.to_numbers()),
            Self::Time(_) | Self::Sensor(_) | Self::Text(_) => return None,
        })
    }

    /// The exact number at `row`; `None` if it is missing or not a number.
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

    /// Appends a number of the column's type, or any number as the nearest float to a column of floats.
    ///
    /// # Panics
    /// If the column has numbers of another type: a bug in the caller.
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

    /// The mutable validity of its values; `None` for times, sensors and text.
    pub(crate) fn valid_mut(&mut self) -> Option<&mut Mask> {
        match self {
            Self::F64(numbers) => Some(&mut numbers.valid),
            Self::I64(numbers) => Some(&mut numbers.valid),
            Self::U64(numbers) => Some(&mut numbers.valid),
            Self::Bool(booleans) => Some(&mut booleans.valid),
            Self::Time(_) | Self::Sensor(_) | Self::Text(_) => None,
        }
    }

    /// The number of values.
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

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From now on clones refer to the same memory, except for sensors and positions of text.
    pub(super) fn share(&mut self) {
        match self {
            Self::Time(time) => time.values.share(),
            Self::F64(numbers) => numbers.share(),
            Self::I64(numbers) => numbers.share(),
            Self::U64(numbers) => numbers.share(),
            Self::Bool(booleans) => booleans.share(),
            Self::Sensor(_) | Self::Text(_) => {}
        }
    }

    /// Reserves space for `more` values.
    pub(crate) fn reserve(&mut self, more: usize) {
        match self {
            Self::Time(time) => {
                time.values.to_mut().reserve(more);
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

    /// Removes the values from `at` on, and returns them.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Time(time) => Self::Time(TimeColumn {
                values: time.values.to_mut().split_off(at).into(),
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

    /// Appends the values at `range` of a column of the same type, whose text belongs to the same batch.
    pub(crate) fn append_range(&mut self, other: &Self, range: Range<usize>) {
        match (self, other) {
            (Self::Time(time), Self::Time(more)) => {
                time.values.to_mut().extend_from_slice(&more.values[range.clone()]);
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

    /// Truncates it to `len` values, if it is longer.
    pub(crate) fn truncate(&mut self, len: usize) {
        match self {
            Self::Time(time) => {
                time.values.to_mut().truncate(len);
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
                compact_buffer(&mut time.values, keep);
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
                Self::Time(TimeColumn { values: gather(&time.values, rows).into(), text })
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
                time.values.to_mut().extend_from_slice(&more.values);
                // Times of a source without text may precede or follow those of one with text.
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
