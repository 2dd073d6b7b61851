//! Columns to JSON Lines.

use crate::batch::{Batch, Column, Schema};
use crate::format::Encode;
use crate::format::text::{push_short, time_text, write_float};
use crate::sensor::Sensors;

/// Writes JSON Lines. NaN and infinities are the strings "NaN", "inf", "-inf", since JSON has no
/// numbers for them; null is for missing values only.
#[derive(Clone, Debug)]
pub struct JsonEncoder {
    /// `"name":` of each column.
    keys: Vec<Vec<u8>>,
    decimals: Option<u8>,
}

impl JsonEncoder {
    /// An encoder for batches of this schema; the shortest float texts unless `decimals` is given.
    pub fn new(schema: &Schema, decimals: Option<u8>) -> Self {
        let key = |name: &str| {
            let mut key = Vec::new();
            write_string(name.as_bytes(), &mut key);
            key.push(b':');
            key
        };
        Self { keys: schema.fields().iter().map(|field| key(&field.name)).collect(), decimals }
    }

    fn value(&self, batch: &Batch, column: &Column, row: usize, sensors: &Sensors, out: &mut Vec<u8>) {
        match column {
            Column::Time(times) => match time_text(batch, times, row) {
                Some(text) => write_string(text, out),
                None => {
                    out.push(b'"');
                    times.values[row].write_rfc3339(out);
                    out.push(b'"');
                }
            },
            Column::Sensor(ids) => write_string(sensors.name(ids[row]).as_bytes(), out),
            Column::Measurement(measurement) => match measurement.get(row) {
                None => out.extend_from_slice(b"null"),
                Some(value) if value.is_finite() => write_float(value, self.decimals, out),
                Some(value) => {
                    out.push(b'"');
                    write_float(value, None, out);
                    out.push(b'"');
                }
            },
            Column::Flag(bits) => out.extend_from_slice(if bits.get(row) { b"true" } else { b"false" }),
            Column::Count(counts) => {
                out.extend_from_slice(itoa::Buffer::new().format(counts[row]).as_bytes())
            }
            Column::Text(spans) => match batch.text.get(spans[row]) {
                None => out.extend_from_slice(b"null"),
                Some(text) => write_string(text, out),
            },
        }
    }
}

/// Text as a JSON string; what is no UTF-8 becomes U+FFFD.
fn write_string(text: &[u8], out: &mut Vec<u8>) {
    let is_plain = |&byte: &u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.iter().all(is_plain) {
        out.push(b'"');
        push_short(text, out);
        out.push(b'"');
        return;
    }
    // Serialising a string into a vector cannot fail.
    let _ = serde_json::to_writer(out, &String::from_utf8_lossy(text));
}

impl Encode for JsonEncoder {
    fn header(&self, _schema: &Schema, _out: &mut Vec<u8>) {}

    fn encode(&self, batch: &Batch, sensors: &Sensors, out: &mut Vec<u8>) {
        for row in 0..batch.len() {
            out.push(b'{');
            for (at, (key, column)) in self.keys.iter().zip(batch.columns()).enumerate() {
                out.extend((at > 0).then_some(b','));
                out.extend_from_slice(key);
                self.value(batch, column, row, sensors, out);
            }
            out.extend_from_slice(b"}\n");
        }
    }
}
