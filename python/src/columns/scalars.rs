//! Single values of Python's, numpy's and pandas' types.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString, PyType};

/// From here on, not every whole number is a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether it stands for a missing value: NaN, and pandas' `NaT` and `NA`.
pub(super) fn is_missing(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    match value.extract::<f64>() {
        Ok(number) => Ok(number.is_nan()),
        Err(_) => Ok(matches!(&*type_name(value)?, "NaTType" | "NAType")),
    }
}

/// Python's or numpy's.
pub(super) fn is_bool(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.is_instance_of::<PyBool>() || matches!(&*type_name(value)?, "bool" | "bool_"))
}

pub(super) fn type_name(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(value.get_type().name()?.to_string())
}

pub(super) fn is_time(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let datetime = datetime_type(value.py())?;
    Ok(value.is_instance(datetime)? || type_name(value)? == "datetime64")
}

fn datetime_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static DATETIME: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    DATETIME.import(py, "datetime", "datetime")
}

pub(crate) fn has_zone(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.getattr_opt("tzinfo")?.is_some_and(|zone| !zone.is_none()))
}

/// A text; a number is its text, so that sensors may have numbers as names.
pub(super) fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    match value.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.to_owned()),
        Err(_) => Ok(value.str()?.to_str()?.to_owned()),
    }
}

pub(super) fn number(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(float.value());
    }
    if value.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!("{} is no number", value.repr()?)));
    }
    if value.is_instance_of::<PyInt>() || value.hasattr("__index__")? {
        let float: f64 = value.extract()?;
        // Python compares whole numbers and floats exactly, numpy does not.
        if float.abs() >= EXACT && !value.call_method0("__index__")?.eq(float)? {
            return Err(PyValueError::new_err(format!(
                "{} is no float to the last digit: declare the column as int in `fields`",
                value.repr()?
            )));
        }
        return Ok(float);
    }
    value.extract()
}

/// Nanoseconds since 1970 of a `datetime`, a pandas `Timestamp` or a numpy `datetime64`; `None` for "not a time".
pub(crate) fn nanos(value: &Bound<'_, PyAny>, wants_zone: bool) -> PyResult<Option<i64>> {
    static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let datetime = datetime_type(py)?;
    if !value.is_instance(datetime)? {
        if type_name(value)? == "datetime64" {
            return numpy_nanos(value);
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

/// The same of a numpy `datetime64`. What does not fit is wrapped around by numpy, silently.
fn numpy_nanos(value: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let count = |unit: &str| -> PyResult<i64> {
        value.call_method1("astype", (unit,))?.call_method1("astype", ("int64",))?.extract()
    };
    let (seconds, nanos) = (count("datetime64[s]")?, count("datetime64[ns]")?);
    // numpy's `NaT` is the least of all.
    if seconds == i64::MIN {
        return Ok(None);
    }
    // Within a second of the limits, what has been wrapped around has the other sign.
    let is_near = (i64::MIN / 1_000_000_000 - 1..=i64::MAX / 1_000_000_000).contains(&seconds);
    match is_near && (seconds < 0) == (nanos < 0) && nanos != i64::MIN {
        true => Ok(Some(nanos)),
        false => Err(PyValueError::new_err(format!("{value} is outside 1677 to 2262"))),
    }
}

fn replaced_zone<'py>(value: &Bound<'py, PyAny>, zone: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let keywords = PyDict::new(value.py());
    keywords.set_item("tzinfo", zone)?;
    value.call_method("replace", (), Some(&keywords))
}
