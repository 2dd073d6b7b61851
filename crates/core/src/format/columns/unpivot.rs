//! The `unpivot` option.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ColumnOptions, Columns};
use crate::error::{Error, Result};

/// How the measurements of a wide record become records of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unpivot {
    /// The sensor of a measurement's records: {column} is replaced by the measurement's name, {sensor} by the sensor of the wide record.
    pub sensor: String,
    /// The name of the column with the values.
    pub value: String,
    /// Whether a null makes no record (`drop`) or a record with null (`keep`).
    pub nulls: UnpivotNulls,
}

impl Default for Unpivot {
    fn default() -> Self {
        Self { sensor: "{column}".into(), value: "value".into(), nulls: UnpivotNulls::Drop }
    }
}

/// What to do with the nulls of wide records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnpivotNulls {
    /// They make no record.
    #[default]
    Drop,
    /// They make a record with null.
    Keep,
}

impl Unpivot {
    /// Checks that records of different sensors stay distinct.
    ///
    /// # Errors
    /// A configuration error if the new sensor names do not contain the old ones.
    pub fn check_sensors(&self) -> Result<()> {
        if self.sensor.contains("{sensor}") {
            return Ok(());
        }
        wrong(
            "the sensors of different records would get the same name",
            "let `sensor` contain {sensor}, such as \"{sensor}.{column}\"",
        )
    }
}

fn wrong(what: &str, help: &str) -> Result<()> {
    Err(Error::config(format!("`unpivot`: {what}")).with_help(help))
}

/// Checks the options that `unpivot` depends on.
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
        return wrong("`sensor` does not contain {column}", "let it contain {column}");
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
    /// These columns, for a `source` that does not support `unpivot`.
    ///
    /// # Errors
    /// A configuration error if the options ask for `unpivot`.
    pub fn without_unpivot(self, source: &str) -> Result<Self> {
        match self.options.unpivot {
            None => Ok(self),
            Some(_) => Err(Error::config(format!("`{source}` cannot `unpivot`"))
                .with_help("read the columns as measurements")),
        }
    }
}
