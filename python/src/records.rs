//! One record as Python sees it: a row of a batch, read when it is asked for, and what was changed of it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyAttributeError, PyKeyError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyMapping, PyString, PyType};
use tidemill::batch::{Batch, Column, Schema};
use tidemill::sensor::{SensorId, Sensors};
use tidemill::time::Timestamp;

use crate::columns::{Cell, has_zone, nanos};

/// The columns of a stream of records, by name.
pub(crate) struct Layout {
    pub(crate) schema: Arc<Schema>,
    /// The names of the columns, as Python interns them.
    names: Vec<Py<PyString>>,
    /// Names that every record has, whatever its columns are called: `timestamp`, `sensor`, `value`.
    aliases: [(&'static str, Option<usize>); 3],
}

impl Layout {
    pub(crate) fn new(py: Python<'_>, schema: &Arc<Schema>) -> Arc<Self> {
        let names = schema.fields().iter().map(|field| PyString::intern(py, &field.name).unbind());
        let aliases = [
            ("timestamp", schema.time()),
            ("sensor", Some(schema.sensor())),
            ("value", schema.measurements().first().copied()),
        ];
        Arc::new(Self { schema: Arc::clone(schema), names: names.collect(), aliases })
    }

    /// The column called `name`, or the one that the alias `name` stands for.
    fn column(&self, name: &Bound<'_, PyString>) -> Option<usize> {
        let known = self.names.iter().position(|own| own.as_ptr() == name.as_ptr());
        known.or_else(|| self.column_of(name.to_str().ok()?))
    }

    pub(crate) fn column_of(&self, name: &str) -> Option<usize> {
        let alias = || self.aliases.iter().find(|(alias, _)| *alias == name)?.1;
        self.schema.index_of(name).or_else(alias)
    }

    fn name(&self, at: usize) -> &Py<PyString> {
        &self.names[at]
    }
}

/// The records of one batch, which any number of [`Record`]s refer to.
pub(crate) struct Rows {
    pub(crate) batch: Batch,
    pub(crate) layout: Arc<Layout>,
    pub(crate) sensors: Sensors,
    /// The names that have been asked for, as Python objects.
    names: Mutex<HashMap<u32, Py<PyString>>>,
}

impl Rows {
    pub(crate) fn new(batch: Batch, layout: &Arc<Layout>, sensors: &Sensors) -> Arc<Self> {
        let (layout, sensors) = (Arc::clone(layout), sensors.snapshot());
        Arc::new(Self { batch, layout, sensors, names: Mutex::default() })
    }

    fn sensor<'py>(&self, py: Python<'py>, id: SensorId) -> Bound<'py, PyAny> {
        let mut names = self.names.lock();
        let name = names.entry(id.0).or_insert_with(|| PyString::new(py, self.sensors.name(id)).unbind());
        name.bind(py).clone().into_any()
    }

    /// The value of column `at` in `row`, exactly.
    fn cell(&self, at: usize, row: usize) -> Cell {
        let cell = match &self.batch.columns()[at] {
            Column::Time(times) => Some(Cell::Time(times.values[row].as_nanos())),
            Column::Sensor(ids) => Some(Cell::Text(self.sensors.name(ids[row]).to_owned())),
            Column::F64(numbers) => numbers.get(row).map(Cell::F64),
            Column::I64(numbers) => numbers.get(row).map(Cell::I64),
            Column::U64(numbers) => numbers.get(row).map(Cell::U64),
            Column::Bool(booleans) => booleans.get(row).map(Cell::Bool),
            Column::Text(spans) => self
                .batch
                .text
                .get(spans[row])
                .map(|text| Cell::Text(String::from_utf8_lossy(text).into_owned())),
        };
        cell.unwrap_or(Cell::Null)
    }

    /// The value of column `at` in `row`.
    fn value<'py>(&self, py: Python<'py>, at: usize, row: usize) -> PyResult<Bound<'py, PyAny>> {
        Ok(match &self.batch.columns()[at] {
            Column::Time(times) => datetime(py, times.values[row])?,
            Column::Sensor(ids) => self.sensor(py, ids[row]),
            Column::F64(numbers) => numbers.get(row).into_pyobject(py)?,
            Column::I64(numbers) => numbers.get(row).into_pyobject(py)?,
            Column::U64(numbers) => numbers.get(row).into_pyobject(py)?,
            Column::Bool(booleans) => booleans.get(row).into_pyobject(py)?,
            Column::Text(spans) => {
                let text = self.batch.text.get(spans[row]);
                text.map(|text| String::from_utf8_lossy(text)).into_pyobject(py)?
            }
        })
    }
}

/// A time as a `datetime` in UTC. It has microseconds: nanoseconds below are cut off.
fn datetime(py: Python<'_>, time: Timestamp) -> PyResult<Bound<'_, PyAny>> {
    static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static DELTA: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let delta = DELTA.import(py, "datetime", "timedelta")?;
    let epoch = EPOCH.get_or_try_init(py, || {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        datetime.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc)).map(Bound::unbind)
    })?;
    let micros = time.as_nanos().div_euclid(1000);
    let since = delta.call1((0, micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000)))?;
    epoch.bind(py).add(since)
}

/// A record of a stream. Its columns are attributes and items: `record.value`, `record["value"]`, `dict(record)`.
///
/// Whatever the columns are called, `sensor` is the sensor's name, `timestamp` the event time (a `datetime` in UTC, `None` without a time
/// column), `timestamp_ns` the same in nanoseconds since 1970, and `value` the first measurement. A missing value is `None`.
///
/// A stage may change attributes, and yield the record: `record.value *= 2`. What it does not change keeps its exact value.
#[pyclass(module = "tidemill", mapping)]
pub(crate) struct Record {
    pub(crate) rows: Arc<Rows>,
    pub(crate) row: u32,
    /// What was changed, by name.
    pub(crate) changes: Option<Py<PyDict>>,
}

impl Record {
    pub(crate) fn new(rows: &Arc<Rows>, row: u32) -> Self {
        Self { rows: Arc::clone(rows), row, changes: None }
    }

    fn look<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = name.py();
        let column = self.rows.layout.column(name);
        if let Some(changes) = &self.changes {
            let own = column.map(|at| self.rows.layout.name(at).bind(py).clone());
            if let Some(value) = changes.bind(py).get_item(own.as_ref().unwrap_or(name))? {
                return Ok(Some(value));
            }
        }
        column.map(|at| self.rows.value(py, at, self.row as usize)).transpose()
    }

    /// The exact value of column `name`, unless it was changed; `None` if it was, or if there is no such column.
    pub(crate) fn unchanged(&self, py: Python<'_>, name: &str) -> PyResult<Option<Cell>> {
        let Some(at) = self.rows.layout.schema.index_of(name) else { return Ok(None) };
        if let Some(changes) = &self.changes
            && changes.bind(py).contains(name)?
        {
            return Ok(None);
        }
        Ok(Some(self.rows.cell(at, self.row as usize)))
    }

    fn change(&mut self, name: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = name.py();
        let column = self.rows.layout.column(name);
        let name =
            column.map(|at| self.rows.layout.name(at).bind(py).clone()).unwrap_or_else(|| name.clone());
        self.changes.get_or_insert_with(|| PyDict::new(py).unbind()).bind(py).set_item(name, value)
    }

    /// Its time in nanoseconds since 1970: to the last digit, unless it was changed.
    fn nanos(&self, py: Python<'_>) -> PyResult<Option<i64>> {
        let time = self.rows.layout.schema.time().map(|at| self.rows.layout.name(at).bind(py));
        let changed = match (&self.changes, time) {
            (Some(changes), Some(name)) => changes.bind(py).get_item(name)?,
            _ => None,
        };
        match changed {
            Some(time) if time.is_none() => Ok(None),
            Some(time) => nanos(&time, has_zone(&time)?),
            None => Ok(self.rows.batch.times().map(|times| times[self.row as usize].as_nanos())),
        }
    }
}

#[pymethods]
impl Record {
    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        if let Some(value) = self.look(name)? {
            return Ok(value);
        }
        match name.to_str()? {
            "timestamp" | "value" => Ok(py.None().into_bound(py)),
            "timestamp_ns" => Ok(self.nanos(py)?.into_pyobject(py)?),
            other => Err(PyAttributeError::new_err(format!(
                "a record has no column `{other}`: its columns are {}",
                self.keys().join(", ")
            ))),
        }
    }

    fn __setattr__(&mut self, name: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.change(name, value)
    }

    fn __getitem__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.look(name)?.ok_or_else(|| PyKeyError::new_err(name.clone().unbind()))
    }

    fn __setitem__(&mut self, name: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.change(name, value)
    }

    fn __contains__(&self, name: &Bound<'_, PyString>) -> PyResult<bool> {
        Ok(self.look(name)?.is_some())
    }

    fn __len__(&self) -> usize {
        self.keys().len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.keys().into_pyobject(py)?.call_method0("__iter__")
    }

    /// The names of its columns, then those that were added to it.
    fn keys(&self) -> Vec<String> {
        let fields = self.rows.layout.schema.fields();
        let mut names: Vec<String> = fields.iter().map(|field| field.name.to_string()).collect();
        if let Some(changes) = &self.changes {
            Python::attach(|py| {
                let added = changes.bind(py).keys().iter().map(|name| name.to_string());
                let added: Vec<_> = added.filter(|name| !names.contains(name)).collect();
                names.extend(added);
            });
        }
        names
    }

    /// Its values, in the order of `keys()`.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.keys().iter().map(|name| self.__getitem__(&PyString::new(py, name))).collect()
    }

    /// Pairs of names and values.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
        Ok(self.keys().into_iter().zip(self.values(py)?).collect())
    }

    /// The value of a column, or `default` if the record has no such column.
    #[pyo3(signature = (name, default=None))]
    fn get<'py>(
        &self,
        name: &Bound<'py, PyString>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.look(name)?.or(default))
    }

    /// A copy with other values: `record.replace(value=1.0)`.
    #[pyo3(signature = (**changes))]
    fn replace(&self, py: Python<'_>, changes: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let before = self.changes.as_ref().map(|changes| changes.bind(py).copy()).transpose()?;
        let mut copy =
            Self { rows: Arc::clone(&self.rows), row: self.row, changes: before.map(Bound::unbind) };
        for (name, value) in changes.into_iter().flatten() {
            copy.change(name.cast::<PyString>()?, &value)?;
        }
        Ok(copy)
    }

    fn __eq__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if other.cast::<PyMapping>().is_err() {
            return Ok(py.NotImplemented().into_bound(py));
        }
        let dict = py.get_type::<PyDict>();
        dict.call1((self.items(py)?,))?.rich_compare(dict.call1((other,))?, CompareOp::Eq)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let shown = self.items(py)?.into_iter().map(|(name, value)| Ok(format!("{name}={}", value.repr()?)));
        Ok(format!("Record({})", shown.collect::<PyResult<Vec<_>>>()?.join(", ")))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        let items = py.get_type::<PyDict>().call1((self.items(py)?,))?.cast_into::<PyDict>()?;
        Ok((py.import("tidemill.records")?.getattr("Reading")?, (items,)))
    }
}
