//! What sources, stages and sinks in Python have in common: how a pipeline names them, and how they are entered and left.

use std::cell::RefCell;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use schemars::Schema;
use serde_json::{Map, Value};
use tidemill::Error;
use tidemill::options::{Diagnostic, Options};

use crate::errors::Raised;
use crate::values::keywords;

/// The `type` of components in Python: `python:module:Class`, or `python:` with the option `object`, for one that stands in a program.
pub(crate) const PREFIX: &str = "python";

/// A component written in Python.
pub(crate) struct Object {
    object: Py<PyAny>,
    /// Its class, for messages.
    pub(crate) label: String,
    /// Its options.
    pub(crate) parameters: Value,
    /// Where what it raises is kept.
    pub(crate) raised: Raised,
}

thread_local! {
    /// The objects of the pipeline that is being made on this thread.
    static GIVEN: RefCell<Option<(Vec<Py<PyAny>>, Raised)>> = const { RefCell::new(None) };
}

/// Makes a pipeline whose file or program refers to `objects` by index.
pub(crate) fn with_objects<R>(objects: Vec<Py<PyAny>>, raised: &Raised, make: impl FnOnce() -> R) -> R {
    let before = GIVEN.replace(Some((objects, raised.clone())));
    let made = make();
    GIVEN.set(before);
    made
}

/// The options that every component in Python has, besides the arguments of its class.
pub(crate) fn schema() -> Schema {
    schemars::json_schema!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "description": "`python:module:Class`." },
        },
    })
}

impl Object {
    /// The component that the options name; the remaining options are the arguments of its class.
    pub(crate) fn configure(options: &mut Options<'_>, method: &str) -> Option<Self> {
        let span = options.span();
        let named = options.remove("type").and_then(|name| Some(name.get_ref().as_str()?.to_owned()));
        let index =
            options.remove("object").and_then(|index| index.get_ref().as_integer()?.as_str().parse().ok());
        let arguments = options.take_rest()?;
        let made = Python::attach(|py| {
            let (object, raised) = GIVEN.with_borrow(|given| {
                let given = given.as_ref();
                let object = index.and_then(|index: usize| Some(given?.0.get(index)?.clone_ref(py)));
                (object, given.map(|given| given.1.clone()).unwrap_or_default())
            });
            let object = match object {
                Some(object) => object.into_bound(py),
                None => made(py, named.as_deref().unwrap_or_default(), &arguments)?,
            };
            Self::of(&object, named.filter(|name| !name.is_empty()), arguments, raised).and_then(|made| {
                made.check(py, method)?;
                Ok(made)
            })
        });
        made.map_err(|error: PyErr| {
            let help = "name a class as `python:module:Class`; the other options are its arguments";
            options.diagnostics.push(Diagnostic::new(span, error.to_string()).with_help(help));
        })
        .ok()
    }

    fn of(
        object: &Bound<'_, PyAny>,
        named: Option<String>,
        arguments: Map<String, Value>,
        raised: Raised,
    ) -> PyResult<Self> {
        let class = object.get_type().qualname()?.to_string();
        let label = named.map_or(class, |name| format!("{PREFIX}:{name}"));
        Ok(Self { object: object.clone().unbind(), label, parameters: Value::Object(arguments), raised })
    }

    fn check(&self, py: Python<'_>, method: &str) -> PyResult<()> {
        let object = self.object.bind(py);
        if object.hasattr(method)? || (method == "stream" && is_source(object)?) {
            return Ok(());
        }
        Err(PyTypeError::new_err(format!("`{}` has no method `{method}`", self.label)))
    }

    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.object.bind(py)
    }

    /// The error of a run for what it raised.
    pub(crate) fn failed(&self, py: Python<'_>, error: PyErr) -> Error {
        self.raised.keep(py, &format!("`{}`", self.label), error)
    }

    /// Calls `act` with the object, entered before and left afterwards if it is a context manager.
    pub(crate) fn entered<'py, R>(
        &self,
        py: Python<'py>,
        act: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<R>,
    ) -> PyResult<R> {
        let object = self.bind(py);
        if !(object.hasattr("__enter__")? && object.hasattr("__exit__")?) {
            return act(object);
        }
        let entered = object.call_method0("__enter__")?;
        // What `__enter__` returns is most often the object itself; where it is something else, the methods are still the object's.
        drop(entered);
        match act(object) {
            Ok(result) => {
                object.call_method1("__exit__", (py.None(), py.None(), py.None()))?;
                Ok(result)
            }
            Err(error) => {
                object
                    .call_method1("__exit__", (error.get_type(py), error.value(py), error.traceback(py)))?;
                Err(error)
            }
        }
    }
}

/// Whether `object` gives records without a method `stream`: Arrow's, or any iterable.
fn is_source(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(crate::capsule::is_arrow(object)? || object.hasattr("__iter__")? || object.hasattr("__aiter__")?)
}

/// Imports `module:Class` and calls it.
fn made<'py>(py: Python<'py>, name: &str, arguments: &Map<String, Value>) -> PyResult<Bound<'py, PyAny>> {
    let (module, path) = name
        .split_once(':')
        .ok_or_else(|| PyTypeError::new_err(format!("`{PREFIX}:{name}` names no class")))?;
    let mut found = py.import(module)?.into_any();
    for part in path.split('.') {
        found = found.getattr(part)?;
    }
    let arguments: Bound<'_, PyDict> = keywords(py, arguments)?;
    found.call((), Some(&arguments))
}
