//! Columns of polars to those that a source has.

use polars::prelude::{
    ChunkedArray, Column as PolarsColumn, DataType, IntoSeries, PolarsError, PolarsNumericType, Series,
    StringChunked, TimeUnit,
};
use zerocopy::{Immutable, IntoBytes};

use crate::arrow::read::without_others;
use crate::arrow::typed::{ColumnClock, Typed, float_text, single_text};
use crate::batch::{Booleans, Buffer, Column, FieldRole, FieldType, Mask, Number, Numbers};
use crate::error::{Error, Result};
use crate::format::columns::Composite;
use crate::sensor::SensorLookup;

/// The column that a series is where its values are of type `ty` as they are, in one piece: numbers stay where they are.
fn same(series: &Series, ty: FieldType) -> Option<Column> {
    Some(match ty {
        FieldType::F64 => Column::F64(numbers(series.f64().ok()?)?),
        FieldType::I64 => Column::I64(numbers(series.i64().ok()?)?),
        FieldType::U64 => Column::U64(numbers(series.u64().ok()?)?),
        FieldType::Bool => Column::Bool(series.bool().ok()?.iter().collect::<Booleans>()),
        _ => return None,
    })
}

fn numbers<T>(column: &ChunkedArray<T>) -> Option<Numbers<T::Native>>
where
    T: PolarsNumericType,
    T::Native: IntoBytes + Immutable + Default,
{
    let array = column.downcast_get(0).filter(|_| column.chunks().len() == 1)?;
    let valid = match array.validity() {
        None => Mask::filled(array.len(), true),
        Some(valid) => valid.iter().collect(),
    };
    Some(without_others(Buffer::from_owner(array.values().clone()), valid))
}

fn is_number(dtype: &DataType) -> bool {
    dtype.is_primitive_numeric() || dtype.is_decimal()
}

/// The type that the values of a column have as they are.
pub(crate) fn field_type(dtype: &DataType) -> FieldType {
    match dtype {
        DataType::Boolean => FieldType::Bool,
        dtype if dtype.is_signed_integer() => FieldType::I64,
        dtype if dtype.is_unsigned_integer() => FieldType::U64,
        dtype if is_number(dtype) => FieldType::F64,
        _ => FieldType::Text,
    }
}

/// Whether a column can have this role.
pub(crate) fn can_be(dtype: &DataType, role: FieldRole) -> bool {
    match dtype {
        DataType::String | DataType::Categorical(..) | DataType::Enum(..) | DataType::Null => true,
        DataType::Boolean => role != FieldRole::Time,
        DataType::Date | DataType::Datetime(..) => matches!(role, FieldRole::Time | FieldRole::Tag),
        _ => is_number(dtype),
    }
}

/// What a column of dates or times counts.
pub(crate) fn clock(dtype: &DataType) -> Option<ColumnClock> {
    match dtype {
        DataType::Date => Some(ColumnClock::DAYS),
        DataType::Datetime(TimeUnit::Milliseconds, zone) => Some(ColumnClock::of(1_000_000, zone.is_none())),
        DataType::Datetime(TimeUnit::Microseconds, zone) => Some(ColumnClock::of(1000, zone.is_none())),
        DataType::Datetime(TimeUnit::Nanoseconds, zone) => Some(ColumnClock::of(1, zone.is_none())),
        _ => None,
    }
}

/// Fills column `at`, which is the time.
pub(crate) fn times(typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
    match clock(column.dtype()) {
        Some(clock) => {
            let counts = cast(column, &DataType::Int64)?;
            typed.moments(at, counts.i64().map_err(broken)?.iter(), clock);
        }
        None => typed.time_texts(at, texts(column)?.str().map_err(broken)?.iter()),
    }
    Ok(())
}

/// Fills column `at` with numbers of its type.
pub(crate) fn measurement(typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
    let same = typed.takes_whole().then(|| same(column.as_materialized_series(), typed.ty(at))).flatten();
    if let Some(column) = same {
        typed.whole(at, column);
        return Ok(());
    }
    match column.dtype() {
        DataType::String | DataType::Categorical(..) | DataType::Enum(..) => {
            typed.number_texts(at, texts(column)?.str().map_err(broken)?.iter());
        }
        dtype => match field_type(dtype) {
            FieldType::I64 => {
                let numbers = cast(column, &DataType::Int64)?;
                typed.values(at, numbers.i64().map_err(broken)?.iter().map(|value| value.map(Number::I64)));
            }
            FieldType::U64 => {
                let numbers = cast(column, &DataType::UInt64)?;
                typed.values(at, numbers.u64().map_err(broken)?.iter().map(|value| value.map(Number::U64)));
            }
            FieldType::Bool => {
                let values = cast(column, &DataType::Boolean)?;
                typed.values(at, values.bool().map_err(broken)?.iter().map(|value| value.map(Number::Bool)));
            }
            _ => {
                let numbers = cast(column, &DataType::Float64)?;
                let numbers = numbers.f64().map_err(broken)?.iter();
                match typed.ty(at) {
                    FieldType::F64 => typed.floats(at, numbers),
                    _ => typed.values(at, numbers.map(|value| value.map(Number::F64))),
                }
            }
        },
    }
    Ok(())
}

/// Fills column `at`, which is carried along, as text unless it has another type.
pub(crate) fn carried(typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
    if typed.ty(at) != FieldType::Text {
        return measurement(typed, at, column);
    }
    match clock(column.dtype()) {
        Some(clock) => {
            let counts = cast(column, &DataType::Int64)?;
            typed.moment_texts(at, counts.i64().map_err(broken)?.iter(), clock);
        }
        None => typed.texts(at, texts(column)?.str().map_err(broken)?.iter()),
    }
    Ok(())
}

/// Fills the sensor column.
pub(crate) fn sensors(
    typed: &mut Typed<'_>,
    column: &PolarsColumn,
    lookup: &mut dyn SensorLookup,
) -> Result<()> {
    typed.sensors(texts(column)?.str().map_err(broken)?.iter(), lookup)
}

/// The texts that several columns give together.
pub(crate) fn joined(
    typed: &Typed<'_>,
    made: &Composite,
    columns: &[&PolarsColumn],
) -> Result<Vec<Option<String>>> {
    let parts: Vec<Series> = columns.iter().map(|column| texts(column)).collect::<Result<_>>()?;
    let parts: Vec<Vec<Option<&str>>> = parts.iter().map(records).collect::<Result<_>>()?;
    Ok(typed.joined(made, &parts))
}

/// A column of text, record by record.
fn records(texts: &Series) -> Result<Vec<Option<&str>>> {
    Ok(texts.str().map_err(broken)?.iter().collect())
}

/// A column as text, numbers in their shortest form.
fn texts(column: &PolarsColumn) -> Result<Series> {
    let series = column.as_materialized_series();
    let texts: StringChunked = match column.dtype() {
        DataType::Float64 => {
            series.f64().map_err(broken)?.iter().map(|number| number.map(float_text)).collect()
        }
        DataType::Float32 => {
            series.f32().map_err(broken)?.iter().map(|number| number.map(single_text)).collect()
        }
        _ => return cast(column, &DataType::String),
    };
    Ok(texts.into_series())
}

fn cast(column: &PolarsColumn, to: &DataType) -> Result<Series> {
    column.as_materialized_series().cast(to).map_err(broken)
}

/// What was checked when the frame was opened does not hold.
fn broken(error: PolarsError) -> Error {
    Error::internal(format!("a column of the frame cannot be read: {error}"))
}
