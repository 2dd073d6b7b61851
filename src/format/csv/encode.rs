//! Columns to CSV text (clause 18).

use std::ops::Range;

use crate::batch::{Batch, Column, Measurement, Schema};
use crate::format::Encode;
use crate::format::pieces::{Made, Pieces, Records, blocks};
use crate::format::text::{write_float, write_time};
use crate::kernel::shortest::Slot;
use crate::sensor::Sensors;

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

    /// The texts of `column` at `rows`, with `null` for what is missing.
    fn pieces<'a>(
        &self,
        batch: &'a Batch,
        sensors: &Sensors,
        (column, null): (&'a Column, &[u8]),
        rows: Range<usize>,
        made: &'a mut Made,
    ) -> Pieces<'a> {
        match column {
            Column::Time(times) => {
                let spans = times.text.get(rows.clone()).unwrap_or_default();
                match batch.text.chunk_of(spans).filter(|_| !spans.is_empty()) {
                    Some(chunk) => Pieces::Spans(chunk, spans),
                    None => made.each(rows, |row, out| write_time(batch, times, row, out)),
                }
            }
            Column::Sensor(ids) => made.names(&ids[rows], (sensors.len(), ids.len()), |id, out| {
                self.text(sensors.name(id).as_bytes(), out);
            }),
            Column::Measurement(measurement) if self.decimals.is_some() => {
                made.each(rows, |row, out| match measurement.get(row) {
                    None => out.extend_from_slice(null),
                    Some(value) => write_float(value, self.decimals, out),
                })
            }
            Column::Measurement(Measurement { values, valid }) => {
                let start = rows.start;
                let null = Slot::new(null);
                let missing = (!valid.is_all_set_in(rows.clone()))
                    .then_some(|row: usize| (!valid.get(start + row)).then_some(null));
                made.floats(&values[rows], missing)
            }
            Column::Flag(bits) => made.each(rows, |row, out| {
                out.extend_from_slice(if bits.get(row) { b"true" } else { b"false" });
            }),
            Column::Count(counts) => made.each(rows, |row, out| {
                out.extend_from_slice(itoa::Buffer::new().format(counts[row]).as_bytes());
            }),
            Column::Text(spans) => made.each(rows, |row, out| match batch.text.get(spans[row]) {
                None => out.extend_from_slice(null),
                Some(text) => self.text(text, out),
            }),
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
        let columns = batch.columns();
        // A record of one null would be a blank line, which no reader counts.
        let null: &[u8] = if columns.len() == 1 { b"\"\"" } else { b"" };
        let delimiter = [self.delimiter];
        let before = (0..columns.len()).map(|at| if at == 0 { &[][..] } else { &delimiter[..] });
        let mut records = Records::new(before, b"\n", out);
        let mut made: Vec<Made> = columns.iter().map(|_| Made::default()).collect();
        for rows in blocks(batch.len()) {
            let pieces = |(column, made)| self.pieces(batch, sensors, (column, null), rows.clone(), made);
            records.write(rows.len(), &columns.iter().zip(&mut made).map(pieces).collect::<Vec<_>>());
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
