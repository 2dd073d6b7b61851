//! The columns of records: as a component declares them, and otherwise by the values of its first record.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString, PyType};

use crate::columns::given::Given;
use crate::columns::scalars::{has_zone, is_bool, is_missing, is_time, type_name};

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
    if names.is_empty() {
        return Err(PyTypeError::new_err(format!("{} has no columns", item.repr()?)));
    }
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

/// The columns that a component declares, of which `sensor` has the sensor's name.
pub(crate) fn declared_schema(declared: &[(String, DataType)], sensor: &str) -> SchemaRef {
    let fields = declared.iter().map(|(name, kind)| {
        let kind = if name == sensor { names_type() } else { kind.clone() };
        Field::new(name, kind, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn names_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn kind_of(value: Option<&Bound<'_, PyAny>>, name: &str) -> PyResult<DataType> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(DataType::Float64) };
    // Only a time that is missing has a type.
    if is_missing(value)? && !is_time(value)? {
        return Ok(DataType::Float64);
    }
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
