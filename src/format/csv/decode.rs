//! Chunks of CSV to columns.

use super::scan::{FieldSpan, Marks, Scan, plain_quoted, unquote};
use crate::chunk::{Chunk, Decoded};
use crate::error::Result;
use crate::format::rows::{Layout, Refusal, Rows};
use crate::format::{Decode, MAX_FIELD, MAX_FIELDS, MAX_RECORD};
use crate::sensor::Sensors;

/// Reads the chunks of one file.
#[derive(Clone, Debug)]
pub(super) struct CsvDecoder {
    pub(super) marks: Marks,
    pub(super) layout: Layout,
}

impl Decode for CsvDecoder {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        self.marks.complete(bytes, at_end)
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut Sensors) -> Result<Decoded> {
        let text = chunk.bytes.as_slice();
        let mut rows = Rows::new(&self.layout, chunk, sensors);
        let (mut fields, mut unquoted) = (Vec::new(), Vec::new());
        let (mut at, mut line) = (0, 0);
        loop {
            (at, line) = match self.marks.scan(text, at, true, &mut fields) {
                Scan::Record { end, next, lines } => {
                    match self.record(text, at, end, &fields, &mut rows, &mut unquoted) {
                        Ok(()) => rows.accept(at, line, end - at)?,
                        Err(refusal) => rows.refuse(at, line, end - at, refusal),
                    }
                    (next, line + lines)
                }
                Scan::Skipped { next } => (next, line + 1),
                Scan::Unclosed { end, next } => {
                    rows.refuse(
                        at,
                        line,
                        end - at,
                        Refusal::record("a quote is opened here and never closed"),
                    );
                    (next, line + 1)
                }
                Scan::Incomplete => return Ok(rows.finish(line)),
            };
        }
    }
}

impl CsvDecoder {
    fn record(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
        fields: &[FieldSpan],
        rows: &mut Rows<'_>,
        unquoted: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if let Some(refusal) = self.misshapen(end - start, fields) {
            return Err(refusal);
        }
        for (&role, span) in self.layout.roles.iter().zip(fields) {
            let raw = &text[span.start..span.end];
            let quote = self.marks.quote.filter(|_| span.is_quoted);
            match quote.map(|quote| (quote, plain_quoted(raw, quote))) {
                None => rows.field(role, raw, Some(span.start))?,
                Some((_, Some(inner))) => rows.field(role, inner, Some(span.start + 1))?,
                Some((quote, None)) => {
                    unquote(raw, quote, unquoted);
                    rows.field(role, unquoted, None)?
                }
            }
        }
        Ok(())
    }

    fn misshapen(&self, length: usize, fields: &[FieldSpan]) -> Option<Refusal> {
        let expected = self.layout.roles.len();
        let reason = if length > MAX_RECORD {
            format!("record of {length} bytes; {MAX_RECORD} are allowed")
        } else if fields.len() > MAX_FIELDS {
            format!("more than {MAX_FIELDS} fields")
        } else if fields.len() != expected {
            format!(
                "{} field{} where {expected} are expected",
                fields.len(),
                if fields.len() == 1 { "" } else { "s" }
            )
        } else if let Some(field) = fields.iter().find(|field| field.end - field.start > MAX_FIELD) {
            format!("field of {} bytes; {MAX_FIELD} are allowed", field.end - field.start)
        } else {
            return None;
        };
        Some(Refusal::record(reason))
    }
}
