//! Arrow's C interface in capsules: what Python objects with `__arrow_c_array__` or `__arrow_c_stream__` give, and the same for others.
#![expect(unsafe_code, reason = "moves structs of Arrow's C interface out of capsules")]

use std::ffi::CStr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, from_ffi_and_data_type, to_ffi};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    Array, RecordBatch, RecordBatchIterator, RecordBatchOptions, RecordBatchReader, StructArray, make_array,
};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use crate::pandas::{check_columns, without_index};

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";
/// The format of record batches.
const STRUCT: &str = "+s";

pub(crate) type Capsules<'py> = (Bound<'py, PyCapsule>, Bound<'py, PyCapsule>);

/// Whether `object` gives record batches, one or many.
pub(crate) fn is_arrow(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.hasattr("__arrow_c_stream__")? || object.hasattr("__arrow_c_array__")?)
}

/// The record batches of `object`: a stream, or one batch.
pub(crate) fn reader_of(object: &Bound<'_, PyAny>) -> PyResult<Box<dyn RecordBatchReader + Send>> {
    if object.hasattr("__arrow_c_stream__")? {
        return Ok(without_index(Box::new(stream_of(object)?)));
    }
    let batch = batch_of(object)?;
    let schema = batch.schema();
    Ok(Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
}

fn stream_of(object: &Bound<'_, PyAny>) -> PyResult<Imported> {
    let capsule = object.call_method0("__arrow_c_stream__")?;
    let stream = capsule.cast::<PyCapsule>()?.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: the capsule's name says that it has a stream, which is alive as long as the capsule; `from_raw` moves it out and leaves a released one.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
    Imported::new(stream)
}

/// A stream of another library.
struct Imported {
    stream: FFI_ArrowArrayStream,
    schema: SchemaRef,
}

impl Imported {
    fn new(mut stream: FFI_ArrowArrayStream) -> PyResult<Self> {
        let released = || PyValueError::new_err("this stream has been taken from its capsule already");
        let get_schema = stream.get_schema.filter(|_| stream.release.is_some()).ok_or_else(released)?;
        let mut schema = FFI_ArrowSchema::empty();
        // SAFETY: the stream is not released, and belongs to this function; the schema is a place to write to.
        match unsafe { get_schema(&raw mut stream, &raw mut schema) } {
            0 if schema.format() != STRUCT => Err(PyTypeError::new_err(
                "expected a table, not one column: give a Series as `series.to_frame()`, and an array in a table",
            )),
            0 => {
                let schema = Schema::try_from(&schema).map_err(|error| bad(&error))?;
                check_columns(&schema)?;
                Ok(Self { stream, schema: Arc::new(schema) })
            }
            _ => Err(bad(&last_error(&mut stream))),
        }
    }

    /// The next array; `None` at the end.
    fn array(&mut self) -> Result<Option<FFI_ArrowArray>, ArrowError> {
        let Some(get_next) = self.stream.get_next else { return Ok(None) };
        let mut array = FFI_ArrowArray::empty();
        // SAFETY: the stream is not released before it is dropped; the array is a place to write to.
        match unsafe { get_next(&raw mut self.stream, &raw mut array) } {
            0 => Ok((!array.is_released()).then_some(array)),
            _ => Err(last_error(&mut self.stream)),
        }
    }

    fn records(&self, array: FFI_ArrowArray) -> Result<RecordBatch, ArrowError> {
        let kind = DataType::Struct(self.schema.fields().clone());
        let array = without_buffers_of_nulls(array, &self.schema);
        // SAFETY: the stream says that its arrays are of its schema.
        let data = unsafe { from_ffi_and_data_type(array, kind) }?;
        let options = RecordBatchOptions::new().with_row_count(Some(data.len()));
        let (_, columns, _) = StructArray::from(data).into_parts();
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

impl Iterator for Imported {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let array = self.array().transpose()?;
        Some(array.and_then(|array| self.records(array)))
    }
}

impl RecordBatchReader for Imported {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

fn last_error(stream: &mut FFI_ArrowArrayStream) -> ArrowError {
    // SAFETY: the stream is not released; the text is valid until it is called again.
    let text = stream.get_last_error.and_then(|get| unsafe {
        let text = get(&raw mut *stream);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    });
    ArrowError::CDataInterface(text.unwrap_or_else(|| "it does not say why".into()))
}

/// polars gives an empty buffer with each column of nulls, which has none by the specification.
fn without_buffers_of_nulls(array: FFI_ArrowArray, schema: &Schema) -> FFI_ArrowArray {
    let nulls = schema.fields().iter().enumerate().filter(|(_, field)| field.data_type().is_null());
    for (at, _) in nulls.filter(|(at, _)| *at < array.num_children()) {
        // SAFETY: the array has so many children, which belong to it, and it belongs to this function. What releases them has pointers of its own.
        unsafe { (**array.children.add(at)).n_buffers = 0 }
    }
    array
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
    // SAFETY: the capsule's name says that it has a schema, which is alive as long as it is.
    let schema = unsafe { schema.as_ref() };
    // SAFETY: the capsule's name says that it has an array, which is alive as long as it is; it is moved out, which leaves a released one.
    let array = unsafe { FFI_ArrowArray::from_raw(array.as_ptr()) };
    let array = match Schema::try_from(schema) {
        Ok(schema) => without_buffers_of_nulls(array, &schema),
        Err(_) => array,
    };
    // SAFETY: both are of the same object, which says that the array is of this schema.
    let data = unsafe { from_ffi(array, schema) };
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
