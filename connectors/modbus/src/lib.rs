//! Modbus TCP for **tidemill**: the source `modbus`, which polls registers of devices. A program that links this crate can use it by name.
//!
//! | module | |
//! |---|---|
//! | `options` | [`Modbus`]: the devices and their registers, as a pipeline file has them |
//! | `resolve` | from the options to registers and devices, checked |
//! | `register` | a register: where it is, and its value from 16-bit words |
//! | `scaling` | raw numbers in the unit of their measurement |
//! | `request` | neighbouring registers in one request |
//! | `connection` | a connection, and what devices answer, in words |
//! | `device` | one device: reads its registers once |
//! | `schedule` | when a device is polled, and which polls were missed |
//! | `task` | polls a device until the run ends |
//! | `records` | polls as records |
//! | `source` | the source |
//! | `probe` | a look at the devices before a run |

mod connection;
mod device;
mod options;
mod probe;
mod records;
mod register;
mod request;
mod resolve;
mod scaling;
mod schedule;
mod source;
mod task;
#[cfg(test)]
mod testing;

pub use options::{DeviceOptions, Modbus, Refused, RegisterOptions, TimeOf};
pub use register::{Endian, Kind, ValueType};
/// The client library, for programs that use it beside the source.
pub use tokio_modbus;
