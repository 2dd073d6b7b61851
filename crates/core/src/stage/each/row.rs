//! A stage for single records.

use std::sync::Arc;

use serde::Serialize;

use super::columns::{Columns, StageColumns};
use super::effects::{Effects, apply};
use super::record::Row;
use crate::batch::{Batch, Schema};
use crate::error::Result;
use crate::sensor::Sensors;
use crate::stage::{Flow, IntoStage, Process, Reach, Stage, parameters_of};

/// A stage that processes each record by itself: it may drop and change it, and add columns and records. [`EachRow`] makes it a [`Stage`]
/// of reach [`Reach::Row`]; it is registered by [`Component::row`](crate::stage::Component::row).
///
/// ```text
/// bind                  before the run, several times, any thread
/// record, record …      every record once, in any order, concurrently by any number of threads, which share the stage and its bound options
/// ```
/// An error or a panic in any of these ends the run with an error that names the stage. Its serialised form, the options with their
/// defaults, is shown by `explain` and the report, and compared with that of a checkpoint.
pub trait RowStage: Clone + Serialize + Send + Sync + 'static {
    /// The options, bound to the input columns.
    type Bound: Send + Sync + 'static;

    /// The name it is registered under.
    fn name(&self) -> &str;

    /// Validates the options against the input columns, and declares which of these it reads and writes.
    ///
    /// # Errors
    /// A configuration error: what is wrong with the options.
    fn bind(&self, columns: &mut Columns<'_>) -> Result<Self::Bound>;

    /// Processes a record.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn record(&self, bound: &Self::Bound, record: &mut Row<'_>) -> Result<()>;

    /// Whether it may call [`Row::set_late`].
    fn sets_aside(&self) -> bool {
        false
    }

    /// Whether `option` may change during a run: as [`Stage::reloads`](crate::stage::Stage::reloads).
    fn reloads(&self, _option: &str) -> bool {
        false
    }
}

/// A [`RowStage`] as a [`Stage`].
#[derive(Clone, Debug)]
pub struct EachRow<S>(pub S);

impl<S: RowStage> IntoStage<EachRow<S>> for S {
    fn into_stage(self) -> Arc<dyn Stage> {
        Arc::new(EachRow(self))
    }
}

impl<S: RowStage> Stage for EachRow<S> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(&self.0)
    }

    fn reach(&self) -> Reach {
        Reach::Row
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        let mut columns = Columns::new(input);
        self.0.bind(&mut columns)?;
        Ok(Arc::unwrap_or_clone(columns.into_layout().output))
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        let mut columns = Columns::new(input);
        let bound = self.0.bind(&mut columns)?;
        Ok(Box::new(ByRow { stage: self.0.clone(), bound, layout: columns.into_layout(), order: Vec::new() }))
    }

    fn needs_origins(&self) -> bool {
        self.0.sets_aside()
    }

    fn reloads(&self, option: &str) -> bool {
        self.0.reloads(option)
    }
}

/// The running stage.
struct ByRow<S: RowStage> {
    stage: S,
    bound: S::Bound,
    layout: StageColumns,
    /// 0, 1, 2 …, up to the largest batch so far.
    order: Vec<u32>,
}

impl<S: RowStage> Process for ByRow<S> {
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        let Self { stage, bound, layout, order } = self;
        order.extend(order.len() as u32..batch.len() as u32);
        let order = &order[..batch.len()];
        let mut effects = Effects::new(layout, &batch, order);
        let times = batch.times().unwrap_or_default();
        for (&row, &sensor) in order.iter().zip(batch.sensors()) {
            let (at, effects, batch) = (row as usize, &mut effects, &batch);
            stage.record(bound, &mut Row { batch, times, row, at, sensor, sensors, effects })?;
        }
        Ok(apply(layout, batch, order, vec![effects], sensors, flow))
    }
}
