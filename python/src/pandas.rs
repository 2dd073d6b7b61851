//! Tables of pandas: an index without a name is not one of their columns.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{DataType, Field, Schema};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// How pandas names the columns that it makes of such an index.
const INDEX: &str = "__index_level_";

/// The types of pandas that Arrow has as something else, and what to give instead: a period is the number of periods since 1970.
const EXTENSIONS: [(&str, &str); 2] = [
    ("pandas.period", "`.dt.to_timestamp()`"),
    ("pandas.interval", "one of its ends, such as `.array.left`"),
];

/// Refuses columns of those types.
pub(crate) fn check_columns(schema: &Schema) -> PyResult<()> {
    for field in schema.fields() {
        let extension = field.metadata().get("ARROW:extension:name");
        let known = EXTENSIONS.iter().find(|(name, _)| extension.is_some_and(|extension| extension == name));
        if let Some((name, instead)) = known {
            return Err(PyTypeError::new_err(format!(
                "column `{}` has values of {name}, which are no numbers: give {instead}, or leave it out",
                field.name()
            )));
        }
    }
    Ok(())
}

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
