//! Stages without a runtime: record batches in, record batches out, state that moves between processes.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tidemill::arrow::{Decoder, Encoder};
use tidemill::chain::{Chain as EngineChain, Emitted};
use tidemill::format::{ColumnOptions, Names};
use tidemill::pipeline::Spec;
use tidemill::sensor::Sensors;
use tidemill::stage::Stage;
use tidemill::time::Timestamp;
use tidemill::{Error, Result};

use crate::capsule::{Batch, batch_of};
use crate::errors::{exception, spec_exception};
use crate::values::toml_of;

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

/// The roles of columns, as Python gives them.
pub(crate) fn columns_of(
    time: Option<String>,
    sensor: Option<String>,
    measurements: Option<Vec<String>>,
) -> ColumnOptions {
    ColumnOptions { time: time.map(Names::One), sensor, measurements, ..ColumnOptions::default() }
}

/// Records that leave the chain at once at its end, at most.
const PIECE: usize = 65_536;

/// Stages without a runtime, on the calling thread: see `tidemill.Chain`.
#[pyclass(frozen, subclass, module = "tidemill._native")]
pub(crate) struct Chain(Mutex<State>);

struct State {
    stages: Vec<Arc<dyn Stage>>,
    columns: ColumnOptions,
    is_partitioned: bool,
    sensors: Sensors,
    running: Option<Running>,
    rejected: u64,
}

/// A chain whose columns are known.
struct Running {
    decoder: Decoder,
    encoder: Encoder,
    chain: EngineChain,
    records: u64,
}

impl State {
    fn begin(&mut self, records: &RecordBatch) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let decoder = Decoder::new("batch", &self.columns, &records.schema())?;
        let make = if self.is_partitioned { EngineChain::partitioned } else { EngineChain::new };
        let chain = make(&self.stages, decoder.schema())?;
        let mut output = (**decoder.schema()).clone();
        for stage in &self.stages {
            output = stage.output(&output)?;
        }
        self.running = Some(Running { decoder, encoder: Encoder::new(&output), chain, records: 0 });
        Ok(())
    }

    /// The running chain, and its sensors.
    fn begun(&mut self) -> Result<(&mut Running, &mut Sensors)> {
        let running = self.running.as_mut().ok_or_else(|| {
            Error::config("the chain does not know its columns yet")
                .with_help("push a record batch first; one without rows is enough")
        })?;
        Ok((running, &mut self.sensors))
    }

    fn push(&mut self, records: &RecordBatch) -> Result<RecordBatch> {
        self.begin(records)?;
        let (running, sensors) = self.begun()?;
        let decoded = running.decoder.decode(records, running.records, false, sensors)?;
        running.records += records.num_rows() as u64;
        let emitted = running.chain.push(decoded.batch, sensors)?;
        self.rejected += decoded.rejections.len() as u64;
        self.emitted(vec![emitted])
    }

    /// What leaves the last stage, as one record batch.
    fn emitted(&mut self, all: Vec<Emitted>) -> Result<RecordBatch> {
        self.rejected += all.iter().map(|emitted| emitted.rejections.len() as u64).sum::<u64>();
        let (running, sensors) = self.begun()?;
        let outputs = all.iter().filter_map(Emitted::output);
        let encoded = outputs.map(|batch| running.encoder.encode((*batch).clone(), sensors));
        let mut batches = encoded.collect::<Result<Vec<_>>>()?;
        match batches.pop() {
            Some(batch) if batches.is_empty() => Ok(batch),
            last => {
                batches.extend(last);
                concat_batches(running.encoder.schema(), &batches)
                    .map_err(|error| Error::internal(error.to_string()))
            }
        }
    }
}

impl Chain {
    /// Lets `act` work with the chain, without the interpreter.
    fn act<T: Send>(&self, py: Python<'_>, act: impl FnOnce(&mut State) -> Result<T> + Send) -> PyResult<T> {
        let result = py.detach(|| self.0.try_lock().map(|mut state| act(&mut state)));
        let result = result.ok_or_else(|| PyRuntimeError::new_err("another thread is using this chain"))?;
        result.map_err(|error| exception(py, &error))
    }
}

#[pymethods]
impl Chain {
    #[new]
    #[pyo3(signature = (stages, constants, time, sensor, measurements, partitioned))]
    fn new(
        py: Python<'_>,
        stages: &str,
        constants: Vec<Option<String>>,
        time: Option<String>,
        sensor: Option<String>,
        measurements: Option<Vec<String>>,
        partitioned: bool,
    ) -> PyResult<Self> {
        let stages = stages_of(py, stages, &constants)?;
        let columns = columns_of(time, sensor, measurements);
        let (sensors, running) = (Sensors::default(), None);
        Ok(Self(Mutex::new(State {
            stages,
            columns,
            is_partitioned: partitioned,
            sensors,
            running,
            rejected: 0,
        })))
    }

    /// Processes the next record batch, and gives the records that leave the last stage.
    fn push(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<Batch> {
        let records = batch_of(batch)?;
        self.act(py, |state| state.push(&records)).map(Batch)
    }

    /// The input has ended: gives the records that stages have kept back.
    fn finish(&self, py: Python<'_>) -> PyResult<Batch> {
        let finish = |state: &mut State| {
            let (running, sensors) = state.begun()?;
            let all = running.chain.finish(PIECE, sensors)?;
            state.emitted(all)
        };
        self.act(py, finish).map(Batch)
    }

    /// All records before `watermark` (nanoseconds since 1970) have been pushed: gives what is due.
    fn advance(&self, py: Python<'_>, watermark: i64) -> PyResult<Batch> {
        let advance = |state: &mut State| {
            let (running, sensors) = state.begun()?;
            let all = running.chain.advance(Timestamp::from_nanos(watermark), PIECE, sensors)?;
            state.emitted(all)
        };
        self.act(py, advance).map(Batch)
    }

    /// The watermark (nanoseconds since 1970) at which `advance` may give records, if none are pushed before; None if it gives none.
    fn due(&self, py: Python<'_>) -> PyResult<Option<i64>> {
        let due = self.act(py, |state| state.begun()?.0.chain.due())?;
        Ok(due.map(Timestamp::as_nanos))
    }

    /// The state of all sensors.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let saved = self.act(py, |state| {
            let (running, sensors) = state.begun()?;
            running.chain.save(sensors)
        })?;
        Ok(PyBytes::new(py, &saved))
    }

    /// The same in `groups` parts, by sensor.
    fn save_groups<'py>(&self, py: Python<'py>, groups: usize) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let saved = self.act(py, |state| {
            let (running, sensors) = state.begun()?;
            running.chain.save_groups(sensors, groups)
        })?;
        Ok(saved.iter().map(|bytes| PyBytes::new(py, bytes)).collect())
    }

    /// Resumes from saved states, in a chain that has been given no records yet.
    fn restore(&self, py: Python<'_>, states: Vec<Vec<u8>>) -> PyResult<()> {
        self.act(py, |state| {
            let (running, sensors) = state.begun()?;
            running.chain.restore(&states, sensors)
        })
    }

    /// The number of rejected records.
    #[getter]
    fn rejected(&self, py: Python<'_>) -> PyResult<u64> {
        self.act(py, |state| Ok(state.rejected))
    }
}
