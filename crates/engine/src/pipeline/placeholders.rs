//! Placeholders for parts that cannot be made, so that the others can be checked.

use std::sync::Arc;

use crate::batch::{Batch, Schema};
use crate::error::Result;
use crate::sensor::Sensors;
use crate::sink::{Null, SinkSpec};
use crate::source::{SourceSpec, Synthetic};
use crate::stage::{Flow, Process, Reach, Stage};

/// A source with unknown columns.
pub(super) fn source() -> Box<dyn SourceSpec> {
    Box::new(Synthetic::default())
}

/// A stage that passes all records and adds no columns.
pub(super) fn stage() -> Box<dyn Stage> {
    Box::new(Passing)
}

/// A sink for records.
pub(super) fn sink() -> Box<dyn SinkSpec> {
    Box::new(Null::default())
}

struct Passing;

impl Stage for Passing {
    fn name(&self) -> &str {
        "passing"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn reach(&self) -> Reach {
        Reach::Row
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        Ok(input.clone())
    }

    fn start(&self, _input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Ok(Box::new(|batch: Batch, _: &Sensors, _: &mut Flow| Ok(batch)))
    }
}
