//! Stages without a runtime: record batches in, record batches out, state that moves between processes.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tidemill::arrow::Encoder;
use tidemill::chain::{Chain as EngineChain, Emitted};
use tidemill::time::Timestamp;
use tidemill::{Error, Result};

use crate::capsule::{Batch, batch_of};
use crate::direct::{Direct, PIECE, State, columns_of, output_of, stages_of};

/// Stages without a runtime, on the calling thread: see `tidemill.Chain`.
#[pyclass(frozen, subclass, module = "tidemill._native")]
pub(crate) struct Chain(Direct<Encoder>);

impl State<Encoder> {
    fn push(&mut self, records: &RecordBatch) -> Result<RecordBatch> {
        let batch = self.decode(records)?;
        self.change(|state| {
            let (running, sensors) = state.begun()?;
            let emitted = running.chain.push(batch, sensors)?;
            state.emitted(vec![emitted])
        })
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        self.change_or_refuse(|state| {
            let (running, sensors) = state.begun()?;
            let all = running.chain.finish(PIECE, sensors)?;
            state.emitted(all)
        })
    }

    fn advance(&mut self, watermark: Timestamp) -> Result<RecordBatch> {
        self.change_or_refuse(|state| {
            let (running, sensors) = state.begun()?;
            let all = running.chain.advance(watermark, PIECE, sensors)?;
            state.emitted(all)
        })
    }

    fn restore(&mut self, states: &[Vec<u8>]) -> Result<()> {
        self.change_or_refuse(|state| {
            let (running, sensors) = state.begun()?;
            running.chain.restore(states, sensors)
        })
    }

    /// What leaves the last stage, as one record batch.
    fn emitted(&mut self, all: Vec<Emitted>) -> Result<RecordBatch> {
        self.rejected += all.iter().map(|emitted| emitted.rejections.len() as u64).sum::<u64>();
        let (running, sensors) = self.begun()?;
        let outputs = all.iter().filter_map(Emitted::output);
        let encoded = outputs.map(|batch| running.end.encode((*batch).clone(), sensors));
        let mut batches = encoded.collect::<Result<Vec<_>>>()?;
        match batches.pop() {
            Some(batch) if batches.is_empty() => Ok(batch),
            last => {
                batches.extend(last);
                concat_batches(running.end.schema(), &batches)
                    .map_err(|error| Error::internal(error.to_string()))
            }
        }
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
        let make = if partitioned { EngineChain::partitioned } else { EngineChain::new };
        Ok(Self(Direct::new(columns_of(time, sensor, measurements), move |input| {
            Ok((make(&stages, input)?, Encoder::new(&output_of(&stages, input)?)))
        })))
    }

    /// Processes the next record batch, and gives the records that leave the last stage.
    fn push(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<Batch> {
        let records = batch_of(batch)?;
        self.0.act(py, |state| state.push(&records)).map(Batch)
    }

    /// The input has ended: gives the records that stages have kept back.
    fn finish(&self, py: Python<'_>) -> PyResult<Batch> {
        self.0.act(py, State::finish).map(Batch)
    }

    /// All records before `watermark` (nanoseconds since 1970) have been pushed: gives what is due.
    fn advance(&self, py: Python<'_>, watermark: i64) -> PyResult<Batch> {
        self.0.act(py, |state| state.advance(Timestamp::from_nanos(watermark))).map(Batch)
    }

    /// The watermark (nanoseconds since 1970) at which `advance` may give records, if none are pushed before; None if it gives none.
    fn due(&self, py: Python<'_>) -> PyResult<Option<i64>> {
        let due = self.0.act(py, |state| state.begun()?.0.chain.due())?;
        Ok(due.map(Timestamp::as_nanos))
    }

    /// The state of all sensors.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let saved = self.0.act(py, |state| {
            let (running, sensors) = state.begun()?;
            running.chain.save(sensors)
        })?;
        Ok(PyBytes::new(py, &saved))
    }

    /// The same in `groups` parts, by sensor.
    fn save_groups<'py>(&self, py: Python<'py>, groups: usize) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let saved = self.0.act(py, |state| {
            let (running, sensors) = state.begun()?;
            running.chain.save_groups(sensors, groups)
        })?;
        Ok(saved.iter().map(|bytes| PyBytes::new(py, bytes)).collect())
    }

    /// Resumes from saved states, in a chain that has been given no records yet.
    fn restore(&self, py: Python<'_>, states: Vec<Vec<u8>>) -> PyResult<()> {
        self.0.act(py, |state| state.restore(&states))
    }

    /// The number of rejected records.
    #[getter]
    fn rejected(&self, py: Python<'_>) -> PyResult<u64> {
        self.0.act(py, |state| Ok(state.rejected))
    }
}
