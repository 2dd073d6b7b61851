//! Columns to CSV text (clause 18).

use std::ops::Range;

use crate::batch::{Batch, Column, Numbers, Schema, Span, TimeColumn};
use crate::format::Encode;
use crate::format::pieces::{MadeTexts, RecordWriter, TextPieces, blocks};
use crate::format::text::{write_boolean, write_float, write_integer, write_time};
use crate::kernel::shortest::Slot;
use crate::sensor::Sensors;

/// Writes CSV as in RFC 4180, with a header and LF line ends.
#[derive(Clone, Debug)]
pub struct CsvEncoder {
    /// The byte between fields.
    pub delimiter: u8,
    /// Digits after the decimal point; `None` for the shortest text that reads back.
    pub decimals: Option<u8>,
    /// Whether text that a spreadsheet would interpret as a formula is escaped with an apostrophe.
    pub safe: bool,
}

impl CsvEncoder {
    /// Whether a byte needs quotes around its field.
    #[inline]
    fn is_special(&self, byte: u8) -> bool {
        byte == self.delimiter || matches!(byte, b'"' | b'\n' | b'\r')
    }

    /// Whether a text needs no quotes.
    fn is_plain(&self, text: &[u8]) -> bool {
        !text.iter().any(|&byte| self.is_special(byte))
    }

    /// Whether no text of the times needs quotes. Most equal the previous one: sensors are read together.
    fn are_plain(&self, chunk: &[u8], spans: &[Span]) -> bool {
        let mut last: &[u8] = &[];
        spans.iter().all(|span| {
            let text = &chunk[span.start()..][..span.len()];
            let is_plain = is_same(text, last) || self.is_plain(text);
            last = text;
            is_plain
        })
    }

    /// Writes a time, which is never a formula and has no surrounding spaces.
    fn time(&self, batch: &Batch, times: &TimeColumn, row: usize, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        write_time(batch, times, row, &mut text);
        match self.is_plain(&text) {
            true => out.extend_from_slice(&text),
            false => write_quoted(&text, out),
        }
    }

    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let is_formula =
            self.safe && matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n'));
        let is_special = |&byte: &u8| self.is_special(byte);
        let is_edge = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if !is_formula
            && !text.iter().any(is_special)
            && !is_edge(text.first())
            && !is_edge(text.last())
            && !text.is_empty()
        {
            return out.extend_from_slice(text);
        }
        match is_formula {
            true => write_quoted(&[b"'", text].concat(), out),
            false => write_quoted(text, out),
        }
    }

    /// The texts of `column` at `rows`, with `null` for missing values.
    fn pieces<'a>(
        &self,
        batch: &'a Batch,
        sensors: &Sensors,
        (column, null): (&'a Column, &[u8]),
        rows: Range<usize>,
        made: &'a mut MadeTexts,
    ) -> TextPieces<'a> {
        match column {
            Column::Time(times) => {
                let spans = times.text.get(rows.clone()).unwrap_or_default();
                let chunk = batch.text.chunk_of(spans).filter(|_| !spans.is_empty());
                match chunk.filter(|chunk| self.are_plain(chunk, spans)) {
                    Some(chunk) => TextPieces::Spans(chunk, spans),
                    None => made.each(rows, |row, out| self.time(batch, times, row, out)),
                }
            }
            Column::Sensor(ids) => made.names(&ids[rows], (sensors.len(), ids.len()), |id, out| {
                self.text(sensors.name(id).as_bytes(), out);
            }),
            Column::F64(numbers) if self.decimals.is_some() => {
                made.each(rows, |row, out| match numbers.get(row) {
                    None => out.extend_from_slice(null),
                    Some(value) => write_float(value, self.decimals, out),
                })
            }
            Column::F64(Numbers { values, valid }) => {
                let start = rows.start;
                let null = Slot::new(null);
                let missing = (!valid.is_all_set_in(rows.clone()))
                    .then_some(|row: usize| (!valid.get(start + row)).then_some(null));
                made.floats(&values[rows], missing)
            }
            Column::I64(numbers) => made.each(rows, |row, out| match numbers.get(row) {
                None => out.extend_from_slice(null),
                Some(value) => write_integer(value, out),
            }),
            Column::U64(numbers) => made.each(rows, |row, out| match numbers.get(row) {
                None => out.extend_from_slice(null),
                Some(value) => write_integer(value, out),
            }),
            Column::Bool(booleans) => made.each(rows, |row, out| match booleans.get(row) {
                None => out.extend_from_slice(null),
                Some(value) => write_boolean(value, out),
            }),
            Column::Text(spans) => made.each(rows, |row, out| match batch.text.get(spans[row]) {
                None => out.extend_from_slice(null),
                Some(text) => self.text(text, out),
            }),
        }
    }
}

/// Whether two texts are equal; without a call for the usual length of a timestamp.
#[inline(always)]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let halves = |text: &[u8]| {
        let (first, last) = text.first_chunk().zip(text.last_chunk())?;
        (text.len() <= 32).then_some((u128::from_le_bytes(*first), u128::from_le_bytes(*last)))
    };
    match (halves(a), halves(b)) {
        (Some((a_first, a_last)), Some((b_first, b_last))) => {
            (a_first ^ b_first) | (a_last ^ b_last) == 0 && a.len() == b.len()
        }
        _ => a == b,
    }
}

/// Writes a text in quotes, with quotes inside doubled.
fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        out.extend((byte == b'"').then_some(b'"'));
        out.push(byte);
    }
    out.push(b'"');
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
        // The typical length of times, names and shortest numbers.
        out.reserve(batch.len() * batch.columns().len() * 18);
        let columns = batch.columns();
        // A record of a single null would be a blank line, which readers skip.
        let null: &[u8] = if columns.len() == 1 { b"\"\"" } else { b"" };
        let delimiter = [self.delimiter];
        let before = (0..columns.len()).map(|at| if at == 0 { &[][..] } else { &delimiter[..] });
        let mut records = RecordWriter::new(before, b"\n", out);
        let mut made: Vec<MadeTexts> = columns.iter().map(|_| MadeTexts::default()).collect();
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
        for first in "=+-@\t\r\n".chars() {
            assert_eq!(written(&format!("{first}1+1")), format!("\"'{first}1+1\""));
        }
    }

    #[test]
    fn clause_18_a_time_is_quoted_where_it_has_to_be() {
        use std::sync::Arc;

        use crate::batch::{Bytes, Field, Text};
        use crate::time::Timestamp;

        let times = [
            "01.02.2026, 10:00",
            "01.02.2026 10:00:00",
            "-5",
            "10:00,",
            "the 1st of February, 2026, at 10:00:00",
            "a\"b",
        ];
        let mut spans = Vec::new();
        let mut text = String::new();
        for time in times {
            spans.push(Span::new(text.len(), time.len()));
            text += time;
        }
        let mut sensors = Sensors::default();
        let id = sensors.id("a").expect("room");
        let fields = vec![Field::time("time"), Field::sensor("sensor")];
        let schema = Arc::new(Schema::new(fields).expect("a schema"));
        let encoder = CsvEncoder { delimiter: b',', decimals: None, safe: true };
        for at in 0..times.len() {
            // With the plain columns only, and with one more.
            let rows: Vec<usize> = [1, 2, at].into();
            let column = TimeColumn {
                values: vec![Timestamp::from_nanos(0); rows.len()].into(),
                text: rows.iter().map(|&row| spans[row]).collect(),
            };
            let columns = vec![Column::Time(column), Column::Sensor(vec![id; rows.len()])];
            let text = Text::new(Bytes::new(text.clone().into_bytes()));
            let mut out = Vec::new();
            encoder.encode(&Batch::new(Arc::clone(&schema), columns, text), &sensors, &mut out);
            let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(&*out);
            let read: Vec<String> =
                reader.records().map(|record| record.expect("two fields")[0].to_owned()).collect();
            assert_eq!(read, rows.iter().map(|&row| times[row]).collect::<Vec<_>>());
        }
    }
}
