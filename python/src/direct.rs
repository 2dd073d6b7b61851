//! Stages that are given record batches directly, on the calling thread: what a chain and a first pass have in common.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tidemill::arrow::Decoder;
use tidemill::batch::{Batch, Schema};
use tidemill::chain::Chain as EngineChain;
use tidemill::format::{ColumnOptions, Names};
use tidemill::pipeline::Spec;
use tidemill::sensor::Sensors;
use tidemill::stage::Stage;
use tidemill::{Error, ErrorKind, Result};

use crate::errors::{exception, spec_exception};
use crate::values::toml_of;

/// Records that leave stages at once at the end, at most.
pub(crate) const PIECE: usize = 65_536;

/// Stages, used by one thread at a time; what leaves them goes to an `E`.
pub(crate) struct Direct<E>(Mutex<State<E>>);

/// The stages, once the columns of the input are known.
type Begin<E> = Box<dyn Fn(&Arc<Schema>) -> Result<(EngineChain, E)> + Send>;

pub(crate) struct State<E> {
    columns: ColumnOptions,
    begin: Begin<E>,
    sensors: Sensors,
    running: Option<Running<E>>,
    /// Records that were rejected.
    pub(crate) rejected: u64,
    /// Why nothing more can be done with the stages.
    over: Option<Over>,
}

/// Why nothing more can be done with stages: what they have kept may be half a batch.
enum Over {
    Panicked,
    /// With the message of the error.
    Failed(String),
}

impl Over {
    fn error(&self) -> Error {
        match self {
            Self::Panicked => panicked("the stages panicked earlier"),
            Self::Failed(message) => Error::new(ErrorKind::Data, format!("the stages have failed earlier: {message}"))
                .with_help("what they keep may be half a record batch: start with new ones, and restore the last state that was saved"),
        }
    }
}

/// Stages whose columns are known.
pub(crate) struct Running<E> {
    decoder: Decoder,
    pub(crate) chain: EngineChain,
    pub(crate) end: E,
    records: u64,
    /// Whether they have been given the last record.
    pub(crate) is_over: bool,
}

impl<E: Send> Direct<E> {
    /// Stages that `begin` makes; `columns` says what the columns of their input are.
    pub(crate) fn new(
        columns: ColumnOptions,
        begin: impl Fn(&Arc<Schema>) -> Result<(EngineChain, E)> + Send + 'static,
    ) -> Self {
        let begin = Box::new(begin);
        Self(Mutex::new(State {
            columns,
            begin,
            sensors: Sensors::default(),
            running: None,
            rejected: 0,
            over: None,
        }))
    }

    /// Lets `act` work with them, without the interpreter.
    pub(crate) fn act<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut State<E>) -> Result<T> + Send,
    ) -> PyResult<T> {
        let result = py.detach(|| self.0.try_lock().map(|mut state| state.guarded(act)));
        let result = result.ok_or_else(|| PyRuntimeError::new_err("another thread is using this"))?;
        result.map_err(|error| exception(py, &error))
    }
}

impl<E> State<E> {
    /// Lets `act` work with the stages, unless an earlier call has left half a batch in them, as a panic does.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(over) = &self.over {
            return Err(over.error());
        }
        catch_unwind(AssertUnwindSafe(|| act(self))).unwrap_or_else(|panic| {
            self.over = Some(Over::Panicked);
            Err(panicked(&format!("the stages panicked: {}", message(&*panic))))
        })
    }

    /// Lets `act` give the stages records, or take some from them. If it fails, they have had a part of a batch.
    pub(crate) fn change<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        act(self).inspect_err(|error| self.over = Some(Over::Failed(error.message().to_owned())))
    }

    /// The same for an `act` that refuses what it has not begun with: a configuration error changes nothing.
    pub(crate) fn change_or_refuse<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        match act(self) {
            Err(error) if error.kind() == ErrorKind::Config => Err(error),
            result => self.change(|_| result),
        }
    }

    /// Decodes `records`; the first ones say which columns there are.
    pub(crate) fn decode(&mut self, records: &RecordBatch) -> Result<Batch> {
        if self.running.is_none() {
            let decoder = Decoder::new("batch", &self.columns, &records.schema())?;
            let (chain, end) = (self.begin)(decoder.schema())?;
            self.running = Some(Running { decoder, chain, end, records: 0, is_over: false });
        }
        let (running, sensors) = self.begun()?;
        let decoded = running.decoder.decode(records, running.records, false, sensors)?;
        running.records += records.num_rows() as u64;
        self.rejected += decoded.rejections.len() as u64;
        Ok(decoded.batch)
    }

    /// The stages begin again with the first record; what `end` has is kept.
    pub(crate) fn begin_again(&mut self) -> Result<()> {
        if let Some(running) = &mut self.running {
            running.chain = (self.begin)(running.decoder.schema())?.0;
            running.is_over = false;
        }
        Ok(())
    }

    /// The running stages, and their sensors.
    pub(crate) fn begun(&mut self) -> Result<(&mut Running<E>, &mut Sensors)> {
        let running = self.running.as_mut().ok_or_else(|| {
            Error::config("the columns are not known yet")
                .with_help("give it a record batch first; one without rows is enough")
        })?;
        Ok((running, &mut self.sensors))
    }
}

fn panicked(what: &str) -> Error {
    Error::internal(what).with_help("this is a bug in tidemill or in a stage; start with new ones")
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Makes the stages of a pipeline in JSON. Those with constants in `constants`, by stage, have an option `load`, whose file these are the text of.
pub(crate) fn stages_of(
    py: Python<'_>,
    json: &str,
    constants: &[Option<String>],
) -> PyResult<Vec<Arc<dyn Stage>>> {
    let stages = listed(py, json)?;
    let texts = texts_of(&stages, constants).map_err(|error| exception(py, &error))?;
    let loaded = stages.iter().zip(texts).enumerate().map(|(at, (stage, text))| match text {
        Some(text) => stage.load(&text).map_err(|error| exception(py, &in_stage(at, &**stage, error))),
        None => Ok(Arc::clone(stage)),
    });
    loaded.collect()
}

/// By stage, the text of the file that it loads; what `constants` has is kept. For stages that are made where the files are not.
#[pyfunction]
pub(crate) fn loaded(
    py: Python<'_>,
    stages: &str,
    constants: Vec<Option<String>>,
) -> PyResult<Vec<Option<String>>> {
    texts_of(&listed(py, stages)?, &constants).map_err(|error| exception(py, &error))
}

fn listed(py: Python<'_>, json: &str) -> PyResult<Vec<Arc<dyn Stage>>> {
    let resolved = Spec::new("chain", toml_of(json)?).resolve();
    let pipeline = resolved.map_err(|error| spec_exception(py, &error))?.pipeline;
    Ok(pipeline.stages.iter().map(|entry| Arc::clone(&entry.stage)).collect())
}

fn texts_of(stages: &[Arc<dyn Stage>], constants: &[Option<String>]) -> Result<Vec<Option<String>>> {
    let texts = stages.iter().enumerate().map(|(at, stage)| match (constants.get(at), stage.loads()) {
        (Some(Some(text)), _) => Ok(Some(text.clone())),
        (_, None) => Ok(None),
        (_, Some(path)) => std::fs::read_to_string(path)
            .map(Some)
            .map_err(|error| in_stage(at, &**stage, path.cannot_read(&error))),
    });
    texts.collect()
}

fn in_stage(at: usize, stage: &dyn Stage, error: Error) -> Error {
    error.with_context(format!("stage {at} ({})", stage.name()))
}

/// The columns that leave `stages`, for the columns `input`.
pub(crate) fn output_of(stages: &[Arc<dyn Stage>], input: &Schema) -> Result<Schema> {
    stages.iter().try_fold(input.clone(), |columns, stage| stage.output(&columns))
}

/// The roles of columns, as Python gives them.
pub(crate) fn columns_of(
    time: Option<String>,
    sensor: Option<String>,
    measurements: Option<Vec<String>>,
) -> ColumnOptions {
    ColumnOptions { time: time.map(Names::One), sensor, measurements, ..ColumnOptions::default() }
}
