//! `console`: a table for people.

mod number;
mod table;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::table::Table;
use super::{FileTarget, Repeat, Sink, SinkContext, SinkSpec};
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::options::parameters_of;
use crate::sink::Component;

/// A table on standard output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// How many records to show; by default, all. The others are counted.
    pub limit: Option<u64>,
    /// Digits after the decimal point; by default, six significant digits.
    pub decimals: Option<u8>,
    /// Width in characters; by default, that of the terminal, unlimited without one. Columns that do not fit are left out and listed below
    /// the table.
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

    fn target(&self) -> Option<FileTarget> {
        Some(FileTarget::stdout())
    }

    fn check(&self, _schema: &Schema) -> Result<()> {
        match self.width {
            Some(0) => Err(Error::config("`width` must be at least 1")),
            _ => Ok(()),
        }
    }

    fn open(&self, schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Table::new(self.clone(), schema)?))
    }
}
