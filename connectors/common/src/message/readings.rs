//! Readings: what protocols with types of their own send, in the same columns for all of them.

use tidemill_engine::batch::Number;
use tidemill_engine::time::Timestamp;

/// The columns of readings. `value` is the number, `text` what is none; a reading has one of them, or neither where the device has sent no value.
pub const READING: [&str; 6] = ["time", "sensor", "value", "text", "unit", "quality"];

/// One value of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading<'a> {
    /// When it was measured; the time of arrival if the device does not say.
    pub time: Option<Timestamp>,
    /// The sensor's name.
    pub sensor: &'a str,
    /// The value, if it is a number or a truth value.
    pub value: Option<Number>,
    /// The value, if it is text.
    pub text: Option<&'a str>,
    /// Its unit.
    pub unit: Option<&'a str>,
    /// Its quality, in the words of the protocol.
    pub quality: Option<&'a str>,
}
