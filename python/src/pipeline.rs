//! Pipelines: from a file or a program, and everything that can be done with one.

use std::path::PathBuf;

use crossbeam_channel::{RecvTimeoutError, bounded};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tidemill::pipeline::{Pipeline as EnginePipeline, Spec};
use tidemill::registry;

use crate::capsule::Table;
use crate::collect::{Collect, Hand};
use crate::errors::{Raised, exception, spec_exception};
use crate::object::with_objects;
use crate::run::{RunFeed, Running, Settings, Started, report};
use crate::stream::Stream;
use crate::values::{to_python, toml_of};

/// Batches between a run and the program that reads its stream.
const QUEUE: usize = 4;

/// A pipeline: sources, stages and sinks, checked. See `tidemill.Pipeline`.
#[pyclass(frozen, subclass, module = "tidemill._native")]
pub(crate) struct Pipeline {
    pipeline: EnginePipeline,
    raised: Raised,
}

impl Pipeline {
    fn resolve(py: Python<'_>, spec: &Spec, objects: Vec<Py<PyAny>>) -> PyResult<Self> {
        let raised = Raised::default();
        let resolved = with_objects(objects, &raised, || spec.resolve());
        match resolved {
            Ok(resolved) => Ok(Self { pipeline: resolved.pipeline, raised }),
            Err(error) => Err(spec_exception(py, &error)),
        }
    }

    /// The same pipeline with one sink instead of its own: it takes what leaves the last stage.
    fn into(&self, sink: impl tidemill::sink::SinkSpec) -> PyResult<EnginePipeline> {
        let sink = EnginePipeline::builder()
            .source(tidemill::source::Synthetic::default())
            .sink(sink)
            .build()
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?
            .sinks;
        Ok(EnginePipeline { sinks: sink, ..self.pipeline.clone() })
    }
}

#[pymethods]
impl Pipeline {
    /// Reads a pipeline file; `set` has overrides such as `stage.0.max=90`.
    #[staticmethod]
    fn of_file(py: Python<'_>, path: PathBuf, set: Vec<String>) -> PyResult<Self> {
        let spec = Spec::read(path).map_err(|error| exception(py, &error))?;
        let spec = set.into_iter().fold(spec, Spec::with_set);
        Self::resolve(py, &spec, Vec::new())
    }

    /// Makes a pipeline of the tables of a pipeline file, as JSON; `objects` are its components in Python.
    #[staticmethod]
    fn of_parts(py: Python<'_>, json: &str, objects: Vec<Py<PyAny>>) -> PyResult<Self> {
        Self::resolve(py, &Spec::new("pipeline", toml_of(json)?), objects)
    }

    /// The options of all parts, with their defaults.
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let all = self.pipeline.parameters();
        to_python(py, &serde_json::json!({ "source": all.sources, "stage": all.stages, "sink": all.sinks }))
    }

    /// Runs it to its end, and gives its report.
    fn run_with<'py>(&self, py: Python<'py>, settings: Settings) -> PyResult<Bound<'py, PyAny>> {
        let started = Started::new(self.pipeline.clone(), &settings, &self.raised)?;
        report(py, &started.wait(py)?)
    }

    /// Runs it in the background.
    fn start_with(&self, settings: Settings) -> PyResult<Running> {
        Ok(Running::new(Started::new(self.pipeline.clone(), &settings, &self.raised)?))
    }

    /// Runs it, and gives what leaves its last stage.
    fn table(&self, py: Python<'_>, settings: Settings) -> PyResult<Table> {
        let collect = Collect::default();
        let started = Started::new(self.into(collect.clone())?, &settings, &self.raised)?;
        started.wait(py)?;
        collect.take().ok_or_else(|| PyRuntimeError::new_err("the run gave no table"))
    }

    /// Runs it in the background, and gives what leaves its last stage as it comes.
    fn stream_with(&self, py: Python<'_>, settings: Settings) -> PyResult<Stream> {
        let (to, rows) = bounded(QUEUE);
        let (layout, columns) = bounded(1);
        let started = Started::new(self.into(Hand { to, layout })?, &settings, &self.raised)?;
        loop {
            match py.detach(|| columns.recv_timeout(std::time::Duration::from_millis(100))) {
                Ok(layout) => return Ok(Stream::new(&layout, RunFeed { rows, started })),
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
                // It has ended before its sink was opened.
                Err(RecvTimeoutError::Disconnected) => {
                    started.wait(py)?;
                    return Err(PyRuntimeError::new_err("the run ended before its output began"));
                }
            }
        }
    }
}

/// All components of the engine: kind, name, description, and the JSON Schemas of their options.
#[pyfunction]
pub(crate) fn components(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let all = registry::components().iter().map(|component| {
        serde_json::json!({
            "kind": component.kind().as_str(),
            "type": component.name,
            "help": component.help,
            "schemas": (component.schemas)(),
        })
    });
    to_python(py, &serde_json::Value::Array(all.collect()))
}
