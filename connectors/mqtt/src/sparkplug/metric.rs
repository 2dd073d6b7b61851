//! Metrics and payloads of Sparkplug B, as they are sent.

use std::str;

use tidemill_engine::batch::Number;

use super::wire::{Fields, Malformed, Value};

/// Who is told which type a metric has: the birth certificates.
pub(super) const INT8: u64 = 1;
pub(super) const INT16: u64 = 2;
pub(super) const INT32: u64 = 3;
pub(super) const INT64: u64 = 4;

/// The parts of a payload that precede or follow its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Head {
    /// Milliseconds since 1970.
    pub(super) timestamp: Option<u64>,
    pub(super) seq: Option<u64>,
}

impl Head {
    /// Reads them, and checks the outer structure of the whole payload.
    pub(super) fn of(payload: &[u8]) -> Result<Self, Malformed> {
        let mut head = Self::default();
        for field in Fields::of(payload) {
            match field? {
                (1, Value::Varint(number)) => head.timestamp = Some(number),
                (2, Value::Bytes(_)) => {}
                (3, Value::Varint(number)) => head.seq = Some(number),
                (1..=3, _) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(head)
    }
}

/// The metrics of a payload.
pub(super) fn metrics(payload: &[u8]) -> impl Iterator<Item = Result<Metric<'_>, Malformed>> {
    Fields::of(payload).filter_map(|field| match field {
        Ok((2, Value::Bytes(bytes))) => Some(Metric::of(bytes)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// A metric of a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Metric<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) alias: Option<u64>,
    /// Milliseconds since 1970.
    pub(super) timestamp: Option<u64>,
    pub(super) datatype: Option<u64>,
    pub(super) is_null: bool,
    pub(super) value: Sent<'a>,
    /// The property `Quality`.
    pub(super) quality: Option<u64>,
}

/// A value as it is sent: what it means depends on the metric's type.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Sent<'a> {
    #[default]
    Nothing,
    Integer(u64),
    Real(f64),
    Boolean(bool),
    Text(&'a str),
    /// Bytes, a data set, a template: not a single value.
    Other,
}

/// A value as it is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meant<'a> {
    Nothing,
    Number(Number),
    Text(&'a str),
}

impl<'a> Metric<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut metric = Self::default();
        for field in Fields::of(bytes) {
            let (number, value) = field?;
            match (number, value) {
                (1, Value::Bytes(name)) => metric.name = Some(text(name)?),
                (2, Value::Varint(alias)) => metric.alias = Some(alias),
                (3, Value::Varint(time)) => metric.timestamp = Some(time),
                (4, Value::Varint(ty)) => metric.datatype = Some(ty),
                (7, Value::Varint(bit)) => metric.is_null = bit != 0,
                (9, Value::Bytes(properties)) => metric.quality = quality(properties)?.or(metric.quality),
                (10 | 11, Value::Varint(integer)) => metric.value = Sent::Integer(integer),
                (12, Value::Fixed32(bits)) => metric.value = Sent::Real(f64::from(f32::from_bits(bits))),
                (13, Value::Fixed64(bits)) => metric.value = Sent::Real(f64::from_bits(bits)),
                (14, Value::Varint(bit)) => metric.value = Sent::Boolean(bit != 0),
                (15, Value::Bytes(bytes)) => metric.value = Sent::Text(text(bytes)?),
                (16..=19, Value::Bytes(_)) => metric.value = Sent::Other,
                (1..=4 | 7 | 9..=19, _) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(metric)
    }

    /// The value, if its type is `datatype`; `None` if it is not a single value.
    pub(super) fn meant(&self, datatype: u64) -> Option<Meant<'a>> {
        if self.is_null {
            return Some(Meant::Nothing);
        }
        Some(match self.value {
            Sent::Nothing => Meant::Nothing,
            Sent::Integer(bits) => Meant::Number(integer(bits, datatype)),
            Sent::Real(number) => Meant::Number(Number::F64(number)),
            Sent::Boolean(bit) => Meant::Number(Number::Bool(bit)),
            Sent::Text(text) => Meant::Text(text),
            Sent::Other => return None,
        })
    }
}

/// Signed integers are sent as the unsigned ones of the same bits, small ones with or without their sign extended.
fn integer(bits: u64, datatype: u64) -> Number {
    match datatype {
        INT8 => Number::I64(i64::from(bits as i8)),
        INT16 => Number::I64(i64::from(bits as i16)),
        INT32 => Number::I64(i64::from(bits as i32)),
        INT64 => Number::I64(bits as i64),
        _ => Number::U64(bits),
    }
}

/// The integer property `Quality` of a set, whose keys and values stand in two lists.
fn quality(properties: &[u8]) -> Result<Option<u64>, Malformed> {
    let (mut keys, mut values, mut found) = (0usize, 0usize, None);
    for field in Fields::of(properties) {
        if let (1, Value::Bytes(key)) = field? {
            if key == b"Quality" {
                found = Some(keys);
            }
            keys += 1;
        }
    }
    let Some(found) = found else { return Ok(None) };
    for field in Fields::of(properties) {
        if let (2, Value::Bytes(value)) = field? {
            if values == found {
                return property(value);
            }
            values += 1;
        }
    }
    Ok(None)
}

/// The integer of a property.
fn property(bytes: &[u8]) -> Result<Option<u64>, Malformed> {
    let mut found = None;
    for field in Fields::of(bytes) {
        if let (3 | 4, Value::Varint(number)) = field? {
            found = Some(number);
        }
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    str::from_utf8(bytes).map_err(|_| Malformed)
}
