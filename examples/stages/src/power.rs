//! `power`: volts times amperes, and the energy of a sensor so far: two measurements of a record, and state per sensor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::Result;
use tidemill::batch::Field;
use tidemill::stage::{Columns, Component, ReadColumn, Record, SensorStage, WriteColumn};
use tidemill::time::Timestamp;

/// Adds `watts` and `joules`: the integral of power over time, by the trapezoidal rule.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// The measurement in volts.
    pub volts: String,
    /// The measurement in amperes.
    pub amperes: String,
}

tidemill::submit! { Component::sensor::<Power>("power", "volts times amperes, and the energy so far") }

/// The last power of a sensor, its time, and the energy so far.
#[derive(Default, Serialize, Deserialize)]
pub struct Meter(Option<(f64, Timestamp)>, f64);

impl SensorStage for Power {
    type State = Meter;
    /// Volts and amperes; watts and joules.
    type Bound = ([ReadColumn; 2], [WriteColumn; 2]);

    fn name(&self) -> &str {
        "power"
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<Self::Bound> {
        columns.need_time("`power`")?;
        let read = [columns.read(&self.volts)?, columns.read(&self.amperes)?];
        Ok((
            read,
            [columns.write(Field::measurement("watts"))?, columns.write(Field::measurement("joules"))?],
        ))
    }

    fn state(&self, _bound: &Self::Bound, _sensor: &str) -> Meter {
        Meter::default()
    }

    fn record(&self, (read, write): &Self::Bound, meter: &mut Meter, record: &mut Record<'_>) -> Result<()> {
        let [Some(volts), Some(amperes)] = read.map(|column| record.number(column)) else { return Ok(()) };
        let (watts, now) = (volts * amperes, record.time());
        let Meter(last, joules) = meter;
        if let Some((before, nanos)) =
            last.and_then(|(before, then)| Some((before, now.checked_since(then)?)))
        {
            *joules += (before + watts) / 2.0 * nanos as f64 / 1e9;
        }
        *last = Some((watts, now));
        record.set(write[0], watts);
        record.set(write[1], *joules);
        Ok(())
    }
}
