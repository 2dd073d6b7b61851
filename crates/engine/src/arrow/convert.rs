//! Arrays of any type to the columns of a source.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, Float32Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray, downcast_dictionary_array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::{DataType, TimeUnit};

use super::field_type;
use super::read;
use super::shared::bytes_of;
use super::typed::{ColumnClock, Typed, float_text, single_text};
use crate::batch::{FieldType, Number};
use crate::error::guard::survived;
use crate::error::{Error, Result};
use crate::format::columns::Composite;
use crate::kernel::number::parse_f64;
use crate::sensor::SensorLookup;

/// A run-end encoded array, and a dictionary of times, as one of its values; any other array as it is.
pub(super) fn unfolded(array: &ArrayRef, file: &str) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::RunEndEncoded(_, values) => cast(array, values.data_type(), file),
        // The conversion of a dictionary to text knows no time zones.
        DataType::Dictionary(_, values) if clock(values).is_some() => cast(array, values, file),
        _ => Ok(Arc::clone(array)),
    }
}

/// The clock of a column of dates or times.
pub(crate) fn clock(kind: &DataType) -> Option<ColumnClock> {
    match kind {
        DataType::Timestamp(unit, zone) => Some(ColumnClock::of(nanos(*unit), zone.is_none())),
        DataType::Date32 => Some(ColumnClock::DAYS),
        DataType::Date64 => Some(ColumnClock { is_date: true, ..ColumnClock::of(1_000_000, true) }),
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

/// Fills the time column `at`.
pub(crate) fn times(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<()> {
    if let Some(column) = read::times(array) {
        typed.whole(at, column);
        return Ok(());
    }
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

/// Fills the carried column `at`, as text unless it has another type.
pub(crate) fn carried(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<()> {
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
            if !share(typed, at, &texts) {
                typed.texts(at, texts.iter());
            }
        }
    }
    Ok(())
}

/// Fills column `at` with texts that stay where they are; gives whether that can be.
fn share(typed: &mut Typed<'_>, at: usize, texts: &StringArray) -> bool {
    // The offsets of an empty piece of an array may be those of bytes that did not come along.
    if texts.is_empty() {
        return false;
    }
    let offsets = texts.value_offsets();
    let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else { return false };
    let bytes = texts.values().slice_with_length(first as usize, (last - first) as usize);
    let place = |row: usize| {
        let [start, end] = [offsets[row], offsets[row + 1]].map(|offset| (offset - first) as usize);
        texts.is_valid(row).then_some(start..end)
    };
    typed.shared_texts(at, bytes_of(bytes), (0..texts.len()).map(place))
}

/// Fills column `at` with numbers of its type.
pub(crate) fn measurement(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<()> {
    if let Some(column) = typed.takes_whole().then(|| read::column(array, typed.ty(at))).flatten() {
        typed.whole(at, column);
        return Ok(());
    }
    match array.data_type() {
        DataType::Dictionary(_, values) if !is_text(values) => {
            return measurement(typed, at, &cast(array, values, file)?, file);
        }
        // By their text, which is exact: dividing by a power of ten would round twice.
        kind if is_decimal(kind) => {
            let texts = cast(array, &DataType::Utf8, file)?;
            typed.values(at, texts.as_string::<i32>().iter().map(|text| decimal(text?)));
        }
        kind if is_text(kind) || is_bytes(kind) => {
            let texts = texts(typed, at, array, file)?;
            typed.number_texts(at, texts.iter());
        }
        kind => match field_type(kind) {
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

/// Fills the sensor column, which is column `at`: a dictionary is not unfolded.
pub(crate) fn sensors(
    typed: &mut Typed<'_>,
    at: usize,
    array: &ArrayRef,
    file: &str,
    lookup: &mut dyn SensorLookup,
) -> Result<()> {
    if array.as_any_dictionary_opt().is_some_and(|dictionary| is_text(dictionary.values().data_type())) {
        let filled = downcast_dictionary_array!(
            array => sensors_of(typed, array, file, lookup)?,
            _ => false,
        );
        if filled {
            return Ok(());
        }
    }
    let names = texts(typed, at, array, file)?;
    let offsets = names.value_offsets();
    match (names.null_count(), offsets.first(), offsets.last()) {
        // The offsets of an empty piece of an array may be those of bytes that did not come along.
        (0, Some(&first), Some(&last)) if !names.is_empty() => {
            let text = &names.values()[first as usize..last as usize];
            let place = |ends: &[i32]| ((ends[0] - first) as u32, (ends[1] - ends[0]) as u32);
            let places: Vec<_> = offsets.windows(2).map(place).collect();
            typed.sensor_texts(text, &places, |row| names.value(row), lookup)
        }
        _ => typed.sensors(names.iter(), lookup),
    }
}

/// Fills the sensor column from a dictionary; not from one with far more names than records, which are looked up record by record.
fn sensors_of<K: ArrowDictionaryKeyType>(
    typed: &mut Typed<'_>,
    dictionary: &DictionaryArray<K>,
    file: &str,
    lookup: &mut dyn SensorLookup,
) -> Result<bool> {
    let keys = dictionary.keys();
    if dictionary.values().len() > 4 * keys.len() + 64 {
        return Ok(false);
    }
    let names = texts_of(dictionary.values(), file)?;
    let name = |key: usize| names.is_valid(key).then(|| names.value(key));
    match (keys.null_count(), keys.values()) {
        (0, keys) => typed.sensor_keys(|row| Some(keys[row].as_usize()), names.len(), name, lookup)?,
        (_, values) => {
            let key = |row: usize| keys.is_valid(row).then(|| values[row].as_usize());
            typed.sensor_keys(key, names.len(), name, lookup)?;
        }
    }
    Ok(true)
}

/// Parses the digits of a decimal.
fn decimal(text: &str) -> Option<Number> {
    let integer = text.parse().map(Number::I64).or_else(|_| text.parse().map(Number::U64));
    integer.ok().or_else(|| parse_f64(text.as_bytes()).map(Number::F64))
}

/// The texts composed from several columns.
pub(crate) fn joined(
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

pub(crate) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Whether it is a byte array of any length, which may be text.
pub(crate) fn is_bytes(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// Whether the values of a column can be numbers.
pub(crate) fn can_be_numbers(kind: &DataType) -> bool {
    is_text(kind)
        || is_bytes(kind)
        || is_decimal(kind)
        || arrow_cast::can_cast_types(kind, &DataType::Float64)
}

fn is_decimal(kind: &DataType) -> bool {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    matches!(kind, Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..))
}

/// Column `at` as text; fixed-size byte arrays, such as identifiers, as hexadecimal digits. Other bytes that are not UTF-8 reject their
/// record.
pub(crate) fn texts(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<StringArray> {
    let texts = texts_of(array, file)?;
    if is_bytes(array.data_type()) {
        let lost = (0..array.len()).filter(|&row| texts.is_null(row) && array.is_valid(row));
        lost.for_each(|row| typed.refuse(row, at, "not UTF-8"));
    }
    Ok(texts)
}

/// An array as text, numbers in their shortest form; null for bytes that are not UTF-8, and for times out of range.
pub(crate) fn texts_of(array: &ArrayRef, file: &str) -> Result<StringArray> {
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
        DataType::RunEndEncoded(..) => texts_of(&unfolded(array, file)?, file),
        DataType::Dictionary(_, values) if values.is_floating() => {
            texts_of(&cast(array, values, file)?, file)
        }
        _ => Ok(cast(array, &DataType::Utf8, file)?.as_string::<i32>().clone()),
    }
}

/// A time in RFC 3339.
fn written(clock: ColumnClock, count: i64) -> Option<String> {
    let mut text = Vec::new();
    clock.write(count, &mut text).ok()?;
    String::from_utf8(text).ok()
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

pub(crate) fn cast(array: &ArrayRef, to: &DataType, file: &str) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let broken = |why: &dyn std::fmt::Display| {
        Error::data(format!("a column of `{file}` cannot be read: {why}"))
            .with_help("check that the file is complete")
    };
    survived(|| arrow_cast::cast(array, to)).map_err(|panic| broken(&panic))?.map_err(|error| broken(&error))
}
