//! Batches to record batches, outside of files.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::write::records;
use crate::batch::{Batch, Schema};
use crate::error::Result;
use crate::sensor::Sensors;

/// Encodes batches of one schema as Arrow record batches.
///
/// | column | becomes |
/// |---|---|
/// | [`FieldRole::Time`](crate::batch::FieldRole::Time) | `Timestamp` in nanoseconds, UTC |
/// | [`FieldRole::Sensor`](crate::batch::FieldRole::Sensor) | `Dictionary` of `Int32` keys and `Utf8` names; each batch has its own |
/// | any other of [`FieldType::F64`](crate::batch::FieldType::F64), `I64`, `U64`, `Bool`, `Text` | `Float64`, `Int64`, `UInt64`, `Boolean`, `Utf8`, null where missing |
///
/// Units and metadata of fields are metadata of Arrow's fields.
#[derive(Clone, Debug)]
pub struct Encoder(SchemaRef);

impl Encoder {
    /// An encoder of batches with the columns `schema`.
    pub fn new(schema: &Schema) -> Self {
        Self(Arc::new(super::schema(schema)))
    }

    /// The columns of its record batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.0
    }

    /// Encodes `batch`. The memory of values is shared ([`Batch::share`]), not copied; text is copied unless it is contiguous.
    ///
    /// # Errors
    /// An internal error if the batch has other columns than the encoder.
    pub fn encode(&self, mut batch: Batch, sensors: &Sensors) -> Result<RecordBatch> {
        batch.share();
        records(&batch, &self.0, sensors)
    }
}
