//! Arrow's C interface in capsules: what Python objects with `__arrow_c_array__` or `__arrow_c_stream__` give, and the same for others.
#![expect(unsafe_code, reason = "moves structs of Arrow's C interface out of capsules")]

use std::ffi::CStr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray, make_array};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

pub(crate) type Capsules<'py> = (Bound<'py, PyCapsule>, Bound<'py, PyCapsule>);

/// Whether `object` gives record batches, one or many.
pub(crate) fn is_arrow(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.hasattr("__arrow_c_stream__")? || object.hasattr("__arrow_c_array__")?)
}

/// The record batches of `object`: a stream, or one batch.
pub(crate) fn reader_of(object: &Bound<'_, PyAny>) -> PyResult<Box<dyn RecordBatchReader + Send>> {
    if object.hasattr("__arrow_c_stream__")? {
        return Ok(Box::new(stream_of(object)?));
    }
    let batch = batch_of(object)?;
    let schema = batch.schema();
    Ok(Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
}

fn stream_of(object: &Bound<'_, PyAny>) -> PyResult<ArrowArrayStreamReader> {
    let capsule = object.call_method0("__arrow_c_stream__")?;
    let stream = capsule.cast::<PyCapsule>()?.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: the capsule's name says that it has a stream, which is alive as long as the capsule; `from_raw` moves it out and leaves a released one.
    unsafe { ArrowArrayStreamReader::from_raw(stream.as_ptr()) }.map_err(|error| bad(&error))
}

/// The record batch of `object`.
pub(crate) fn batch_of(object: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    if !is_arrow(object)? {
        return Err(PyTypeError::new_err(format!(
            "expected a record batch, an object with `__arrow_c_array__`, not {}",
            object.get_type().name()?
        )));
    }
    if !object.hasattr("__arrow_c_array__")? {
        let mut batches = reader_of(object)?;
        let schema = batches.schema();
        let all = batches.by_ref().collect::<Result<Vec<_>, _>>().map_err(|error| bad(&error))?;
        return match all.len() {
            0 => Ok(RecordBatch::new_empty(schema)),
            1 => all.into_iter().next().ok_or_else(|| PyValueError::new_err("no record batch")),
            _ => Err(PyTypeError::new_err("expected one record batch, not several: iterate over them")),
        };
    }
    let pair = object.call_method0("__arrow_c_array__")?;
    let pair = pair.cast::<PyTuple>()?;
    let (schema, array) = (pair.get_item(0)?, pair.get_item(1)?);
    let schema = schema.cast::<PyCapsule>()?.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    let array = array.cast::<PyCapsule>()?.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    // SAFETY: the capsule's name says that it has an array, which is alive as long as it is.
    if unsafe { array.as_ref() }.is_released() {
        return Err(PyValueError::new_err("this record batch has been taken from its capsule already"));
    }
    // SAFETY: the capsules' names say what they have, which is alive as long as they are; the array is moved out, which leaves a released one.
    let data = unsafe { from_ffi(FFI_ArrowArray::from_raw(array.as_ptr()), schema.as_ref()) };
    let array = make_array(data.map_err(|error| bad(&error))?);
    let records =
        array.as_struct_opt().ok_or_else(|| PyTypeError::new_err("expected a record batch, not an array"))?;
    if records.null_count() > 0 {
        return Err(PyValueError::new_err("expected a record batch: a struct array with nulls is none"));
    }
    Ok(RecordBatch::from(records))
}

pub(crate) fn bad(error: &ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The capsules of one record batch.
pub(crate) fn array_capsules<'py>(py: Python<'py>, batch: &RecordBatch) -> PyResult<Capsules<'py>> {
    let data = StructArray::from(batch.clone()).into_data();
    let (array, schema) = to_ffi(&data).map_err(|error| bad(&error))?;
    Ok((PyCapsule::new_with_value(py, schema, SCHEMA)?, PyCapsule::new_with_value(py, array, ARRAY)?))
}

/// The capsule of a stream of record batches.
pub(crate) fn stream_capsule(
    py: Python<'_>,
    reader: Box<dyn RecordBatchReader + Send>,
) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), STREAM)
}

/// One Arrow record batch. Anything that knows Arrow's C interface takes it: `pyarrow.record_batch(batch)`, `polars.DataFrame(batch)`.
#[pyclass(frozen, module = "tidemill")]
pub(crate) struct Batch(pub(crate) RecordBatch);

#[pymethods]
impl Batch {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Capsules<'py>> {
        drop(requested_schema);
        array_capsules(py, &self.0)
    }

    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.0.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    fn __repr__(&self) -> String {
        format!("<tidemill.Batch of {} records: {}>", self.0.num_rows(), self.column_names().join(", "))
    }
}

/// Arrow record batches in memory. Anything that knows Arrow's C interface takes it, any number of times: `pyarrow.table(table)`,
/// `polars.DataFrame(table)`, `duckdb.sql("from table")`.
#[pyclass(frozen, module = "tidemill")]
pub(crate) struct Table {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Arc<[RecordBatch]>,
}

impl Table {
    fn reader(&self) -> Box<dyn RecordBatchReader + Send> {
        let batches: Vec<_> = self.batches.iter().cloned().map(Ok).collect();
        Box::new(RecordBatchIterator::new(batches, Arc::clone(&self.schema)))
    }
}

#[pymethods]
impl Table {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        stream_capsule(py, self.reader())
    }

    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The record batches.
    fn batches(&self) -> Vec<Batch> {
        self.batches.iter().cloned().map(Batch).collect()
    }

    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn __repr__(&self) -> String {
        format!("<tidemill.Table of {} records: {}>", self.__len__(), self.column_names().join(", "))
    }
}
