//! `null`: discards records.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Component, Repeat, Sink, SinkContext, SinkSpec};
use crate::batch::{Batch, Schema};
use crate::error::Result;
use crate::options::parameters_of;
use crate::sensor::Sensors;

/// Discards all records, for measuring the stages before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Null {}

inventory::submit! { Component::of::<Null>("null", "discards all records, for measuring") }

impl SinkSpec for Null {
    fn name(&self) -> &str {
        "null"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, _schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(self.clone()))
    }
}

impl Sink for Null {
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<()> {
        Ok(())
    }

    fn is_prompt(&self) -> bool {
        true
    }
}
