//! The first pass of a stage that is fitted, outside of a run: what several processes have observed is merged exactly.

use std::sync::Arc;

use arrow_array::RecordBatch;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tidemill::chain::{Chain as EngineChain, Emitted};
use tidemill::sensor::Sensors;
use tidemill::stage::Fit as EngineFit;
use tidemill::{Error, Result};

use crate::capsule::batch_of;
use crate::direct::{Direct, PIECE, Running, State, columns_of, output_of, stages_of};

/// What the stages before the fitted one emit is observed.
type Observes = Box<dyn EngineFit>;

/// The first pass of a stage: see `tidemill.Fit`.
#[pyclass(frozen, subclass, module = "tidemill._native")]
pub(crate) struct Fit(Direct<Observes>);

impl State<Observes> {
    fn observe(&mut self, records: &RecordBatch) -> Result<()> {
        if self.begun().is_ok_and(|(running, _)| running.is_over) {
            return Err(Error::config(
                "the pass has ended: nothing can be observed after `save` or `finish`",
            )
            .with_help("start a new `Fit`, and merge into it what this one has saved"));
        }
        let batch = self.decode(records)?;
        self.change(|state| {
            let (running, sensors) = state.begun()?;
            if running.chain.is_empty() {
                return running.end.observe(&batch, sensors);
            }
            let emitted = running.chain.push(batch, sensors)?;
            running.take(&[emitted], sensors)
        })
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        self.rest()?;
        let (running, sensors) = self.begun()?;
        running.end.save(sensors)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        self.rest()?;
        self.change(|state| {
            let (running, sensors) = state.begun()?;
            let fitted = running.end.finish(sensors)?;
            if fitted.is_none() {
                // The next pass begins with the first record again.
                state.begin_again()?;
            }
            Ok(fitted.and_then(|fitted| fitted.stage.fitted()))
        })
    }

    /// The stages before give what they have kept back, once.
    fn rest(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.begun()?.0.is_over, true) {
            return Ok(());
        }
        self.change(|state| {
            let (running, sensors) = state.begun()?;
            let all = running.chain.finish(PIECE, sensors)?;
            running.take(&all, sensors)
        })
    }
}

impl Running<Observes> {
    fn take(&mut self, all: &[Emitted], sensors: &Sensors) -> Result<()> {
        all.iter().filter_map(Emitted::output).try_for_each(|batch| self.end.observe(&batch, sensors))
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
        Ok(Self(Direct::new(columns_of(time, sensor, measurements), move |input| {
            let fit = stage.fit(&Arc::new(output_of(&before, input)?))?.ok_or_else(|| {
                Error::config(format!("`{}` is not fitted", stage.name())).with_help("set fit=True")
            })?;
            Ok((EngineChain::new(&before, input)?, fit))
        })))
    }

    /// Takes the next record batch.
    fn observe(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<()> {
        let records = batch_of(batch)?;
        self.0.act(py, |state| state.observe(&records))
    }

    /// Everything observed so far, for `merge` in another process. Nothing can be observed after that.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let saved = self.0.act(py, State::save)?;
        Ok(PyBytes::new(py, &saved))
    }

    /// Adds what another process has observed.
    fn merge(&self, py: Python<'_>, saved: Vec<u8>) -> PyResult<()> {
        self.0.act(py, |state| {
            let (running, sensors) = state.begun()?;
            running.end.merge_saved(&saved, sensors)
        })
    }

    /// Ends the pass: gives the constants, as the text of a file that the stage can load, or None if it needs another pass over the input.
    fn finish(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.0.act(py, State::finish)
    }
}
