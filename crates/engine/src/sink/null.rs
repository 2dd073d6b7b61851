//! `null`: counts, and nothing else.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Component, Outset, Repeat, Sink, SinkSpec};
use crate::batch::{Batch, Schema};
use crate::error::Result;
use crate::options::parameters_of;
use crate::sensor::Sensors;

/// Takes records and keeps none: for measuring everything before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Null {}

inventory::submit! { Component::of::<Null>("null", "counts records and keeps none, for measuring") }

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

    fn open(&self, _schema: &Arc<Schema>, _outset: &Outset) -> Result<Box<dyn Sink>> {
        Ok(Box::new(self.clone()))
    }
}

impl Sink for Null {
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
