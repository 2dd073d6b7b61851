//! Columns to CSV text (clause 18).

use crate::batch::{Batch, Column, Schema};
use crate::format::Encode;
use crate::format::text::{push_short, write_float, write_time};
use crate::sensor::{SensorId, Sensors};

/// Writes CSV as RFC 4180, with a header and LF line ends.
#[derive(Clone, Debug)]
pub struct CsvEncoder {
    /// Between fields.
    pub delimiter: u8,
    /// Digits behind the decimal point; the shortest text that reads back if `None`.
    pub decimals: Option<u8>,
    /// Whether text that a spreadsheet would take for a formula is escaped with an apostrophe.
    pub safe: bool,
}

impl CsvEncoder {
    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let is_formula = self.safe && matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
        let is_special = |&byte: &u8| byte == self.delimiter || matches!(byte, b'"' | b'\n' | b'\r');
        let is_edge = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if !is_formula
            && !text.iter().any(is_special)
            && !is_edge(text.first())
            && !is_edge(text.last())
            && !text.is_empty()
        {
            return out.extend_from_slice(text);
        }
        out.push(b'"');
        out.extend(is_formula.then_some(b'\''));
        for &byte in text {
            out.extend((byte == b'"').then_some(b'"'));
            out.push(byte);
        }
        out.push(b'"');
    }

    fn value(&self, batch: &Batch, column: &Column, row: usize, names: &mut Names<'_>, out: &mut Vec<u8>) {
        match column {
            Column::Time(times) => write_time(batch, times, row, out),
            Column::Sensor(ids) => names.write(ids[row], self, out),
            Column::Measurement(measurement) => {
                if let Some(value) = measurement.get(row) {
                    write_float(value, self.decimals, out);
                }
            }
            Column::Flag(bits) => out.extend_from_slice(if bits.get(row) { b"true" } else { b"false" }),
            Column::Count(counts) => {
                out.extend_from_slice(itoa::Buffer::new().format(counts[row]).as_bytes())
            }
            Column::Text(spans) => {
                if let Some(text) = batch.text.get(spans[row]) {
                    self.text(text, out);
                }
            }
        }
    }
}

/// The sensors' names as they are written. Whether they have to be quoted is looked at once a batch, where it has more records than
/// there are sensors.
struct Names<'a> {
    sensors: &'a Sensors,
    written: Vec<u8>,
    /// By sensor: start and length in `written`; 0 where it is not there yet. Not even an empty name is written as nothing.
    places: Vec<(u32, u32)>,
}

impl<'a> Names<'a> {
    fn new(sensors: &'a Sensors, records: usize) -> Self {
        let kept = if sensors.len() < records { sensors.len() } else { 0 };
        Self { sensors, written: Vec::new(), places: vec![(0, 0); kept] }
    }

    fn write(&mut self, id: SensorId, encoder: &CsvEncoder, out: &mut Vec<u8>) {
        let name = self.sensors.name(id).as_bytes();
        match self.places.get_mut(id.index()) {
            None => encoder.text(name, out),
            Some(place) => {
                if place.1 == 0 {
                    let start = self.written.len();
                    encoder.text(name, &mut self.written);
                    *place = (start as u32, (self.written.len() - start) as u32);
                }
                let (start, len) = *place;
                push_short(&self.written[start as usize..][..len as usize], out);
            }
        }
    }
}

impl Encode for CsvEncoder {
    fn header(&self, schema: &Schema, out: &mut Vec<u8>) {
        for (at, field) in schema.fields().iter().enumerate() {
            out.extend((at > 0).then_some(self.delimiter));
            self.text(field.name.as_bytes(), out);
        }
        out.push(b'\n');
    }

    fn encode(&self, batch: &Batch, sensors: &Sensors, out: &mut Vec<u8>) {
        // About what times, names and shortest numbers take.
        out.reserve(batch.len() * batch.columns().len() * 18);
        let mut names = Names::new(sensors, batch.len());
        for row in 0..batch.len() {
            let start = out.len();
            for (at, column) in batch.columns().iter().enumerate() {
                out.extend((at > 0).then_some(self.delimiter));
                self.value(batch, column, row, &mut names, out);
            }
            if out.len() == start {
                // A record of one null would be a blank line, which no reader counts.
                out.extend_from_slice(b"\"\"");
            }
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clause_18_text_is_quoted_where_it_has_to_be() {
        let encoder = CsvEncoder { delimiter: b';', decimals: None, safe: true };
        let written = |text: &str| {
            let mut out = Vec::new();
            encoder.text(text.as_bytes(), &mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(written("a,b"), "a,b");
        assert_eq!(written("a;b"), "\"a;b\"");
        assert_eq!(written("say \"x\""), "\"say \"\"x\"\"\"");
        assert_eq!(written(" a"), "\" a\"");
        assert_eq!(written(""), "\"\"");
        assert_eq!(written("=1+1"), "\"'=1+1\"");
    }
}
