//! The first pass of a stage that is fitted, outside of a run: what several processes have observed is merged exactly.

use std::sync::Arc;

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tidemill::arrow::Decoder;
use tidemill::chain::{Chain as EngineChain, Emitted};
use tidemill::format::ColumnOptions;
use tidemill::sensor::Sensors;
use tidemill::stage::{Fit as EngineFit, Stage};
use tidemill::{Error, Result};

use crate::capsule::batch_of;
use crate::chain::{columns_of, stages_of};
use crate::errors::exception;

/// Records that leave the stages before at once at the end, at most.
const PIECE: usize = 65_536;

/// The first pass of a stage: see `tidemill.Fit`.
#[pyclass(frozen, subclass, module = "tidemill._native")]
pub(crate) struct Fit(Mutex<State>);

struct State {
    /// The stages before the one that is fitted.
    before: Vec<Arc<dyn Stage>>,
    stage: Arc<dyn Stage>,
    columns: ColumnOptions,
    sensors: Sensors,
    running: Option<Running>,
}

/// A pass whose columns are known.
struct Running {
    decoder: Decoder,
    chain: EngineChain,
    fit: Box<dyn EngineFit>,
    records: u64,
}

impl State {
    fn begin(&mut self, records: &RecordBatch) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let decoder = Decoder::new("batch", &self.columns, &records.schema())?;
        let chain = EngineChain::new(&self.before, decoder.schema())?;
        let mut input = (**decoder.schema()).clone();
        for stage in &self.before {
            input = stage.output(&input)?;
        }
        let fit = self.stage.fit(&Arc::new(input))?.ok_or_else(|| {
            Error::config(format!("`{}` is not fitted", self.stage.name())).with_help("set fit=True")
        })?;
        self.running = Some(Running { decoder, chain, fit, records: 0 });
        Ok(())
    }

    fn begun(&mut self) -> Result<(&mut Running, &mut Sensors)> {
        let running = self.running.as_mut().ok_or_else(|| {
            Error::config("the columns are not known yet")
                .with_help("observe a record batch first; one without rows is enough")
        })?;
        Ok((running, &mut self.sensors))
    }

    fn observe(&mut self, records: &RecordBatch) -> Result<()> {
        self.begin(records)?;
        let (running, sensors) = self.begun()?;
        let decoded = running.decoder.decode(records, running.records, false, sensors)?;
        running.records += records.num_rows() as u64;
        if running.chain.is_empty() {
            return running.fit.observe(&decoded.batch, sensors);
        }
        let emitted = running.chain.push(decoded.batch, sensors)?;
        running.take(&[emitted], sensors)
    }
}

impl Running {
    fn take(&mut self, all: &[Emitted], sensors: &Sensors) -> Result<()> {
        all.iter().filter_map(Emitted::output).try_for_each(|batch| self.fit.observe(&batch, sensors))
    }

    /// The stages before give what they have kept back.
    fn rest(&mut self, sensors: &Sensors) -> Result<()> {
        let all = self.chain.finish(PIECE, sensors)?;
        self.take(&all, sensors)
    }
}

impl Fit {
    /// Lets `act` work with the pass, without the interpreter.
    fn act<T: Send>(&self, py: Python<'_>, act: impl FnOnce(&mut State) -> Result<T> + Send) -> PyResult<T> {
        let result = py.detach(|| self.0.try_lock().map(|mut state| act(&mut state)));
        let result =
            result.ok_or_else(|| PyRuntimeError::new_err("another thread is using this first pass"))?;
        result.map_err(|error| exception(py, &error))
    }
}

#[pymethods]
impl Fit {
    #[new]
    fn new(
        py: Python<'_>,
        stages: &str,
        constants: Vec<Option<String>>,
        time: Option<String>,
        sensor: Option<String>,
        measurements: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let mut before = stages_of(py, stages, &constants)?;
        let stage = before.pop().ok_or_else(|| PyRuntimeError::new_err("no stage to fit"))?;
        let columns = columns_of(time, sensor, measurements);
        Ok(Self(Mutex::new(State { before, stage, columns, sensors: Sensors::default(), running: None })))
    }

    /// Takes the next record batch.
    fn observe(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<()> {
        let records = batch_of(batch)?;
        self.act(py, |state| state.observe(&records))
    }

    /// Everything observed so far, for `merge` in another process. Nothing can be observed after that.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let saved = self.act(py, |state| {
            let (running, sensors) = state.begun()?;
            running.rest(sensors)?;
            running.fit.save(sensors)
        })?;
        Ok(PyBytes::new(py, &saved))
    }

    /// Adds what another process has observed.
    fn merge(&self, py: Python<'_>, saved: Vec<u8>) -> PyResult<()> {
        self.act(py, |state| {
            let (running, sensors) = state.begun()?;
            running.fit.merge_saved(&saved, sensors)
        })
    }

    /// Ends the pass: gives the constants, as the text of a file that the stage can load, or None if it needs another pass over the input.
    fn finish(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.act(py, |state| {
            let (running, sensors) = state.begun()?;
            running.rest(sensors)?;
            let fitted = running.fit.finish(sensors)?;
            Ok(fitted.and_then(|fitted| fitted.stage.fitted()))
        })
    }
}
