//! Arrow's arrays to columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{DataType, TimeUnit};

use super::library::library;
use crate::arrow;
use crate::batch::{FieldType, Number};
use crate::error::Result;
use crate::format::columns::Composite;
use crate::kernel::number::parse_f64;
use crate::source::typed::{Clock, Typed, float_text, single_text};

/// What a column of dates or times counts.
pub(super) fn clock(kind: &DataType) -> Option<Clock> {
    match kind {
        DataType::Timestamp(unit, zone) => Some(Clock::of(nanos(*unit), zone.is_none())),
        DataType::Date32 => Some(Clock::DAYS),
        DataType::Date64 => Some(Clock { is_date: true, ..Clock::of(1_000_000, true) }),
        _ => None,
    }
}

fn nanos(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

/// Fills column `at`, which is the time.
pub(super) fn times(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<()> {
    match clock(array.data_type()) {
        Some(clock) => {
            let counts = cast(array, &DataType::Int64, file)?;
            typed.moments(at, counts.as_primitive::<Int64Type>().iter(), clock);
        }
        None => {
            let texts = texts(typed, at, array, file)?;
            typed.time_texts(at, texts.iter());
        }
    }
    Ok(())
}

/// Fills column `at`, which is carried along, as text unless it has another type.
pub(super) fn carried(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<()> {
    if typed.ty(at) != FieldType::Text {
        return measurement(typed, at, array, file);
    }
    match clock(array.data_type()) {
        Some(clock) => {
            let counts = cast(array, &DataType::Int64, file)?;
            typed.moment_texts(at, counts.as_primitive::<Int64Type>().iter(), clock);
        }
        None => {
            let texts = texts(typed, at, array, file)?;
            typed.texts(at, texts.iter());
        }
    }
    Ok(())
}

/// Fills column `at` with numbers of its type.
pub(super) fn measurement(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<()> {
    if let Some(column) = typed.takes_whole().then(|| arrow::column(array, typed.ty(at))).flatten() {
        typed.whole(at, column);
        return Ok(());
    }
    match array.data_type() {
        DataType::Dictionary(_, values) if !is_text(values) => {
            return measurement(typed, at, &cast(array, values, file)?, file);
        }
        // By their text, which is exact: digits over a power of ten would be rounded twice.
        kind if is_decimal(kind) => {
            let texts = cast(array, &DataType::Utf8, file)?;
            typed.values(at, texts.as_string::<i32>().iter().map(|text| decimal(text?)));
        }
        kind if is_text(kind) || is_bytes(kind) => {
            let texts = texts(typed, at, array, file)?;
            typed.number_texts(at, texts.iter());
        }
        kind => match arrow::field_type(kind) {
            FieldType::I64 => {
                let numbers = cast(array, &DataType::Int64, file)?;
                typed.values(
                    at,
                    numbers.as_primitive::<Int64Type>().iter().map(|value| value.map(Number::I64)),
                );
            }
            FieldType::U64 => {
                let numbers = cast(array, &DataType::UInt64, file)?;
                typed.values(
                    at,
                    numbers.as_primitive::<UInt64Type>().iter().map(|value| value.map(Number::U64)),
                );
            }
            FieldType::Bool => {
                typed.values(at, array.as_boolean().iter().map(|value| value.map(Number::Bool)));
            }
            _ => {
                let numbers = cast(array, &DataType::Float64, file)?;
                let numbers = numbers.as_primitive::<Float64Type>().iter();
                match typed.ty(at) {
                    FieldType::F64 => typed.floats(at, numbers),
                    _ => typed.values(at, numbers.map(|value| value.map(Number::F64))),
                }
            }
        },
    }
    Ok(())
}

/// The number that the digits of a decimal are.
fn decimal(text: &str) -> Option<Number> {
    let integer = text.parse().map(Number::I64).or_else(|_| text.parse().map(Number::U64));
    integer.ok().or_else(|| parse_f64(text.as_bytes()).map(Number::F64))
}

/// The texts that several columns give together.
pub(super) fn joined(
    typed: &mut Typed<'_>,
    at: usize,
    made: &Composite,
    arrays: &[&ArrayRef],
    file: &str,
) -> Result<Vec<Option<String>>> {
    let parts: Vec<StringArray> =
        arrays.iter().map(|array| texts(typed, at, array, file)).collect::<Result<_>>()?;
    let parts: Vec<Vec<Option<&str>>> = parts.iter().map(|part| part.iter().collect()).collect();
    Ok(typed.joined(made, &parts))
}

pub(super) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Any number of bytes, which may be text.
pub(super) fn is_bytes(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// Whether the values of a column can be numbers.
pub(super) fn can_be_numbers(kind: &DataType) -> bool {
    is_text(kind)
        || is_bytes(kind)
        || is_decimal(kind)
        || arrow_cast::can_cast_types(kind, &DataType::Float64)
}

fn is_decimal(kind: &DataType) -> bool {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    matches!(kind, Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..))
}

/// Column `at` as text: bytes of a fixed number as hexadecimal digits, as of an identifier. Other bytes that are no text refuse
/// their record.
pub(super) fn texts(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<StringArray> {
    let texts = texts_of(array, file)?;
    if is_bytes(array.data_type()) {
        let lost = (0..array.len()).filter(|&row| texts.is_null(row) && array.is_valid(row));
        lost.for_each(|row| typed.refuse(row, at, "not UTF-8"));
    }
    Ok(texts)
}

/// An array as text, numbers in their shortest form; null where bytes are no text, and times none that could be written.
pub(super) fn texts_of(array: &ArrayRef, file: &str) -> Result<StringArray> {
    if let Some(bytes) = array.as_fixed_size_binary_opt() {
        return Ok(bytes.iter().map(|bytes| bytes.map(hexadecimal)).collect());
    }
    if let Some(clock) = clock(array.data_type()) {
        let counts = cast(array, &DataType::Int64, file)?;
        return Ok(counts.as_primitive::<Int64Type>().iter().map(|count| written(clock, count?)).collect());
    }
    match array.data_type() {
        DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>().iter();
            Ok(numbers.map(|number| number.map(float_text)).collect())
        }
        DataType::Float32 => {
            let numbers = array.as_primitive::<Float32Type>().iter();
            Ok(numbers.map(|number| number.map(single_text)).collect())
        }
        DataType::Float16 => texts_of(&cast(array, &DataType::Float32, file)?, file),
        DataType::Dictionary(_, values) if values.is_floating() => {
            texts_of(&cast(array, values, file)?, file)
        }
        _ => Ok(cast(array, &DataType::Utf8, file)?.as_string::<i32>().clone()),
    }
}

/// A moment as RFC 3339.
fn written(clock: Clock, count: i64) -> Option<String> {
    let mut text = Vec::new();
    clock.write(count, &mut text).ok()?;
    String::from_utf8(text).ok()
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

pub(super) fn cast(array: &ArrayRef, to: &DataType, file: &str) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    library(file, || arrow_cast::cast(array, to))
}
