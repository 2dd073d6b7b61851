//! Encodes columns as JSON Lines.

use std::ops::Range;

use crate::batch::{Batch, Column, Schema};
use crate::format::Encode;
use crate::format::pieces::{MadeTexts, RecordWriter, TextPieces, blocks};
use crate::format::text::{push_short, time_text, write_boolean, write_float, write_integer};
use crate::kernel::shortest::Slot;
use crate::sensor::Sensors;

/// Writes JSON Lines. NaN and infinities are the strings "NaN", "inf" and "-inf", since JSON has no such numbers; null is only for missing
/// values.
#[derive(Clone, Debug)]
pub struct JsonEncoder {
    /// `{"name":` of the first column, `,"name":` of the others.
    keys: Vec<Vec<u8>>,
    decimals: Option<u8>,
}

impl JsonEncoder {
    /// An encoder for batches of this schema; floats have their shortest text unless `decimals` is given.
    pub fn new(schema: &Schema, decimals: Option<u8>) -> Self {
        let key = |(at, name): (usize, &str)| {
            let mut key = vec![if at == 0 { b'{' } else { b',' }];
            write_string(name.as_bytes(), &mut key);
            key.push(b':');
            key
        };
        let names = schema.fields().iter().map(|field| &*field.name);
        Self { keys: names.enumerate().map(key).collect(), decimals }
    }

    /// The texts of `column` at `rows`.
    fn pieces<'a>(
        &self,
        batch: &'a Batch,
        sensors: &Sensors,
        column: &'a Column,
        rows: Range<usize>,
        made: &'a mut MadeTexts,
    ) -> TextPieces<'a> {
        match column {
            Column::Time(times) => made.each(rows, |row, out| match time_text(batch, times, row) {
                Some(text) => write_string(text, out),
                None => {
                    out.push(b'"');
                    times.values[row].write_rfc3339(out);
                    out.push(b'"');
                }
            }),
            Column::Sensor(ids) => made.names(&ids[rows], (sensors.len(), ids.len()), |id, out| {
                write_string(sensors.name(id).as_bytes(), out);
            }),
            Column::F64(numbers) if self.decimals.is_some() => {
                made.each(rows, |row, out| match replacement(numbers.get(row)) {
                    Some(text) => out.extend_from_slice(text),
                    None => write_float(numbers.values[row], self.decimals, out),
                })
            }
            Column::F64(numbers) => {
                let start = rows.start;
                let values = &numbers.values[rows.clone()];
                let is_plain =
                    numbers.valid.is_all_set_in(rows) && values.iter().all(|value| value.is_finite());
                let other = |row: usize| replacement(numbers.get(start + row)).map(Slot::new);
                made.floats(values, (!is_plain).then_some(other))
            }
            Column::I64(numbers) => made.each(rows, |row, out| match numbers.get(row) {
                None => out.extend_from_slice(b"null"),
                Some(value) => write_integer(value, out),
            }),
            Column::U64(numbers) => made.each(rows, |row, out| match numbers.get(row) {
                None => out.extend_from_slice(b"null"),
                Some(value) => write_integer(value, out),
            }),
            Column::Bool(booleans) => made.each(rows, |row, out| match booleans.get(row) {
                None => out.extend_from_slice(b"null"),
                Some(value) => write_boolean(value, out),
            }),
            Column::Text(spans) => made.each(rows, |row, out| match batch.text.get(spans[row]) {
                None => out.extend_from_slice(b"null"),
                Some(text) => write_string(text, out),
            }),
        }
    }
}

/// The replacement for a missing number, or one that JSON cannot represent.
fn replacement(value: Option<f64>) -> Option<&'static [u8]> {
    match value {
        None => Some(b"null"),
        Some(value) if value.is_nan() => Some(b"\"NaN\""),
        Some(f64::INFINITY) => Some(b"\"inf\""),
        Some(f64::NEG_INFINITY) => Some(b"\"-inf\""),
        Some(_) => None,
    }
}

/// Writes text as a JSON string; invalid UTF-8 becomes U+FFFD.
fn write_string(text: &[u8], out: &mut Vec<u8>) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    // Without a way out of the loop, which makes it a loop over vectors.
    if text.iter().fold(true, |plain, &byte| plain & is_plain(byte)) {
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
        let columns = batch.columns();
        let mut records = RecordWriter::new(&self.keys, b"}\n", out);
        let mut made: Vec<MadeTexts> = columns.iter().map(|_| MadeTexts::default()).collect();
        for rows in blocks(batch.len()) {
            let pieces = |(column, made)| self.pieces(batch, sensors, column, rows.clone(), made);
            records.write(rows.len(), &columns.iter().zip(&mut made).map(pieces).collect::<Vec<_>>());
        }
    }
}
