//! Limits on the number of sensors and the size of their names.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The maximum length of a sensor's name in bytes. A record with a longer one is rejected.
pub const MAX_NAME: usize = 1 << 10;

/// The maximum number of sensors, unless `max_sensors` is set.
pub const DEFAULT_MAX_SENSORS: usize = 1_000_000;

/// The maximum total length of all sensor names in bytes, unless `max_sensor_bytes` is set.
pub const DEFAULT_MAX_SENSOR_BYTES: usize = 128 << 20;

/// The number of characters of a name shown in messages.
const SHOWN: usize = 60;

/// The limits of a table of sensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SensorLimits {
    /// The maximum number of sensors.
    pub sensors: usize,
    /// The maximum total length of their names, in bytes.
    pub bytes: usize,
    /// What to do with a sensor beyond the limits.
    pub surplus: Surplus,
}

/// What to do with a sensor beyond the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Surplus {
    /// The run ends with an error: the input is not what the pipeline is made for.
    #[default]
    Error,
    /// Its records are rejected: with open inputs, a sender must not be able to end the run.
    Aside,
}

impl Default for SensorLimits {
    fn default() -> Self {
        Self { sensors: DEFAULT_MAX_SENSORS, bytes: DEFAULT_MAX_SENSOR_BYTES, surplus: Surplus::Error }
    }
}

/// The limit that a sensor exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Beyond {
    /// The maximum number of sensors.
    Sensors(usize),
    /// The maximum number of bytes of names.
    Bytes(usize),
}

impl SensorLimits {
    /// Checks whether `name` fits beside `sensors` others, whose names have `bytes` bytes.
    pub fn check(&self, sensors: usize, bytes: usize, name: &str) -> Result<(), Beyond> {
        if sensors >= self.sensors {
            return Err(Beyond::Sensors(self.sensors));
        }
        if bytes + name.len() > self.bytes {
            return Err(Beyond::Bytes(self.bytes));
        }
        Ok(())
    }
}

impl Beyond {
    /// Whether a sensor that exceeded it still exceeds `limits`: a resumed run may have higher ones.
    pub fn holds(self, limits: &SensorLimits) -> bool {
        match self {
            Self::Sensors(limit) => limits.sensors <= limit,
            Self::Bytes(limit) => limits.bytes <= limit,
        }
    }

    /// The rejection reason for records of such a sensor.
    pub fn reason(self) -> String {
        match self {
            Self::Sensors(limit) => format!("a new sensor beyond `max_sensors` = {limit}"),
            Self::Bytes(limit) => {
                format!("a new sensor beyond `max_sensor_bytes` = {limit}")
            }
        }
    }

    pub(super) fn into_error(self, name: &str) -> Error {
        // Which sensor exceeds the limit first depends on the threads. A name may be long, and the message is for people.
        let shown: String = name.chars().take(SHOWN).collect();
        let name = if shown.len() < name.len() { format!("{shown}…") } else { shown };
        match self {
            Self::Sensors(limit) => {
                Error::data(format!("more than {limit} distinct sensors, among them `{name}`"))
                    .with_help("check the `sensor` column, or raise `max_sensors` in [source]")
            }
            Self::Bytes(limit) => Error::data(format!(
                "the names of the sensors take more than {limit} bytes, among them `{name}`"
            ))
            .with_help("check the `sensor` column, or raise `max_sensor_bytes` in [source]"),
        }
    }
}

/// The rejection reason for a sensor name of `bytes` bytes, more than [`MAX_NAME`].
#[cold]
pub fn long_name(bytes: usize) -> String {
    format!("the sensor's name has {bytes} bytes; at most {MAX_NAME} are allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_one_too_many_is_true_whichever_it_was() {
        let said = |beyond: Beyond, name: &str| beyond.into_error(name).message().to_owned();
        assert_eq!(said(Beyond::Sensors(3), "a"), "more than 3 distinct sensors, among them `a`");
        let long = format!("{}…", "x".repeat(SHOWN));
        let message = format!("the names of the sensors take more than 9 bytes, among them `{long}`");
        assert_eq!(said(Beyond::Bytes(9), &"x".repeat(500)), message);
    }
}
