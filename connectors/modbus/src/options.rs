//! The devices and their registers, as a pipeline file has them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::register::{Endian, Kind, ValueType};

/// Registers of devices that speak Modbus TCP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Modbus {
    /// The devices: a table `[[source.device]]` for each.
    pub device: Vec<DeviceOptions>,
    /// The registers to read from each device: a table `[[source.register]]` for each. Each is a measurement.
    pub register: Vec<RegisterOptions>,
    /// How often each device is polled, at the multiples of this interval; at least "10ms".
    #[serde(default = "every")]
    pub every: String,
    /// How long a connection may take to be made, and each answer to come.
    #[serde(default = "timeout")]
    pub timeout: String,
    /// The time of a record: "answer", when the last answer of the poll arrived, or "due", when the poll was due, which is the same for all devices with the same interval.
    #[serde(default)]
    pub time: TimeOf,
    /// Which register of a value in several registers comes first: "big", the most significant one, or "little".
    #[serde(default)]
    pub word_order: Endian,
    /// Which byte of a register comes first: "big", the most significant one as the protocol says, or "little".
    #[serde(default)]
    pub byte_order: Endian,
    /// Registers are read in one request if at most so many addresses between them are read in vain. Devices may refuse addresses that they do not have.
    #[serde(default)]
    pub gap: u16,
    /// The number of registers in a request at most: 4 to 125.
    #[serde(default = "max_registers")]
    pub max_registers: u16,
    /// The number of coils or discrete inputs in a request at most: 1 to 2,000.
    #[serde(default = "max_bits")]
    pub max_bits: u16,
    /// What to do if a device refuses registers at its first poll: "stop", an error that names them, or "null", go on without their values.
    #[serde(default)]
    pub refused: Refused,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceOptions {
    /// The sensor of its records.
    pub name: String,
    /// The host of the device or its gateway, with a port unless it is 502, such as `plc.example` or `10.0.0.7:1502`. Devices with the same address share a connection.
    pub address: String,
    /// The number of the unit behind the address: 0 to 255.
    #[serde(default = "unit")]
    pub unit: u8,
    /// How often it is polled, if not as often as the others.
    #[serde(default)]
    pub every: Option<String>,
    /// How long its answers may take, if not as long as those of the others.
    #[serde(default)]
    pub timeout: Option<String>,
}

/// A register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterOptions {
    /// The name of the measurement.
    pub name: String,
    /// The table: "holding", "input", "coil" or "discrete".
    #[serde(default)]
    pub kind: Kind,
    /// The address in the table, from 0 to 65,535 as in the protocol. What a manual calls 40001 is address 0 of the holding registers, and 30001 that of the input registers.
    pub address: u16,
    /// "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64" or "bool"; by default "u16", and "bool" for coils, discrete inputs and with `bit`.
    #[serde(default, rename = "type")]
    pub ty: Option<ValueType>,
    /// The bit of a register that is the value, from 0, the least significant one, to 15.
    #[serde(default)]
    pub bit: Option<u8>,
    /// As that of the source, for this value.
    #[serde(default)]
    pub word_order: Option<Endian>,
    /// As that of the source, for this value.
    #[serde(default)]
    pub byte_order: Option<Endian>,
    /// What the number is multiplied by, such as 0.1.
    #[serde(default)]
    pub scale: Option<f64>,
    /// What is added to the number after that.
    #[serde(default)]
    pub offset: Option<f64>,
    /// The unit of the measurement, such as "degC".
    #[serde(default)]
    pub unit: Option<String>,
    /// The names of the devices that have the register; by default all of them. Records of the others have null.
    #[serde(default)]
    pub devices: Vec<String>,
}

/// The time of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeOf {
    /// When the last answer of the poll arrived.
    #[default]
    Answer,
    /// When the poll was due.
    Due,
}

/// What to do if a device refuses registers at its first poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// The run ends with an error.
    #[default]
    Stop,
    /// The run goes on without their values.
    Null,
}

fn every() -> String {
    "1s".into()
}

fn timeout() -> String {
    "2s".into()
}

fn unit() -> u8 {
    1
}

fn max_registers() -> u16 {
    125
}

fn max_bits() -> u16 {
    2000
}
