//! The reference decoder: record by record, simple enough to be obviously right. It is the oracle of the tile decoder, which delegates
//! irregular text to it.

use super::again;
use super::decoder::CsvDecoder;
use super::scan::{FieldSpan, Scan, plain_quoted, unquote};
use crate::error::Result;
use crate::format::refusal::Refusal;
use crate::format::rows::ChunkRows;
use crate::format::{Chunk, Decoded, MAX_FIELD, MAX_FIELDS, MAX_RECORD, TOO_LONG};
use crate::sensor::SensorLookup;

/// Its buffers.
#[derive(Default)]
pub(super) struct ReferenceBuffers {
    fields: Vec<FieldSpan>,
    unquoted: Vec<u8>,
}

impl CsvDecoder {
    /// Decodes a chunk record by record.
    pub(super) fn by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let text = chunk.bytes.as_slice();
        let mut rows = ChunkRows::new(&self.layout, chunk, sensors);
        let (mut at, mut line, mut scratch) = (0, 0, ReferenceBuffers::default());
        while at < text.len() {
            let (next, lines) = self.one(text, at, line, &mut rows, &mut scratch)?;
            (at, line) = (next, line + lines);
        }
        Ok(rows.finish(line))
    }

    /// Decodes the record, blank line or comment that begins at `at`, on line `line`; returns the next byte and the number of its lines.
    pub(super) fn one(
        &self,
        text: &[u8],
        at: usize,
        line: u64,
        rows: &mut ChunkRows<'_>,
        scratch: &mut ReferenceBuffers,
    ) -> Result<(usize, u64)> {
        let ReferenceBuffers { fields, unquoted } = scratch;
        Ok(match self.splitter.scan(text, at, true, fields) {
            Scan::Record { end, next, lines } => {
                let taken = self.record(text, at, end, fields, rows, unquoted);
                let header = || self.header_refused(text, at, end);
                rows.end_or(taken, at, line, end - at, |why| header().unwrap_or(why))?;
                (next, lines)
            }
            Scan::Skipped { next } => (next, 1),
            Scan::Unclosed { end, next } => {
                let refusal = Refusal::record("unclosed quote");
                rows.refuse(at, line, end - at, refusal);
                (next, 1)
            }
            Scan::Incomplete => (text.len(), 0),
        })
    }

    fn record(
        &self,
        text: &[u8],
        at: usize,
        end: usize,
        fields: &mut Vec<FieldSpan>,
        rows: &mut ChunkRows<'_>,
        unquoted: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if self.is_header(&text[at..end]) {
            return Err(Refusal::record(again::REASON));
        }
        if self.has_likely_header
            && let Some(refusal) = self.header_refused(text, at, end)
        {
            return Err(refusal);
        }
        self.fitting.fit(text, end, fields);
        let start = fields.first().map_or(at, |field| field.start);
        if let Some(refusal) = self.misshapen(end - start, fields) {
            return Err(refusal);
        }
        for (&role, span) in self.layout.roles.iter().zip(fields) {
            let raw = &text[span.start..span.end];
            let quote = self.splitter.quote().filter(|_| span.is_quoted);
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
            TOO_LONG.to_owned()
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
