//! `frame`: a polars `DataFrame`, available in code only.

use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::DataFrame;

use super::{Repeat, Sink, SinkContext, SinkSpec};
use crate::arrow::polars::{ColumnBuilder, broken};
use crate::batch::{Batch, Schema};
use crate::error::Result;
use crate::sensor::{SensorId, Sensors};

/// A polars `DataFrame` in memory, available once the run has succeeded. Until then, and after a failed run, [`FrameHandle::take`] returns
/// the result of an earlier run.
///
/// | column | becomes |
/// |---|---|
/// | [`FieldRole::Time`](crate::batch::FieldRole::Time) | `Datetime` in nanoseconds, UTC |
/// | [`FieldRole::Sensor`](crate::batch::FieldRole::Sensor) | `Categorical` of polars' global categories |
/// | any other of [`FieldType::F64`](crate::batch::FieldType::F64), `I64`, `U64` | `Float64`, `Int64`, `UInt64`, null where missing |
/// | [`FieldType::Bool`](crate::batch::FieldType::Bool) | `Boolean`, null where missing |
/// | [`FieldType::Text`](crate::batch::FieldType::Text) | `String`, null where missing |
///
/// All records are kept in memory.
#[derive(Clone, Default)]
pub struct Frame {
    result: FrameHandle,
}

/// Access to the result of a [`Frame`].
#[derive(Clone, Default)]
pub struct FrameHandle(Arc<Mutex<Option<DataFrame>>>);

impl Frame {
    /// An empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle to the result, to keep while the pipeline owns the sink.
    pub fn handle(&self) -> FrameHandle {
        self.result.clone()
    }
}

impl FrameHandle {
    /// The frame of the last successful run; `None` if there was none, or it was taken already.
    pub fn take(&self) -> Option<DataFrame> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, frame: DataFrame) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(frame);
    }
}

impl SinkSpec for Frame {
    fn name(&self) -> &str {
        "frame"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn open(&self, schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        let columns = schema.fields().iter().map(ColumnBuilder::new).collect();
        Ok(Box::new(OpenFrame { columns, rows: 0, finished: None, result: self.handle() }))
    }
}

/// The running sink.
struct OpenFrame {
    columns: Vec<ColumnBuilder>,
    rows: usize,
    /// Set by flush, taken by commit.
    finished: Option<DataFrame>,
    result: FrameHandle,
}

impl Sink for OpenFrame {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        for (builder, column) in self.columns.iter_mut().zip(batch.columns()) {
            builder.append(column, &batch.text, sensors)?;
        }
        self.rows += batch.len();
        Ok(())
    }

    fn give_up(&mut self, gone: &[SensorId]) -> Result<()> {
        for column in &mut self.columns {
            column.give_up(gone);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.finished.is_none() {
            let columns = self.columns.drain(..).map(ColumnBuilder::finish).collect();
            self.finished = Some(DataFrame::new(self.rows, columns).map_err(broken)?);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.flush()?;
        self.finished.take().into_iter().for_each(|frame| self.result.put(frame));
        Ok(Vec::new())
    }
}
