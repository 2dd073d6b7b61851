//! What sources, stages and sinks in Python have in common: how a pipeline names them, how they are entered and left, and what they return.
//!
//! All methods of a component are called on one thread of its own, so that it may use what belongs to a thread: a connection, an event loop.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};

use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use schemars::Schema;
use serde_json::{Map, Value};
use tidemill::Error;
use tidemill::options::{Diagnostic, Options};

use crate::capsule::is_arrow;
use crate::errors::in_context;
use crate::runs::Runs;
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
    /// The runs of its pipeline.
    pub(crate) runs: Runs,
}

/// What a pipeline that is being made has of its components in Python.
#[derive(Default)]
pub(crate) struct Making {
    /// Those that stand in the program, by number.
    pub(crate) objects: Vec<Py<PyAny>>,
    pub(crate) runs: Runs,
    /// All of them, those of classes that a file names too.
    pub(crate) made: Vec<Weak<Object>>,
    /// What the first constructor that failed raised.
    pub(crate) raised: Option<PyErr>,
}

thread_local! {
    /// The pipeline that is being made on this thread.
    static MAKING: RefCell<Making> = RefCell::default();
    /// Whether a component on this thread has an event loop.
    static HAS_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// Makes a pipeline whose file or program refers to the objects in `making` by number.
pub(crate) fn with_objects<R>(making: Making, make: impl FnOnce() -> R) -> (R, Making) {
    let before = MAKING.replace(making);
    let made = make();
    (made, MAKING.replace(before))
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
    /// The component that the options name, with what `look` finds of it; the remaining options are the arguments of its class.
    pub(crate) fn configure<T>(
        options: &mut Options<'_>,
        look: impl FnOnce(&Self, &Bound<'_, PyAny>) -> PyResult<T>,
    ) -> Option<(Arc<Self>, T)> {
        let span = options.span();
        let named = options.remove("type").and_then(|name| Some(name.get_ref().as_str()?.to_owned()));
        let index: Option<usize> =
            options.remove("object").and_then(|index| index.get_ref().as_integer()?.as_str().parse().ok());
        let arguments = options.take_rest()?;
        let made = Python::attach(|py| {
            let given = MAKING.with_borrow(|making| Some(making.objects.get(index?)?.clone_ref(py)));
            let object = match given {
                Some(object) => object.into_bound(py),
                None => made(py, named.as_deref().unwrap_or_default(), &arguments)?,
            };
            let class = object.get_type().qualname()?.to_string();
            let label =
                named.filter(|name| !name.is_empty()).map_or(class, |name| format!("{PREFIX}:{name}"));
            let runs = MAKING.with_borrow(|making| making.runs.clone());
            let parameters = Value::Object(arguments);
            let own = Arc::new(Self { object: object.clone().unbind(), label, parameters, runs });
            let found = look(&own, &object)?;
            MAKING.with_borrow_mut(|making| making.made.push(Arc::downgrade(&own)));
            PyResult::Ok((own, found))
        });
        made.map_err(|error| {
            let help = "name a class as `python:module:Class`; the other options are its arguments";
            options.diagnostics.push(Diagnostic::new(span, error.to_string()).with_help(help));
            MAKING.with_borrow_mut(|making| {
                making.raised.get_or_insert(error);
            });
        })
        .ok()
    }

    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.object.bind(py)
    }

    /// The object itself, for the garbage collector.
    pub(crate) fn as_python(&self) -> &Py<PyAny> {
        &self.object
    }

    /// The error of a run for what it raised.
    pub(crate) fn failed(&self, py: Python<'_>, error: PyErr) -> Error {
        self.runs.keep(py, &format!("`{}`", self.label), error)
    }

    /// Fails if it has neither of `methods`.
    pub(crate) fn check(&self, object: &Bound<'_, PyAny>, methods: &[&str]) -> PyResult<()> {
        for method in methods {
            if has_method(object, method)? {
                return Ok(());
            }
        }
        let methods = methods.join("` or `");
        Err(PyTypeError::new_err(format!("`{}` has no method `{methods}`", self.label)))
    }

    /// Whether it has both of `methods`.
    ///
    /// # Errors
    /// A `TypeError` if it has one of them.
    pub(crate) fn has_both(&self, object: &Bound<'_, PyAny>, methods: [&str; 2]) -> PyResult<bool> {
        let [first, second] = methods;
        match (has_method(object, first)?, has_method(object, second)?) {
            (true, true) => Ok(true),
            (false, false) => Ok(false),
            (has_first, _) => {
                let (has, lacks) = if has_first { (first, second) } else { (second, first) };
                Err(PyTypeError::new_err(format!(
                    "`{}` has `{has}` and no `{lacks}`: checkpoints need both",
                    self.label
                )))
            }
        }
    }

    /// Calls one of its methods, and waits for the result of a coroutine.
    pub(crate) fn call<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        arguments: impl PyCallArgs<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let result = self.bind(py).call_method1(method, arguments)?;
        if !result.hasattr("__await__")? {
            return Ok(result);
        }
        HAS_LOOP.set(true);
        py.import("tidemill._async")?.getattr("wait")?.call1((result, true))
    }

    /// Calls `act` with the object, entered before and left afterwards if it is a context manager. The thread's event loop ends with it. What is raised is
    /// raised, whatever the context manager returns for it.
    pub(crate) fn entered<'py, R>(
        &self,
        py: Python<'py>,
        act: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<R>,
    ) -> PyResult<R> {
        let result = self.managed(py, act);
        match HAS_LOOP.take() {
            true => after(py, result, || py.import("tidemill._async")?.getattr("close")?.call0().map(drop)),
            false => result,
        }
    }

    fn managed<'py, R>(
        &self,
        py: Python<'py>,
        act: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<R>,
    ) -> PyResult<R> {
        let object = self.bind(py);
        let pairs = [("__enter__", "__exit__"), ("__aenter__", "__aexit__")];
        let is_there = |(enter, exit): &(&str, &str)| {
            has_method(object, enter).unwrap_or(false) && has_method(object, exit).unwrap_or(false)
        };
        let Some((enter, exit)) = pairs.into_iter().find(is_there) else { return act(object) };
        // What it returns is most often the object itself; where it is something else, the methods are still the object's.
        self.call(py, enter, ())?;
        let result = act(object);
        let error = result.as_ref().err().map(|error| error.clone_ref(py));
        after(py, result, || {
            let left = match error {
                None => self.call(py, exit, (py.None(), py.None(), py.None())),
                Some(error) => {
                    self.call(py, exit, (error.get_type(py), error.value(py), error.traceback(py)))
                }
            };
            left.map(drop)
        })
    }
}

/// `result` after `end`: what that raises has the error of `result` as its context.
fn after<R>(py: Python<'_>, result: PyResult<R>, end: impl FnOnce() -> PyResult<()>) -> PyResult<R> {
    match (result, end()) {
        (result, Ok(())) => result,
        (Ok(_), Err(raised)) => Err(raised),
        (Err(error), Err(raised)) => Err(in_context(py, raised, error.value(py))),
    }
}

/// Whether it has a method `name`. A column of a DataFrame is an attribute as well, and is none.
pub(crate) fn has_method(object: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
    Ok(object.getattr_opt(name)?.is_some_and(|method| method.is_callable()))
}

/// Whether the component declares `name`, such as `stateless = True`.
pub(crate) fn declares(object: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
    object.getattr_opt(name)?.map_or(Ok(false), |value| value.is_truthy())
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

/// Hands each item of what a component returned to `take`: those of an iterable, of an asynchronous one, or the record batches of a table.
pub(crate) fn items<'py>(
    result: &Bound<'py, PyAny>,
    mut take: impl FnMut(&Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let py = result.py();
    if result.is_none() {
        return Err(PyTypeError::new_err("it returned None: return or yield records"));
    }
    if !result.hasattr("__next__")? && is_arrow(result)? {
        return take(result);
    }
    let iterable = match result.hasattr("__aiter__")? || result.hasattr("__await__")? {
        true => {
            HAS_LOOP.set(true);
            py.import("tidemill._async")?.getattr("iterate")?.call1((result, true))?
        }
        false => result.clone(),
    };
    for item in iterable.try_iter()? {
        take(&item?)?;
    }
    Ok(())
}

/// Fails if `method` of a sink returned a generator: it has a `yield`, and has done nothing.
pub(crate) fn check_no_generator(result: &Bound<'_, PyAny>, method: &str) -> PyResult<()> {
    match result.hasattr("send")? && result.hasattr("__next__")? || result.hasattr("asend")? {
        true => Err(PyTypeError::new_err(format!(
            "`{method}` has a `yield`, so calling it does nothing: a sink takes records and gives none; a stage gives some, by `process`"
        ))),
        false => Ok(()),
    }
}
