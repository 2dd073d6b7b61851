//! Pipelines: from a file or a program, and everything that can be done with one.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use crossbeam_channel::{RecvTimeoutError, bounded};
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use tidemill::Error;
use tidemill::format::Names;
use tidemill::pipeline::{Pipeline as EnginePipeline, Spec};
use tidemill::registry;
use tidemill::stage::Stage;
use tidemill::verify::VerifyOptions;

use crate::capsule::Table;
use crate::collect::{Collect, Hand};
use crate::errors::{exception, spec_exception};
use crate::look::{explain, verify};
use crate::object::{Making, Object, with_objects};
use crate::run::{RunFeed, Running, Settings, Started, report, warn_of};
use crate::runs::Runs;
use crate::stream::Stream;
use crate::values::{to_python, toml_of};
use crate::wait::LOOK;

/// Batches between a run and the program that reads its stream.
const QUEUE: usize = 4;

/// A pipeline: sources, stages and sinks, checked. See `tidemill.Pipeline`.
#[pyclass(frozen, subclass, module = "tidemill._native")]
pub(crate) struct Pipeline {
    /// `None` once the garbage collector has taken it apart.
    pipeline: Mutex<Option<EnginePipeline>>,
    /// Its components in Python.
    objects: Vec<Weak<Object>>,
    runs: Runs,
}

impl Pipeline {
    fn resolve(py: Python<'_>, spec: &Spec, objects: Vec<Py<PyAny>>) -> PyResult<Self> {
        let (resolved, making) = with_objects(Making { objects, ..Making::default() }, || spec.resolve());
        match resolved {
            Ok(resolved) => {
                let pipeline = Mutex::new(Some(resolved.pipeline));
                Ok(Self { pipeline, objects: making.made, runs: making.runs })
            }
            Err(error) => {
                let raised = spec_exception(py, &error);
                raised.set_cause(py, making.raised);
                Err(raised)
            }
        }
    }

    fn engine(&self) -> PyResult<EnginePipeline> {
        let pipeline = self.pipeline.lock();
        pipeline.clone().ok_or_else(|| PyRuntimeError::new_err("this pipeline has been taken apart"))
    }

    /// The same pipeline with one sink instead of its own: it takes what leaves the last stage. What other branches give is discarded.
    fn into(&self, sink: impl tidemill::sink::SinkSpec) -> PyResult<EnginePipeline> {
        let own = self.engine()?;
        let branches: Vec<_> = own.sinks.iter().filter_map(|sink| sink.from.clone()).collect();
        let all = EnginePipeline::builder().source(tidemill::source::Synthetic::default()).sink(sink);
        let all = branches.iter().fold(all, |all, _| all.sink(tidemill::sink::Null::default()));
        let mut sinks = all.build().map_err(|error| PyRuntimeError::new_err(error.to_string()))?.sinks;
        sinks.iter_mut().skip(1).zip(branches).for_each(|(sink, from)| sink.from = Some(from));
        Ok(EnginePipeline { sinks, ..own })
    }

    /// Whether `stage` is one of its components in Python, which may be called like one of the engine's.
    fn is_python(&self, stage: &dyn Stage) -> bool {
        let mut objects = self.objects.iter().filter_map(Weak::upgrade);
        objects.any(|object| std::ptr::eq(object.label.as_str(), stage.name()))
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

    /// Makes a pipeline of the tables of a pipeline file, as JSON; `objects` are its components in Python, `set` has overrides.
    #[staticmethod]
    fn of_parts(py: Python<'_>, json: &str, objects: Vec<Py<PyAny>>, set: Vec<String>) -> PyResult<Self> {
        let spec = Spec::new("pipeline", toml_of(json)?);
        Self::resolve(py, &set.into_iter().fold(spec, Spec::with_set), objects)
    }

    /// Its stages: the type and the options of each; those in Python have none. Fails where one is not fed by the part before it.
    fn stages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pipeline = self.engine()?;
        if let Some(at) = branching(&pipeline) {
            let error = Error::config(format!("stage {at} has `from`: the stages are not one after another"));
            return Err(exception(py, &error.with_help("give those of one branch as a list")));
        }
        let stages = pipeline.stages.iter().map(|entry| match self.is_python(&*entry.stage) {
            true => serde_json::json!([entry.stage.name(), null]),
            false => serde_json::json!([entry.stage.name(), options_of(&*entry.stage)]),
        });
        to_python(py, &stages.collect())
    }

    /// What it would do: as values, and as text. Opens its sources.
    fn explain<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, String)> {
        let explanation = explain(py, self.engine()?)?.map_err(|error| self.runs.exception(py, &error))?;
        let values = serde_json::to_value(&explanation);
        let values = values.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok((to_python(py, &values)?, explanation.to_string()))
    }

    /// Runs it in many ways, with its files below `scratch`. `make` is given overrides, and makes the same pipeline with them.
    fn verify<'py>(
        &self,
        py: Python<'py>,
        make: Py<PyAny>,
        scratch: PathBuf,
        seed: u64,
        rounds: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = VerifyOptions { seed, rounds };
        let runs = self.runs.clone();
        let remake = move |set| {
            Python::attach(|py| {
                let made = || make.call1(py, (set,))?.bind(py).cast::<Self>()?.get().engine();
                made().map_err(|error: PyErr| runs.keep(py, "the repetition", error))
            })
        };
        let verdict = verify(py, self.engine()?, remake, scratch, options)?;
        let verdict = verdict.map_err(|error| self.runs.exception(py, &error))?;
        let values = serde_json::json!({
            "ways": verdict.ways,
            "records": verdict.records,
            "files": verdict.files,
            "difference": verdict.difference.map(|difference| difference.to_string()),
            "failure": verdict.failure,
        });
        to_python(py, &values)
    }

    /// Runs it to its end, and gives its report.
    fn run_with<'py>(&self, py: Python<'py>, settings: Settings) -> PyResult<Bound<'py, PyAny>> {
        let started = Started::new(self.engine()?, &settings, &self.runs)?;
        report(py, &started.wait(py)?)
    }

    /// Runs it in the background.
    fn start_with(&self, settings: Settings) -> PyResult<Running> {
        Ok(Running::new(Started::new(self.engine()?, &settings, &self.runs)?))
    }

    /// Runs it, and gives what leaves its last stage.
    fn table(&self, py: Python<'_>, settings: Settings) -> PyResult<Table> {
        let collect = Collect::default();
        let started = Started::new(self.into(collect.clone())?, &settings, &self.runs)?;
        warn_of(py, &started.wait(py)?)?;
        collect.take().ok_or_else(|| PyRuntimeError::new_err("the run gave no table"))
    }

    /// Runs it, and gives what leaves its sources and what leaves its last stage.
    fn tables(&self, py: Python<'_>, settings: Settings) -> PyResult<(Table, Table)> {
        let (before, after) = (Collect::default(), Collect::default());
        let mut pipeline = self.into(before.clone())?;
        pipeline.sinks.extend(self.into(after.clone())?.sinks.into_iter().take(1));
        pipeline.sinks[0].from = Some(Names::Many(named_sources(&mut pipeline)));
        Started::new(pipeline, &settings, &self.runs)?.wait(py)?;
        let taken = before.take().zip(after.take());
        taken.ok_or_else(|| PyRuntimeError::new_err("the run gave no table"))
    }

    /// Runs it in the background, and gives what leaves its last stage as it comes.
    fn stream_with(&self, py: Python<'_>, settings: Settings) -> PyResult<Stream> {
        let (to, rows) = bounded(QUEUE);
        let (layout, columns) = bounded(1);
        let started = Started::new(self.into(Hand { to, layout })?, &settings, &self.runs)?;
        loop {
            match py.detach(|| columns.recv_timeout(LOOK)) {
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

    /// Components may refer to the pipeline that they are part of.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // While a run goes on, it has them too.
        if !self.runs.are_over() {
            return Ok(());
        }
        for object in &self.objects {
            let Some(object) = object.upgrade() else { continue };
            // One is this, the other is the pipeline's.
            if Arc::strong_count(&object) == 2 {
                visit.call(object.as_python())?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let taken = self.pipeline.lock().take();
        drop(taken);
    }
}

/// The names of its sources; those without one get one that no part has.
fn named_sources(pipeline: &mut EnginePipeline) -> Vec<String> {
    let given = pipeline.sources.iter().filter_map(|source| source.input.name.clone());
    let taken: Vec<_> = given.chain(pipeline.stages.iter().filter_map(|entry| entry.name.clone())).collect();
    let all = (0..).map(|at| if at == 0 { "source".to_owned() } else { format!("source {at}") });
    let mut free = all.filter(|name| !taken.contains(name));
    let names = pipeline.sources.iter_mut().map(|source| {
        source.input.name = source.input.name.take().or_else(|| free.next());
        source.input.name.clone().unwrap_or_default()
    });
    names.collect()
}

/// The first stage that is fed by others than the part before it; that before the first stage are all sources.
fn branching(pipeline: &EnginePipeline) -> Option<usize> {
    let is_only = pipeline.sources.len() == 1;
    let name = |name: &Option<String>| name.clone().or_else(|| is_only.then(|| "source".into()));
    let mut before: Vec<_> = pipeline.sources.iter().map(|source| name(&source.input.name)).collect();
    pipeline.stages.iter().position(|entry| {
        let fed = std::mem::replace(&mut before, vec![entry.name.clone()]);
        let Some(from) = &entry.from else { return false };
        let is_named =
            |name: &Option<String>| name.as_ref().is_some_and(|name| from.as_slice().contains(name));
        from.as_slice().len() != fed.len() || !fed.iter().all(is_named)
    })
}

/// The options of `stage`, with paths as they are for those who do not start from the folder of the pipeline file.
fn options_of(stage: &dyn Stage) -> serde_json::Value {
    let mut options = stage.parameters();
    for (name, path) in [("load", stage.loads()), ("save", stage.saves())] {
        if let (Some(path), Some(option)) = (path, options.get_mut(name)) {
            *option = path.place().to_string_lossy().into();
        }
    }
    options
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
