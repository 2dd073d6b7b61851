//! `order = "time"`: sorts each series by time within a bound (clause 9).

use std::sync::Arc;

use super::{Process, Reach, Stage};
use crate::batch::Schema;
use crate::error::{Error, Result};

/// Sorts each series by (timestamp, input order).
#[derive(Clone, Debug)]
pub struct Reorder {
    /// How far back a record may come, in nanoseconds.
    disorder: i64,
}

impl Reorder {
    /// Sorts within `disorder` nanoseconds.
    pub fn new(disorder: i64) -> Self {
        Self { disorder }
    }
}

impl Stage for Reorder {
    fn name(&self) -> &str {
        "order"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({ "disorder": self.disorder })
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn output(&self, _input: &Schema) -> Result<Schema> {
        Err(Error::config("`order = \"time\"` is not there yet"))
    }

    fn start(&self, _input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Err(Error::config("`order = \"time\"` is not there yet"))
    }
}
