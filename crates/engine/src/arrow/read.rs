//! Arrays to columns of the same type.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use crate::batch::{Booleans, Column, FieldType, Mask, Numbers};

/// The column that an array is where its values are of type `ty` as they are; `None` for those of other types, and for text.
pub(crate) fn column(array: &ArrayRef, ty: FieldType) -> Option<Column> {
    Some(match ty {
        FieldType::F64 => Column::F64(numbers(array.as_primitive_opt::<Float64Type>()?)),
        FieldType::I64 => Column::I64(numbers(array.as_primitive_opt::<Int64Type>()?)),
        FieldType::U64 => Column::U64(numbers(array.as_primitive_opt::<UInt64Type>()?)),
        FieldType::Bool => {
            let array = array.as_boolean_opt()?;
            let (mut values, valid) = (bits(array.values()), valid(array.nulls(), array.len()));
            values.and(&valid);
            Column::Bool(Booleans { values, valid })
        }
        _ => return None,
    })
}

fn numbers<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Numbers<T::Native> {
    let (mut values, valid) = (array.values().to_vec(), valid(array.nulls(), array.len()));
    if !valid.is_all_set() {
        // What stands in place of a null may be anything.
        values
            .iter_mut()
            .zip(valid.iter())
            .filter(|(_, valid)| !valid)
            .for_each(|(value, _)| *value = Default::default());
    }
    Numbers { values, valid }
}

/// Which values are there.
fn valid(nulls: Option<&NullBuffer>, len: usize) -> Mask {
    nulls.map_or_else(|| Mask::filled(len, true), |nulls| bits(nulls.inner()))
}

fn bits(bits: &BooleanBuffer) -> Mask {
    Mask::from_words(bits.bit_chunks().iter_padded().collect(), bits.len())
}
