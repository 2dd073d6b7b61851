//! Columns under construction: each record is read when it is given, so its object may be used again.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, StringDictionaryBuilder,
    TimestampNanosecondBuilder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::columns::Cell;
use crate::columns::given::{Given, Value};
use crate::columns::scalars::{is_bool, is_missing, nanos, number, text};

/// One column under construction.
enum Cells {
    Time { builder: TimestampNanosecondBuilder, has_zone: bool },
    Sensor(StringDictionaryBuilder<Int32Type>),
    F64(Float64Builder),
    I64(Int64Builder),
    U64(UInt64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
}

/// Columns under construction.
pub(crate) struct Builder {
    schema: SchemaRef,
    cells: Vec<Cells>,
    rows: usize,
    /// Whether NaN is a missing value, as for pandas, and not a number.
    nan_is_missing: bool,
}

impl Builder {
    /// Empty columns of `schema`.
    pub(crate) fn new(schema: SchemaRef) -> PyResult<Self> {
        let cells = schema.fields().iter().map(|field| Cells::new(field)).collect::<PyResult<_>>()?;
        Ok(Self { schema, cells, rows: 0, nan_is_missing: false })
    }

    /// The same, with NaN as a missing value, as pandas has it.
    pub(crate) fn with_nan_missing(self) -> Self {
        Self { nan_is_missing: true, ..self }
    }

    /// The number of records so far.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Appends `item`: a record, a mapping, or an object with attributes. A column that it lacks is null.
    pub(crate) fn push(&mut self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let given = Given::of(item)?;
        given.check(&self.schema)?;
        // All values before any is appended: a record that is refused leaves nothing behind.
        let values = self
            .schema
            .fields()
            .iter()
            .map(|field| given.value(field.name()))
            .collect::<PyResult<Vec<_>>>()?;
        let read = self.schema.fields().iter().zip(&self.cells).zip(values).map(|((field, cells), value)| {
            let read = cells.read(value, self.nan_is_missing).and_then(|cell| match cell {
                Cell::Null if !field.is_nullable() => {
                    Err(PyValueError::new_err("every record needs a value here"))
                }
                cell => Ok(cell),
            });
            read.map_err(|error| in_column(item.py(), field.name(), error))
        });
        let read = read.collect::<PyResult<Vec<_>>>()?;
        self.cells.iter_mut().zip(read).for_each(|(cells, cell)| cells.append(cell));
        self.rows += 1;
        Ok(())
    }

    /// The records so far, as a batch; the builder is empty then.
    pub(crate) fn take(&mut self) -> PyResult<RecordBatch> {
        self.rows = 0;
        let columns = self.cells.iter_mut().map(Cells::take).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

fn in_column(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    drop(error.value(py).call_method1("add_note", (format!("in column `{name}` of a record"),)));
    error
}

impl Cells {
    fn new(field: &Field) -> PyResult<Self> {
        Ok(match field.data_type() {
            DataType::Timestamp(_, zone) => {
                let kind = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
                let builder = TimestampNanosecondBuilder::new().with_data_type(kind);
                Self::Time { builder, has_zone: zone.is_some() }
            }
            DataType::Dictionary(..) => Self::Sensor(StringDictionaryBuilder::new()),
            DataType::Float64 => Self::F64(Float64Builder::new()),
            DataType::Int64 => Self::I64(Int64Builder::new()),
            DataType::UInt64 => Self::U64(UInt64Builder::new()),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            other => return Err(PyTypeError::new_err(format!("records have no columns of type {other}"))),
        })
    }

    /// The value for this column.
    fn read(&self, value: Value<'_>, nan_is_missing: bool) -> PyResult<Cell> {
        let value = match value {
            Value::Exact(cell) if self.takes(&cell) => return Ok(cell),
            Value::Exact(cell) => {
                return Err(PyTypeError::new_err(format!("{cell:?} is not of the column's type")));
            }
            Value::Given(value) => value,
        };
        let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(Cell::Null) };
        match self.convert(&value)? {
            Cell::F64(number) if number.is_nan() && nan_is_missing => Ok(Cell::Null),
            cell => Ok(cell),
        }
    }

    /// The value for this column; null for what pandas has for missing values.
    fn convert(&self, value: &Bound<'_, PyAny>) -> PyResult<Cell> {
        let converted = match self {
            Self::Time { has_zone, .. } => {
                nanos(value, *has_zone).map(|nanos| nanos.map_or(Cell::Null, Cell::Time))
            }
            // Whatever it is, it has a text.
            Self::Sensor(_) | Self::Text(_) if !value.is_instance_of::<PyString>() && is_missing(value)? => {
                Ok(Cell::Null)
            }
            Self::Sensor(_) | Self::Text(_) => text(value).map(Cell::Text),
            Self::F64(_) => number(value).map(Cell::F64),
            Self::I64(_) => value.extract().map(Cell::I64),
            Self::U64(_) => value.extract().map(Cell::U64),
            Self::Bool(_) if is_bool(value)? => value.is_truthy().map(Cell::Bool),
            Self::Bool(_) => Err(PyTypeError::new_err(format!("{} is no bool", value.repr()?))),
        };
        match converted {
            Err(_) if is_missing(value)? => Ok(Cell::Null),
            converted => converted,
        }
    }

    fn takes(&self, cell: &Cell) -> bool {
        matches!(
            (self, cell),
            (_, Cell::Null)
                | (Self::Time { .. }, Cell::Time(_))
                | (Self::Sensor(_) | Self::Text(_), Cell::Text(_))
                | (Self::F64(_), Cell::F64(_))
                | (Self::I64(_), Cell::I64(_))
                | (Self::U64(_), Cell::U64(_))
                | (Self::Bool(_), Cell::Bool(_))
        )
    }

    /// Appends what [`Cells::read`] gave.
    fn append(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Time { builder, .. }, Cell::Time(nanos)) => builder.append_value(nanos),
            (Self::Time { builder, .. }, _) => builder.append_null(),
            (Self::Sensor(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Sensor(builder), _) => builder.append_null(),
            (Self::F64(builder), Cell::F64(value)) => builder.append_value(value),
            (Self::F64(builder), _) => builder.append_null(),
            (Self::I64(builder), Cell::I64(value)) => builder.append_value(value),
            (Self::I64(builder), _) => builder.append_null(),
            (Self::U64(builder), Cell::U64(value)) => builder.append_value(value),
            (Self::U64(builder), _) => builder.append_null(),
            (Self::Bool(builder), Cell::Bool(value)) => builder.append_value(value),
            (Self::Bool(builder), _) => builder.append_null(),
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), _) => builder.append_null(),
        }
    }

    fn take(&mut self) -> ArrayRef {
        match self {
            Self::Time { builder, .. } => Arc::new(builder.finish()),
            Self::Sensor(builder) => Arc::new(builder.finish()),
            Self::F64(builder) => Arc::new(builder.finish()),
            Self::I64(builder) => Arc::new(builder.finish()),
            Self::U64(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
        }
    }
}
