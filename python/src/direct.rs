//! Stages that are given record batches directly, on the calling thread: what a chain and a first pass have in common.

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
use tidemill::{Error, Result};

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
    /// Whether a call panicked.
    is_broken: bool,
}

/// Stages whose columns are known.
pub(crate) struct Running<E> {
    decoder: Decoder,
    pub(crate) chain: EngineChain,
    pub(crate) end: E,
    records: u64,
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
            is_broken: false,
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
    /// Lets `act` work with the stages. After a panic, what they have kept may be half a batch: nothing is made of it any more.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.is_broken {
            return Err(broken("the stages panicked earlier"));
        }
        self.is_broken = true;
        let result = catch_unwind(AssertUnwindSafe(|| act(self)));
        self.is_broken = result.is_err();
        result.unwrap_or_else(|_| Err(broken("the stages panicked")))
    }

    /// Decodes `records`; the first ones say which columns there are.
    pub(crate) fn decode(&mut self, records: &RecordBatch) -> Result<Batch> {
        if self.running.is_none() {
            let decoder = Decoder::new("batch", &self.columns, &records.schema())?;
            let (chain, end) = (self.begin)(decoder.schema())?;
            self.running = Some(Running { decoder, chain, end, records: 0 });
        }
        let (running, sensors) = self.begun()?;
        let decoded = running.decoder.decode(records, running.records, false, sensors)?;
        running.records += records.num_rows() as u64;
        self.rejected += decoded.rejections.len() as u64;
        Ok(decoded.batch)
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

fn broken(what: &str) -> Error {
    Error::internal(what).with_help("this is a bug in tidemill or in a stage; start with new ones")
}

/// Makes the stages of a pipeline in JSON. Those with constants in `constants`, by stage, have an option `load`, whose file these are the text of.
pub(crate) fn stages_of(
    py: Python<'_>,
    json: &str,
    constants: &[Option<String>],
) -> PyResult<Vec<Arc<dyn Stage>>> {
    let spec = Spec::new("chain", toml_of(json)?);
    let pipeline = spec.resolve().map_err(|error| spec_exception(py, &error))?.pipeline;
    let stages = pipeline.stages.iter().enumerate().map(|(at, entry)| match constants.get(at) {
        Some(Some(text)) => entry.stage.load(text).map_err(|error| exception(py, &error)),
        _ => Ok(Arc::clone(&entry.stage)),
    });
    stages.collect()
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
