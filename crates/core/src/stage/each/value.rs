//! Values of columns of any type: the only part of these protocols that depends on the layout of columns.

use crate::batch::{Batch, Column, FieldType, Number, Span, Text};

/// A value of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Null.
    Null,
    /// A number of any type, or a boolean.
    Number(Number),
    /// Text of the input: mostly, but not always UTF-8.
    Text(&'a [u8]),
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Number(Number::F64(value))
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Number(Number::I64(value))
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::Number(Number::U64(value))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Number(Number::Bool(value))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.as_bytes())
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// A written value, whose text is in a [`Text`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Written {
    Null,
    Number(Number),
    Text(Span),
}

impl Written {
    /// Copies the text of a value into `text`.
    #[inline]
    pub(super) fn of(value: Value<'_>, text: &mut Text) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Number(number) => Self::Number(number),
            Value::Text(bytes) => Self::Text(text.push(bytes)),
        }
    }

    /// The same with its text copied into another buffer.
    pub(super) fn carried(self, from: &Text, to: &mut Text) -> Self {
        match self {
            Self::Text(span) => Self::Text(to.push_from(from, span)),
            other => other,
        }
    }
}

/// The value of column `at` in record `row`. Null for the time and the sensor, which have their own accessors.
#[inline]
pub(super) fn value(batch: &Batch, at: usize, row: usize) -> Value<'_> {
    match &batch.columns()[at] {
        Column::Text(spans) => batch.text.get(spans[row]).map_or(Value::Null, Value::Text),
        column => column.number(row).map_or(Value::Null, Value::Number),
    }
}

/// The number in column `at` of record `row`, as the nearest float.
#[inline]
pub(super) fn number(batch: &Batch, at: usize, row: usize) -> Option<f64> {
    match &batch.columns()[at] {
        Column::F64(numbers) => numbers.get(row),
        column => column.number(row).map(Number::as_f64),
    }
}

/// Writes a value to `row` of a column; an integer or boolean is converted to the nearest float in a column of floats.
///
/// # Panics
/// If the column has another type.
#[inline]
pub(super) fn write(column: &mut Column, row: usize, value: Written) {
    match (column, value) {
        (Column::F64(numbers), Written::Number(number)) => {
            numbers.values.to_mut()[row] = number.as_f64();
            numbers.valid.set(row, true);
        }
        (Column::I64(numbers), Written::Number(Number::I64(number))) => {
            numbers.values.to_mut()[row] = number;
            numbers.valid.set(row, true);
        }
        (Column::U64(numbers), Written::Number(Number::U64(number))) => {
            numbers.values.to_mut()[row] = number;
            numbers.valid.set(row, true);
        }
        (Column::Bool(booleans), Written::Number(Number::Bool(value))) => {
            booleans.values.set(row, value);
            booleans.valid.set(row, true);
        }
        (Column::Text(spans), Written::Text(span)) => spans[row] = span,
        (Column::Text(spans), Written::Null) => spans[row] = Span::NULL,
        (column, Written::Null) => clear(column, row),
        (_, value) => panic!("{value:?} was written to a column of another type"),
    }
}

/// Sets a missing value to 0 or false.
fn clear(column: &mut Column, row: usize) {
    match column {
        Column::F64(numbers) => numbers.values.to_mut()[row] = 0.0,
        Column::I64(numbers) => numbers.values.to_mut()[row] = 0,
        Column::U64(numbers) => numbers.values.to_mut()[row] = 0,
        Column::Bool(booleans) => booleans.values.set(row, false),
        Column::Text(_) | Column::Time(_) | Column::Sensor(_) => {}
    }
    column.valid_mut().into_iter().for_each(|valid| valid.set(row, false));
}

/// Copies column `at` of the records at `rows` as type `ty`, unchanged or as nearest floats. Text goes into `text`.
pub(super) fn copied(batch: &Batch, at: usize, ty: FieldType, rows: &[u32], text: &mut Text) -> Column {
    let column = &batch.columns()[at];
    match column {
        Column::Text(spans) => {
            Column::Text(rows.iter().map(|&row| text.push_from(&batch.text, spans[row as usize])).collect())
        }
        column if column.value_type() != ty => Column::F64(batch.measurement(at).into_owned()).take(rows),
        column => column.take(rows),
    }
}
