//! Positions and states of components in Python, as checkpoints have them: bytes as they are, anything else as JSON.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};

const BYTES: u8 = 1;
const JSON: u8 = 2;

/// `value` as bytes.
///
/// # Errors
/// A `TypeError` if it is neither bytes nor, unchanged, JSON.
pub(crate) fn encode(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok([&[BYTES], bytes.as_bytes()].concat());
    }
    let text = value.py().import("tidemill._saved")?.getattr("to_json")?.call1((value,))?;
    Ok([&[JSON], text.cast::<PyString>()?.to_str()?.as_bytes()].concat())
}

/// The value that [`encode`] made `bytes` of.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match bytes {
        [BYTES, rest @ ..] => Ok(PyBytes::new(py, rest).into_any()),
        [JSON, rest @ ..] => {
            py.import("tidemill._saved")?.getattr("from_json")?.call1((PyBytes::new(py, rest),))
        }
        _ => Err(PyValueError::new_err("the checkpoint has no position or state that can be read")),
    }
}

/// A value as it was when it was taken. What cannot change is encoded when it is asked for, since few positions are.
pub(crate) enum Snapshot {
    Value(Py<PyAny>),
    Encoded(Vec<u8>),
}

impl Snapshot {
    pub(crate) fn of(value: Bound<'_, PyAny>) -> PyResult<Self> {
        let is_fixed = value.is_none()
            || value.is_exact_instance_of::<PyInt>()
            || value.is_exact_instance_of::<PyString>()
            || value.is_exact_instance_of::<PyBytes>()
            || value.is_exact_instance_of::<PyFloat>()
            || value.is_exact_instance_of::<PyBool>();
        match is_fixed {
            true => Ok(Self::Value(value.unbind())),
            false => encode(&value).map(Self::Encoded),
        }
    }

    pub(crate) fn encoded(&self) -> PyResult<Vec<u8>> {
        match self {
            Self::Value(value) => Python::attach(|py| encode(value.bind(py))),
            Self::Encoded(bytes) => Ok(bytes.clone()),
        }
    }
}
