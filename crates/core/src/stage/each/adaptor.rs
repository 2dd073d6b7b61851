//! Adapts a [`SensorStage`] to a [`Stage`].

use std::sync::Arc;

use super::columns::Columns;
use super::driver::BySensor;
use super::sensor::SensorStage;
use crate::batch::Schema;
use crate::error::Result;
use crate::stage::shards::InOne;
use crate::stage::{IntoStage, Process, Reach, Shards, Stage, parameters_of};
use crate::time::Agreement;

/// A [`SensorStage`] as a [`Stage`].
#[derive(Clone, Debug)]
pub struct EachSensor<S> {
    stage: S,
    agreement: Agreement,
}

impl<S: SensorStage> EachSensor<S> {
    /// The stage.
    pub fn new(stage: S) -> Self {
        Self { stage, agreement: Agreement::default() }
    }

    fn by_sensor(&self, input: &Schema, shards: usize) -> Result<BySensor<S>> {
        BySensor::new(&self.stage, input, self.agreement, shards)
    }
}

impl<S: SensorStage> IntoStage<EachSensor<S>> for S {
    fn into_stage(self) -> Arc<dyn Stage> {
        Arc::new(EachSensor::new(self))
    }
}

impl<S: SensorStage> Stage for EachSensor<S> {
    fn name(&self) -> &str {
        self.stage.name()
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(&self.stage)
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn state_version(&self) -> u32 {
        S::VERSION
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        let mut columns = Columns::new(input);
        self.stage.bind(&mut columns)?;
        Ok(Arc::unwrap_or_clone(columns.into_layout().output))
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Ok(Box::new(InOne::new(self.by_sensor(input, 1)?)))
    }

    fn shards(&self, input: &Arc<Schema>, count: usize) -> Result<Option<Box<dyn Shards>>> {
        Ok(Some(Box::new(self.by_sensor(input, count)?)))
    }

    fn needs_origins(&self) -> bool {
        self.stage.sets_aside()
    }

    fn gives_up(&self) -> bool {
        true
    }

    fn reloads(&self, option: &str) -> bool {
        self.stage.reloads(option)
    }

    fn ticks(&self) -> Option<i64> {
        self.stage.ticks()
    }

    fn with_agreement(&self, agreement: Agreement) -> Option<Arc<dyn Stage>> {
        // The clock needs nobody to agree.
        self.ticks().is_none().then(|| Arc::new(Self { agreement, ..self.clone() }) as Arc<dyn Stage>)
    }

    fn memory(&self) -> String {
        self.stage.memory()
    }
}
