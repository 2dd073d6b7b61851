//! Columns to arrays; shared values are not copied.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::Schema as ArrowSchema;

use super::dictionary::dictionary;
use super::shared::{lent, lent_bits};
use crate::batch::{Batch, Column, Mask, Span};
use crate::error::{Error, Result};
use crate::sensor::Sensors;

/// A batch as Arrow records; `schema` is [`schema`](super::schema) of the batch's.
///
/// # Errors
/// An internal error if the schema is not that of the batch.
pub(crate) fn records(batch: &Batch, schema: &Arc<ArrowSchema>, sensors: &Sensors) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| array(batch, column, sensors));
    let records = RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_>>()?);
    records.map_err(|error| Error::internal(format!("cannot build a record batch: {error}")))
}

/// `column` of `batch` as an array. It refers to the memory of values and validity if they are shared
/// ([`Batch::share`](crate::batch::Batch::share)); otherwise they are copied. The keys of sensors are numbered by batch; text is copied unless it is
/// contiguous, like that of an array.
///
/// # Errors
/// An internal error where there are more sensors than a dictionary may have.
pub(crate) fn array(batch: &Batch, column: &Column, sensors: &Sensors) -> Result<ArrayRef> {
    Ok(match column {
        Column::Time(times) => {
            let nanos = ScalarBuffer::from(lent(&times.values));
            Arc::new(TimestampNanosecondArray::new(nanos, None).with_timezone("UTC"))
        }
        Column::Sensor(ids) => Arc::new(dictionary(ids, sensors)?),
        Column::F64(numbers) => {
            Arc::new(Float64Array::new(lent(&numbers.values).into(), nulls(&numbers.valid)))
        }
        Column::I64(numbers) => {
            Arc::new(Int64Array::new(lent(&numbers.values).into(), nulls(&numbers.valid)))
        }
        Column::U64(numbers) => {
            Arc::new(UInt64Array::new(lent(&numbers.values).into(), nulls(&numbers.valid)))
        }
        Column::Bool(booleans) => {
            Arc::new(BooleanArray::new(lent_bits(&booleans.values), nulls(&booleans.valid)))
        }
        Column::Text(spans) => Arc::new(consecutive(batch, spans).unwrap_or_else(|| copied(batch, spans))),
    })
}

/// Which values are there; `None` where all are.
fn nulls(valid: &Mask) -> Option<NullBuffer> {
    (!valid.is_all_set()).then(|| NullBuffer::new(lent_bits(valid)))
}

/// Texts that are contiguous in memory; `None` for others, and if they are not UTF-8.
fn consecutive(batch: &Batch, spans: &[Span]) -> Option<StringArray> {
    let (bytes, lengths) = batch.text.consecutive(spans)?;
    i32::try_from(bytes.len()).ok()?;
    let valid = Mask::from_fn(spans.len(), |row| !spans[row].is_null());
    let bytes = bytes::Bytes::from_owner(bytes).into();
    StringArray::try_new(OffsetBuffer::from_lengths(lengths), bytes, nulls(&valid)).ok()
}

/// A copy of any texts; what is not UTF-8 is replaced.
fn copied(batch: &Batch, spans: &[Span]) -> StringArray {
    let mut builder = StringBuilder::new();
    for &span in spans {
        builder.append_option(batch.text.get(span).map(|text| String::from_utf8_lossy(text)));
    }
    builder.finish()
}
