//! One record as a component gives it: a record of a stream, a mapping, or an object with attributes.

use arrow_schema::Schema;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyMapping, PyString, PyType};

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
            || is_sequence(item)?
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
            Self::Object(object) => return check_any(object, schema),
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

/// Lists, bytes, arrays and the like: their attributes are no values. A named tuple is a record.
fn is_sequence(item: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(item.hasattr("__len__")? && item.hasattr("__getitem__")? && !item.hasattr("_fields")?)
}

/// Refuses an object that has none of the columns.
fn check_any(object: &Bound<'_, PyAny>, schema: &Schema) -> PyResult<()> {
    for field in schema.fields() {
        if object.hasattr(field.name().as_str())? {
            return Ok(());
        }
    }
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    Err(PyTypeError::new_err(format!(
        "{} is no record: it has none of {}",
        object.repr()?,
        columns.join(", ")
    )))
}

/// The public attributes of `object` that are values: of a dataclass, a named tuple, a model, or any other with slots, a `__dict__`, or both.
fn attributes(object: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let class = object.get_type();
    let names = match listed(&class)? {
        Some(names) => names,
        None => {
            let (slots, own) = (slots(&class)?, object.getattr_opt("__dict__")?);
            if slots.is_empty() && own.is_none() {
                return Err(PyTypeError::new_err(format!(
                    "{} has no attributes to read as a record",
                    object.repr()?
                )));
            }
            let own = own.map_or(Ok(Vec::new()), |own| texts(&own))?;
            let others = own.into_iter().filter(|name| !slots.contains(name)).collect::<Vec<_>>();
            [slots, others].concat()
        }
    };
    Ok(names.into_iter().filter(|name| !name.starts_with('_')).collect())
}

/// The names that a class of records lists: without variables of the class itself.
fn listed(class: &Bound<'_, PyType>) -> PyResult<Option<Vec<String>>> {
    if class.hasattr("__dataclass_fields__")? {
        let fields = class.py().import("dataclasses")?.call_method1("fields", (class,))?;
        let names = fields.try_iter()?.map(|field| field?.getattr("name")?.extract());
        return names.collect::<PyResult<_>>().map(Some);
    }
    for list in ["_fields", "model_fields"] {
        if let Some(names) = class.getattr_opt(list)? {
            return texts(&names).map(Some);
        }
    }
    Ok(None)
}

/// The slots of a class and of those that it inherits from, these first.
fn slots(class: &Bound<'_, PyType>) -> PyResult<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut bases: Vec<_> = class.mro().iter().collect();
    bases.reverse();
    for base in bases {
        let Ok(slots) = base.getattr("__dict__")?.get_item("__slots__") else { continue };
        let slots = match slots.cast::<PyString>() {
            Ok(one) => vec![one.to_str()?.to_owned()],
            Err(_) => texts(&slots)?,
        };
        names.extend(slots.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    }
    Ok(names)
}

fn texts(names: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    names.try_iter()?.map(|name| name?.extract()).collect()
}
