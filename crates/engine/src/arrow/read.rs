//! Arrays to columns of the same type, without copying.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use zerocopy::{Immutable, IntoBytes};

use super::shared::{borrowed, borrowed_bits, borrowed_times};
use crate::batch::{Booleans, Buffer, Column, FieldType, Mask, Numbers, TimeColumn};

/// An array whose values have type `ty` as a column; `None` for other types, and for text. Values are copied only if something other than 0 is in place
/// of a null.
pub(crate) fn column(array: &ArrayRef, ty: FieldType) -> Option<Column> {
    Some(match ty {
        FieldType::F64 => Column::F64(numbers(array.as_primitive_opt::<Float64Type>()?)),
        FieldType::I64 => Column::I64(numbers(array.as_primitive_opt::<Int64Type>()?)),
        FieldType::U64 => Column::U64(numbers(array.as_primitive_opt::<UInt64Type>()?)),
        FieldType::Bool => {
            let array = array.as_boolean_opt()?;
            let (mut values, valid) = (borrowed_bits(array.values()), valid(array.nulls(), array.len()));
            values.and(&valid);
            Column::Bool(Booleans { values, valid })
        }
        _ => return None,
    })
}

/// An array of nanoseconds with a time zone as a column of times; `None` for other types, and if a time is null.
pub(crate) fn times(array: &ArrayRef) -> Option<Column> {
    let has_zone = matches!(array.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, Some(_)));
    let times = array.as_primitive_opt::<TimestampNanosecondType>().filter(|_| has_zone)?;
    (times.null_count() == 0)
        .then(|| Column::Time(TimeColumn { values: borrowed_times(times.values()), text: Vec::new() }))
}

fn numbers<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Numbers<T::Native>
where
    T::Native: IntoBytes + Immutable,
{
    without_others(borrowed(array.values()), valid(array.nulls(), array.len()))
}

/// Numbers with 0 in place of nulls: an array may have anything there, -0 too.
pub(crate) fn without_others<T>(mut values: Buffer<T>, valid: Mask) -> Numbers<T>
where
    T: IntoBytes + Immutable + Copy + Default,
{
    if !valid.is_all_set() {
        let is_other = |row: &usize| values[*row].as_bytes().iter().any(|&byte| byte != 0);
        let others: Vec<usize> = (0..values.len()).filter(|&row| !valid.get(row)).filter(is_other).collect();
        if !others.is_empty() {
            let values = values.to_mut();
            others.into_iter().for_each(|row| values[row] = T::default());
        }
    }
    Numbers { values, valid }
}

/// Which values are there.
fn valid(nulls: Option<&NullBuffer>, len: usize) -> Mask {
    nulls.map_or_else(|| Mask::filled(len, true), |nulls| borrowed_bits(nulls.inner()))
}
