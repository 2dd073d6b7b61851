//! Columns to arrays.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, TimestampNanosecondArray, UInt64Array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

use super::dictionary::dictionary;
use crate::batch::{Batch, Column, Mask};
use crate::error::Result;
use crate::sensor::Sensors;

/// The array that `column` of `batch` becomes.
///
/// # Errors
/// An internal error where there are more sensors than a dictionary may have.
pub(crate) fn array(batch: &Batch, column: &Column, sensors: &Sensors) -> Result<ArrayRef> {
    Ok(match column {
        Column::Time(times) => {
            let nanos = times.values.iter().map(|time| time.as_nanos());
            Arc::new(TimestampNanosecondArray::from_iter_values(nanos).with_timezone("UTC"))
        }
        Column::Sensor(ids) => Arc::new(dictionary(ids.iter().map(|id| id.0), sensors)?),
        Column::F64(numbers) => {
            Arc::new(Float64Array::new(numbers.values.clone().into(), nulls(&numbers.valid)))
        }
        Column::I64(numbers) => {
            Arc::new(Int64Array::new(numbers.values.clone().into(), nulls(&numbers.valid)))
        }
        Column::U64(numbers) => {
            Arc::new(UInt64Array::new(numbers.values.clone().into(), nulls(&numbers.valid)))
        }
        Column::Bool(booleans) => Arc::new(BooleanArray::new(bits(&booleans.values), nulls(&booleans.valid))),
        Column::Text(spans) => {
            let mut builder = StringBuilder::new();
            for &span in spans {
                builder.append_option(batch.text.get(span).map(|text| String::from_utf8_lossy(text)));
            }
            Arc::new(builder.finish())
        }
    })
}

/// Which values are there; `None` where all are.
fn nulls(valid: &Mask) -> Option<NullBuffer> {
    (!valid.is_all_set()).then(|| NullBuffer::new(bits(valid)))
}

fn bits(mask: &Mask) -> BooleanBuffer {
    BooleanBuffer::new(Buffer::from_vec(mask.words().to_vec()), 0, mask.len())
}
