//! Sinks in Python: `consume(stream)` takes the records of a run; `deliver(epoch, stream, writer)` takes those of an epoch, and may take part in
//! checkpoints.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | python sink | opening the sink | the next batch, in the stream that it reads; the next epoch | with `consume`; when the sink is committed or dropped |

mod consume;
mod deliver;

use std::sync::Arc;

use schemars::Schema as JsonSchema;
use serde_json::Value;
use tidemill::batch::Schema;
use tidemill::options::{Configure, Options};
use tidemill::sink::{Component, Repeat, Sink, SinkContext, SinkSpec};
use tidemill::{Error, Result};

use crate::object::{self, Object, declares, has_method};
use crate::sink::consume::Consuming;
use crate::sink::deliver::Delivering;

/// A sink in Python, as a pipeline has it.
pub(crate) struct PySink {
    object: Arc<Object>,
    /// Whether it has `deliver`.
    delivers: bool,
    /// Whether it says that records may come again after a restart.
    is_at_least_once: bool,
}

tidemill::submit! { Component::of::<PySink>(object::PREFIX, "a sink written in Python: python:module:Class") }

impl Configure for PySink {
    fn schemas() -> Vec<JsonSchema> {
        vec![object::schema()]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (object, (delivers, is_at_least_once)) = Object::configure(options, |object, own| {
            object.check(own, &["consume", "deliver"])?;
            Ok((has_method(own, "deliver")?, declares(own, "at_least_once")?))
        })?;
        Some(Self { object, delivers, is_at_least_once })
    }
}

impl SinkSpec for PySink {
    fn name(&self) -> &str {
        &self.object.label
    }

    fn parameters(&self) -> Value {
        self.object.parameters.clone()
    }

    fn repeat(&self) -> Repeat {
        if self.delivers { Repeat::Harmless } else { Repeat::Duplicates }
    }

    fn delivers(&self) -> bool {
        self.delivers
    }

    fn check_resumable(&self) -> Result<()> {
        if self.delivers || self.is_at_least_once {
            return Ok(());
        }
        Err(Error::config("it has no `deliver`, so it gets records again after a restart").with_help(
            "give it `deliver(epoch, stream, writer)`; or, if records may come again, `at_least_once = True`",
        ))
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        match self.delivers {
            true => Ok(Box::new(Delivering::open(&self.object, schema, context)?)),
            false => Ok(Box::new(Consuming::open(&self.object, schema)?)),
        }
    }
}
