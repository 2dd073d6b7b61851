//! Records that Python gives, back into columns. Each is read when it is given: its object may be used again.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, StringDictionaryBuilder,
    TimestampNanosecondBuilder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyMapping, PyString, PyType};

use crate::records::Record;

/// Above this, not every whole number is a float.
const EXACT: i64 = 1 << 53;

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

/// The value of a column.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Null,
    /// Nanoseconds since 1970.
    Time(i64),
    Text(String),
    F64(f64),
    I64(i64),
    U64(u64),
    Bool(bool),
}

/// What a component gave for a column.
enum Value<'py> {
    /// As the engine had it.
    Exact(Cell),
    Given(Option<Bound<'py, PyAny>>),
}

/// Columns under construction.
pub(crate) struct Builder {
    schema: SchemaRef,
    cells: Vec<Cells>,
    rows: usize,
}

impl Builder {
    /// Empty columns of `schema`.
    pub(crate) fn new(schema: SchemaRef) -> PyResult<Self> {
        let cells = schema.fields().iter().map(|field| Cells::new(field)).collect::<PyResult<_>>()?;
        Ok(Self { schema, cells, rows: 0 })
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
            cells.read(value).map_err(|error| in_column(item.py(), field.name(), error))
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

/// What a component gave as a record.
enum Given<'py> {
    Record(Bound<'py, Record>),
    Dict(Bound<'py, PyDict>),
    Mapping(Bound<'py, PyMapping>),
    Object(Bound<'py, PyAny>),
}

impl<'py> Given<'py> {
    fn of(item: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(record) = item.cast::<Record>() {
            return Ok(Self::Record(record.clone()));
        }
        if let Ok(dict) = item.cast::<PyDict>() {
            return Ok(Self::Dict(dict.clone()));
        }
        if let Ok(mapping) = item.cast::<PyMapping>() {
            return Ok(Self::Mapping(mapping.clone()));
        }
        if item.is_none()
            || item.is_instance_of::<PyString>()
            || item.is_instance_of::<PyFloat>()
            || item.is_instance_of::<PyInt>()
        {
            return Err(PyTypeError::new_err(format!(
                "expected a record, a mapping such as a dict, or an object with attributes, not {}",
                item.repr()?
            )));
        }
        Ok(Self::Object(item.clone()))
    }

    /// What it has in column `name`. What was not changed of a record keeps its exact value.
    fn value(&self, name: &str) -> PyResult<Value<'py>> {
        if let Self::Record(record) = self
            && let Some(cell) = record.borrow().unchanged(record.py(), name)?
        {
            return Ok(Value::Exact(cell));
        }
        self.get(name).map(Value::Given)
    }

    fn get(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self {
            Self::Record(record) => {
                let name = PyString::new(record.py(), name);
                record.call_method1("get", (name,)).map(Some)
            }
            Self::Dict(dict) => dict.get_item(name),
            Self::Mapping(mapping) => {
                Ok(mapping.contains(name)?.then(|| mapping.get_item(name)).transpose()?)
            }
            Self::Object(object) => object.getattr_opt(name),
        }
    }

    /// Whether it has columns besides those of `schema`, which would be lost. Objects may have any other attributes.
    fn check(&self, schema: &Schema) -> PyResult<()> {
        let names = match self {
            Self::Object(_) => return Ok(()),
            Self::Record(record) if record.borrow().changes.is_none() => return Ok(()),
            _ => self.names()?,
        };
        match names.iter().find(|name| schema.index_of(name).is_err()) {
            None => Ok(()),
            Some(name) => Err(PyValueError::new_err(format!(
                "a record has a column `{name}`, which was not declared: name all columns in `fields` of the component, such as fields = {{\"{name}\": float}}"
            ))),
        }
    }

    /// The names of what it has; those of an object are its public attributes.
    fn names(&self) -> PyResult<Vec<String>> {
        match self {
            Self::Record(record) => record.call_method0("keys")?.extract(),
            Self::Dict(dict) => dict.keys().extract(),
            Self::Mapping(mapping) => mapping.keys()?.extract(),
            Self::Object(object) => attributes(object),
        }
    }
}

/// The public attributes of `object` that are values: of a dataclass, a named tuple, a class with slots, or any other.
fn attributes(object: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    for listed in ["__dataclass_fields__", "_fields", "model_fields", "__slots__"] {
        if let Some(names) = object.get_type().getattr_opt(listed)? {
            return names.try_iter()?.map(|name| name?.extract()).collect();
        }
    }
    let Some(own) = object.getattr_opt("__dict__")? else {
        return Err(PyTypeError::new_err(format!(
            "{} has no attributes to read as a record",
            object.repr()?
        )));
    };
    let names: Vec<String> = own.try_iter()?.map(|name| name?.extract()).collect::<PyResult<_>>()?;
    Ok(names.into_iter().filter(|name| !name.starts_with('_')).collect())
}

/// The columns of records like `item`: by its values, where `declared` does not say otherwise. `sensor` is the column with the sensor's name.
pub(crate) fn schema_like(
    item: &Bound<'_, PyAny>,
    declared: &[(String, DataType)],
    sensor: Option<&str>,
) -> PyResult<SchemaRef> {
    let given = Given::of(item)?;
    let mut names = given.names()?;
    names.extend(
        declared
            .iter()
            .map(|(name, _)| name.clone())
            .filter(|name| !names.contains(name))
            .collect::<Vec<_>>(),
    );
    let fields = names.iter().map(|name| {
        let known = declared.iter().find(|(other, _)| other == name).map(|(_, kind)| kind.clone());
        let kind = match known {
            Some(kind) => kind,
            None if sensor == Some(name) => names_type(),
            None => kind_of(given.get(name)?.as_ref(), name)?,
        };
        Ok(Field::new(name, kind, true))
    });
    Ok(Arc::new(Schema::new(fields.collect::<PyResult<Vec<_>>>()?)))
}

fn names_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn kind_of(value: Option<&Bound<'_, PyAny>>, name: &str) -> PyResult<DataType> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(DataType::Float64) };
    if is_bool(value)? {
        return Ok(DataType::Boolean);
    }
    if value.is_instance_of::<PyString>() {
        return Ok(DataType::Utf8);
    }
    if is_time(value)? {
        return Ok(DataType::Timestamp(TimeUnit::Nanosecond, has_zone(value)?.then(|| "UTC".into())));
    }
    match value.extract::<f64>() {
        Ok(_) => Ok(DataType::Float64),
        Err(_) => Err(PyTypeError::new_err(format!(
            "column `{name}` has a {}, which is no number, text, boolean or time",
            type_name(value)?
        ))),
    }
}

/// Python's or numpy's.
fn is_bool(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.is_instance_of::<PyBool>() || matches!(&*type_name(value)?, "bool" | "bool_"))
}

fn type_name(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(value.get_type().name()?.to_string())
}

fn is_time(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let datetime = datetime_type(value.py())?;
    Ok(value.is_instance(datetime)? || type_name(value)? == "datetime64")
}

fn datetime_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static DATETIME: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    DATETIME.import(py, "datetime", "datetime")
}

fn has_zone(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.getattr_opt("tzinfo")?.is_some_and(|zone| !zone.is_none()))
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
    fn read(&self, value: Value<'_>) -> PyResult<Cell> {
        let value = match value {
            Value::Exact(cell) if self.takes(&cell) => return Ok(cell),
            Value::Exact(cell) => {
                return Err(PyTypeError::new_err(format!("{cell:?} is not of the column's type")));
            }
            Value::Given(value) => value.filter(|value| !value.is_none()),
        };
        let Some(value) = value else { return Ok(Cell::Null) };
        Ok(match self {
            Self::Time { has_zone, .. } => nanos(&value, *has_zone)?.map_or(Cell::Null, Cell::Time),
            Self::Sensor(_) | Self::Text(_) => Cell::Text(text(&value)?),
            Self::F64(_) => Cell::F64(number(&value)?),
            Self::I64(_) => Cell::I64(value.extract()?),
            Self::U64(_) => Cell::U64(value.extract()?),
            Self::Bool(_) if is_bool(&value)? => Cell::Bool(value.is_truthy()?),
            Self::Bool(_) => return Err(PyTypeError::new_err(format!("{} is no bool", value.repr()?))),
        })
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

/// A text; a number is its text, so that sensors may have numbers as names.
fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    match value.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.to_owned()),
        Err(_) => Ok(value.str()?.to_str()?.to_owned()),
    }
}

fn number(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(float.value());
    }
    if value.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!("{} is no number", value.repr()?)));
    }
    if value.is_instance_of::<PyInt>() || value.hasattr("__index__")? {
        let whole: i64 = value.extract().unwrap_or(i64::MAX);
        if whole.unsigned_abs() > EXACT as u64 && (whole as f64) as i128 != i128::from(whole) {
            return Err(PyValueError::new_err(format!(
                "{} is no float to the last digit: declare the column as int in `fields`",
                value.repr()?
            )));
        }
    }
    value.extract()
}

/// Nanoseconds since 1970 of a `datetime`, a pandas `Timestamp` or a numpy `datetime64`; `None` for "not a time".
fn nanos(value: &Bound<'_, PyAny>, wants_zone: bool) -> PyResult<Option<i64>> {
    static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let datetime = datetime_type(py)?;
    if !value.is_instance(datetime)? {
        if type_name(value)? == "datetime64" {
            return value
                .call_method1("astype", ("datetime64[ns]",))?
                .call_method1("astype", ("int64",))?
                .extract();
        }
        return Err(PyTypeError::new_err(format!("{} is no datetime", value.repr()?)));
    }
    if has_zone(value)? != wants_zone {
        return Err(PyValueError::new_err(format!(
            "{} {} a time zone, unlike the times before it: give all of them one, or none",
            value.repr()?,
            if wants_zone { "lacks" } else { "has" }
        )));
    }
    let zone = py.import("datetime")?.getattr("timezone")?.getattr("utc")?;
    let epoch =
        EPOCH.get_or_try_init(py, || datetime.call1((1970, 1, 1, 0, 0, 0, 0, &zone)).map(Bound::unbind))?;
    let aware = if wants_zone { value.clone() } else { replaced_zone(value, &zone)? };
    let since = aware.sub(epoch.bind(py))?;
    let part = |name: &str| since.getattr(name)?.extract::<i64>();
    let below = if value.get_type().is(datetime) {
        0
    } else {
        value.getattr_opt("nanosecond")?.map_or(Ok(0), |nanos| nanos.extract())?
    };
    let micros = (part("days")? * 86_400 + part("seconds")?)
        .checked_mul(1_000_000)
        .and_then(|micros| micros.checked_add(part("microseconds").ok()?));
    micros
        .and_then(|micros| micros.checked_mul(1000)?.checked_add(below))
        .map(Some)
        .ok_or_else(|| PyValueError::new_err(format!("{value} is outside 1677 to 2262")))
}

fn replaced_zone<'py>(value: &Bound<'py, PyAny>, zone: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let keywords = PyDict::new(value.py());
    keywords.set_item("tzinfo", zone)?;
    value.call_method("replace", (), Some(&keywords))
}

/// The type of a column that a component declares: `float`, `int`, `bool`, `str`, `datetime`, or its name.
pub(crate) fn declared(fields: &Bound<'_, PyAny>) -> PyResult<Vec<(String, DataType)>> {
    let fields = fields.cast::<PyMapping>()?;
    fields.items()?.iter().map(|item| {
        let (name, kind): (String, Bound<'_, PyAny>) = item.extract()?;
        let word = match kind.cast::<PyType>() {
            Ok(class) => class.name()?.to_string(),
            Err(_) => kind.str()?.to_string(),
        };
        let kind = match word.as_str() {
            "float" | "f64" => DataType::Float64,
            "int" | "i64" => DataType::Int64,
            "u64" => DataType::UInt64,
            "bool" => DataType::Boolean,
            "str" | "text" => DataType::Utf8,
            "datetime" => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            other => {
                return Err(PyTypeError::new_err(format!(
                    "column `{name}` is declared as `{other}`: the types are float, int, bool, str and datetime"
                )));
            }
        };
        Ok((name, kind))
    }).collect()
}
