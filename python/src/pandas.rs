//! Tables of pandas: an index without a name is not one of their columns.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{DataType, Field, Schema};

/// How pandas names the columns that it makes of such an index.
const INDEX: &str = "__index_level_";

/// The same record batches without the index. Times in it are kept: they are the column `time`, unless there is one.
pub(crate) fn without_index(reader: Box<dyn RecordBatchReader + Send>) -> Box<dyn RecordBatchReader + Send> {
    let given = reader.schema();
    let fields = given.fields();
    if !fields.iter().any(|field| field.name().starts_with(INDEX)) {
        return reader;
    }
    let has_time = given.index_of("time").is_ok();
    let (kept, named): (Vec<usize>, Vec<Field>) = fields
        .iter()
        .enumerate()
        .filter_map(|(at, field)| match field.data_type() {
            _ if !field.name().starts_with(INDEX) => Some((at, field.as_ref().clone())),
            DataType::Timestamp(..) if !has_time => Some((at, field.as_ref().clone().with_name("time"))),
            _ => None,
        })
        .unzip();
    let schema = Arc::new(Schema::new_with_metadata(named, given.metadata().clone()));
    let own = Arc::clone(&schema);
    let batches = reader.map(move |batch| {
        let columns = batch?.project(&kept)?.columns().to_vec();
        RecordBatch::try_new(Arc::clone(&own), columns)
    });
    Box::new(RecordBatchIterator::new(batches, schema))
}
