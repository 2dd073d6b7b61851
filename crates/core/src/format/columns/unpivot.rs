//! The option that makes a sensor of every measurement.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ColumnOptions, Columns};
use crate::error::{Error, Result};

/// How the measurements of a record become records of their own: wide to long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unpivot {
    /// The sensor of a measurement's records: {column} stands for the measurement's name, {sensor} for the sensor of the wide record.
    pub sensor: String,
    /// The name of the column with the values.
    pub value: String,
    /// What becomes of nulls: `drop` makes no record of them, `keep` makes one with a null.
    pub nulls: UnpivotNulls,
}

impl Default for Unpivot {
    fn default() -> Self {
        Self { sensor: "{column}".into(), value: "value".into(), nulls: UnpivotNulls::Drop }
    }
}

/// What becomes of the nulls of wide records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnpivotNulls {
    /// They make no record.
    #[default]
    Drop,
    /// They make a record with a null.
    Keep,
}

impl Unpivot {
    /// The records of several sensors stay apart.
    ///
    /// # Errors
    /// A configuration error where the sensors that are made say nothing of them.
    pub fn check_sensors(&self) -> Result<()> {
        if self.sensor.contains("{sensor}") {
            return Ok(());
        }
        wrong(
            "the columns of all sensors would become the same sensors",
            "let `sensor` contain {sensor}, such as \"{sensor}.{column}\"",
        )
    }
}

fn wrong(what: &str, help: &str) -> Result<()> {
    Err(Error::config(format!("`unpivot`: {what}")).with_help(help))
}

/// What the options must say with it.
pub(super) fn check(options: &ColumnOptions) -> Result<()> {
    let Some(unpivot) = &options.unpivot else { return Ok(()) };
    if options.measurements.is_none() {
        return wrong(
            "the columns that become sensors are not named",
            "name them in `measurements`, such as measurements = [\"TI*\"]",
        );
    }
    if unpivot.value.is_empty() {
        return wrong("the column with the values has no name", "such as value = \"value\"");
    }
    let rest = unpivot.sensor.replacen("{column}", "", 1);
    if rest == unpivot.sensor {
        return wrong("`sensor` does not say which column a record is of", "let it contain {column}");
    }
    if options.sensor.is_some() {
        unpivot.check_sensors()?;
    }
    if rest.replacen("{sensor}", "", 1).contains(['{', '}']) {
        return wrong(
            "`sensor` has more than one {column} or {sensor}, or other braces",
            "such as \"{sensor}.{column}\"",
        );
    }
    Ok(())
}

impl Columns {
    /// These columns, for a `source` that cannot unpivot.
    ///
    /// # Errors
    /// A configuration error where the options ask for it.
    pub fn without_unpivot(self, source: &str) -> Result<Self> {
        match self.options.unpivot {
            None => Ok(self),
            Some(_) => Err(Error::config(format!("`{source}` cannot `unpivot`"))
                .with_help("read the columns as measurements")),
        }
    }
}
