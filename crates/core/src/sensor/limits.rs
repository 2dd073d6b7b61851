//! How many sensors a run takes, and how much room their names may need.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Bytes of a sensor's name. A longer one is no name: its record is rejected.
pub const MAX_NAME: usize = 1 << 10;

/// How many sensors a run takes unless `max_sensors` says otherwise.
pub const DEFAULT_MAX_SENSORS: usize = 1_000_000;

/// Bytes of the names of all sensors, unless `max_sensor_bytes` says otherwise.
pub const DEFAULT_MAX_SENSOR_BYTES: usize = 128 << 20;

/// Characters of a name that a message shows.
const SHOWN: usize = 60;

/// What a table of sensors takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SensorLimits {
    /// How many sensors.
    pub sensors: usize,
    /// Bytes of their names, together.
    pub bytes: usize,
    /// What happens with one more.
    pub surplus: Surplus,
}

/// What happens with a sensor beyond the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surplus {
    /// The run ends with an error: the input is not what the pipeline was written for.
    #[default]
    Error,
    /// Its records are set aside: anybody may send, and must not end the run.
    Aside,
}

impl Default for SensorLimits {
    fn default() -> Self {
        Self { sensors: DEFAULT_MAX_SENSORS, bytes: DEFAULT_MAX_SENSOR_BYTES, surplus: Surplus::Error }
    }
}

/// The limit that a sensor is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Beyond {
    /// More sensors than this.
    Sensors(usize),
    /// More bytes of names than this.
    Bytes(usize),
}

impl SensorLimits {
    /// Whether there is room for `name` beside `sensors` others, whose names have `bytes` bytes.
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
    /// Whether what was beyond it would be beyond `limits` too: those of a run that goes on may have been raised.
    pub fn holds(self, limits: &SensorLimits) -> bool {
        match self {
            Self::Sensors(limit) => limits.sensors <= limit,
            Self::Bytes(limit) => limits.bytes <= limit,
        }
    }

    /// What a record of such a sensor is set aside for.
    pub fn reason(self) -> String {
        match self {
            Self::Sensors(limit) => format!("a new sensor, where `max_sensors` = {limit} are known"),
            Self::Bytes(limit) => {
                format!("a new sensor, where the names of those known fill `max_sensor_bytes` = {limit}")
            }
        }
    }

    pub(super) fn into_error(self, name: &str) -> Error {
        // Which one comes to be one too many depends on the threads. A name may be long, and the message is for people.
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

/// Why a record is refused whose sensor's name has `bytes` bytes, more than [`MAX_NAME`].
#[cold]
pub fn long_name(bytes: usize) -> String {
    format!("the sensor's name has {bytes} bytes; at most {MAX_NAME} are taken")
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
