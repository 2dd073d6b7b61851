//! `dew_point`: of temperature and humidity, by the Magnus formula: a stage of single records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::Result;
use tidemill::batch::Field;
use tidemill::stage::{Columns, Component, ReadColumn, Row, RowStage, WriteColumn};

/// Adds `dew_point` in degrees Celsius; drops records with an impossible humidity.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DewPoint {
    /// The measurement in degrees Celsius.
    pub temperature: String,
    /// The measurement in per cent.
    pub humidity: String,
}

tidemill::submit! { Component::row::<DewPoint>("dew_point", "the dew point of temperature and humidity") }

impl RowStage for DewPoint {
    /// Temperature and humidity; the dew point.
    type Bound = ([ReadColumn; 2], WriteColumn);

    fn name(&self) -> &str {
        "dew_point"
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<Self::Bound> {
        let read = [columns.read(&self.temperature)?, columns.read(&self.humidity)?];
        Ok((read, columns.write(Field::measurement("dew_point"))?))
    }

    fn record(&self, (read, dew_point): &Self::Bound, record: &mut Row<'_>) -> Result<()> {
        let [Some(celsius), Some(percent)] = read.map(|column| record.number(column)) else { return Ok(()) };
        if !(percent > 0.0 && percent <= 100.0) {
            record.filter();
            return Ok(());
        }
        let gamma = (percent / 100.0).ln() + 17.62 * celsius / (243.12 + celsius);
        record.set(*dew_point, 243.12 * gamma / (17.62 - gamma));
        Ok(())
    }
}
