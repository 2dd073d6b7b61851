//! One record as a component gives it: a record of a stream, a mapping, or an object with attributes.

use arrow_schema::Schema;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyMapping, PyString};

use crate::columns::Cell;
use crate::records::Record;

/// What a component gave for a column.
pub(super) enum Value<'py> {
    /// As the engine had it.
    Exact(Cell),
    Given(Option<Bound<'py, PyAny>>),
}

/// What a component gave as a record.
pub(super) enum Given<'py> {
    Record(Bound<'py, Record>),
    Dict(Bound<'py, PyDict>),
    Mapping(Bound<'py, PyMapping>),
    Object(Bound<'py, PyAny>),
}

impl<'py> Given<'py> {
    pub(super) fn of(item: &Bound<'py, PyAny>) -> PyResult<Self> {
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
    pub(super) fn value(&self, name: &str) -> PyResult<Value<'py>> {
        if let Self::Record(record) = self
            && let Some(cell) = record.borrow().unchanged(record.py(), name)?
        {
            return Ok(Value::Exact(cell));
        }
        self.get(name).map(Value::Given)
    }

    pub(super) fn get(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
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
    pub(super) fn check(&self, schema: &Schema) -> PyResult<()> {
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
    pub(super) fn names(&self) -> PyResult<Vec<String>> {
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
