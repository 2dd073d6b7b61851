//! `console`: a table that people can read.

mod number;
mod table;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::table::Table;
use super::{Outset, Repeat, Sink, SinkSpec};
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::options::parameters_of;
use crate::sink::Component;

/// A table on standard output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// How many records are shown; all if not given. The others are counted.
    pub limit: Option<u64>,
    /// Digits behind the decimal point; six significant digits in all if not given.
    pub decimals: Option<u8>,
    /// Characters a line; as many as the terminal has if not given, any number where there is none. Columns that do not fit in are
    /// left out, and named below the table.
    pub width: Option<u16>,
}

inventory::submit! { Component::of::<Console>("console", "a table on standard output, for people") }

impl Console {
    /// A table of the first `limit` records.
    pub fn limit(limit: u64) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }
}

impl SinkSpec for Console {
    fn name(&self) -> &str {
        "console"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn is_stdout(&self) -> bool {
        true
    }

    fn check(&self, _schema: &Schema) -> Result<()> {
        match self.width {
            Some(0) => Err(Error::config("`width` must be at least 1")),
            _ => Ok(()),
        }
    }

    fn open(&self, schema: &Arc<Schema>, _outset: &Outset) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Table::new(self.clone(), schema)?))
    }
}
