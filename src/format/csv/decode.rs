//! Chunks of CSV to columns.

use std::sync::Arc;

use super::again::{self, Again, HeaderLines, WrittenNames};
use super::beginning::Beginning;
use super::ragged::Fitting;
use super::scan::{FieldSpan, Scan, plain_quoted, unquote};
use super::split::Splitter;
use super::tiles::Tiles;
use crate::batch::Bytes;
use crate::chunk::{Chunk, Decoded};
use crate::error::Result;
use crate::format::rows::{Layout, Refusal, Rows};
use crate::format::{Decode, LineFormat, MAX_FIELD, MAX_FIELDS, MAX_RECORD, TOO_LONG};
use crate::offset::Offset;
use crate::sensor::{SensorLookup, Sensors};

/// Bytes a tile: text, places and columns of it stay in the first cache. A fuzzer's inputs are small, and should have tiles too.
const TILE: usize = if cfg!(fuzzing) { 128 } else { 16 << 10 };

/// Buffers of the reference decoder.
#[derive(Default)]
pub(super) struct Scratch {
    fields: Vec<FieldSpan>,
    unquoted: Vec<u8>,
}

/// Reads the chunks of one file.
#[derive(Clone, Debug)]
pub(super) struct CsvDecoder {
    pub(super) splitter: Splitter,
    fitting: Fitting,
    header: HeaderLines,
    written: WrittenNames,
    /// The file's bytes before its first record.
    beginning: Arc<[u8]>,
    /// Whether a header that stands again could be taken for a record.
    pub(super) has_likely_header: bool,
    /// Whether the line with the units reads as a record, and the header above it does not.
    pub(super) are_units_likely_record: bool,
    pub(super) layout: Layout,
}

impl Decode for CsvDecoder {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        self.splitter.complete(bytes, at_end)
    }

    fn line_format(&self) -> LineFormat {
        LineFormat::ANY_END
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        match self.layout.is_plain() {
            true => self.decode_by_tiles(chunk, sensors, TILE),
            false => self.decode_by_reference(chunk, sensors),
        }
    }

    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let text = chunk.bytes.as_slice();
        let mut rows = Rows::new(&self.layout, chunk, sensors);
        let (mut at, mut line, mut scratch) = (0, 0, Scratch::default());
        while at < text.len() {
            let (next, lines) = self.one(text, at, line, &mut rows, &mut scratch)?;
            (at, line) = (next, line + lines);
        }
        Ok(rows.finish(line))
    }

    fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    fn other_header(&self, text: &[u8]) -> Option<(usize, String)> {
        if !self.written.may_be_in(text) {
            return None;
        }
        let (mut at, mut fields) = (0, Vec::new());
        loop {
            at = match self.splitter.scan(text, at, true, &mut fields) {
                Scan::Record { end, next, .. } => {
                    let record = &text[at..end];
                    if let Some(Again::Other(why)) = self.header_at(text, at, end)
                        && !self.reads(record)
                    {
                        return Some((at, why));
                    }
                    next
                }
                Scan::Skipped { next } | Scan::Unclosed { next, .. } => next,
                Scan::Incomplete => return None,
            };
        }
    }
}

impl CsvDecoder {
    /// For a file that begins with `head` and says `beginning` there.
    pub(super) fn new(head: &[u8], beginning: Beginning, fitting: Fitting, layout: Layout) -> Self {
        let Beginning { splitter, header, written, skip_bytes, .. } = beginning;
        let mut decoder = Self {
            splitter,
            fitting,
            header: HeaderLines::default(),
            written: WrittenNames::default(),
            beginning: head[..skip_bytes].into(),
            has_likely_header: false,
            are_units_likely_record: false,
            layout,
        };
        let reads: Vec<_> = header.iter().map(|line| decoder.reads(line)).collect();
        decoder.has_likely_header = reads.contains(&true);
        decoder.are_units_likely_record = reads == [false, true];
        (decoder.header, decoder.written) = (header, written);
        decoder
    }

    /// Whether a line is a good record.
    fn reads(&self, line: &[u8]) -> bool {
        let chunk = Chunk {
            sequence: 0,
            file: "".into(),
            offset: Offset { file: 0, at: 0, line: 1 },
            bytes: Bytes::new(line.to_vec()),
            decoder: Arc::new(self.clone()),
            witness: None,
            received: None,
        };
        let decoded = self.decode_by_reference(&chunk, &mut Sensors::default());
        decoded.is_ok_and(|decoded| !decoded.batch.is_empty())
    }

    /// Whether a record, without its line end, is the header again.
    #[inline]
    fn is_header(&self, record: &[u8]) -> bool {
        !self.header.is_empty() && self.header.has(record)
    }

    /// Whether a record, without its line end, may be a header.
    pub(super) fn may_be_header(&self, record: &[u8]) -> bool {
        self.is_header(record) || self.written.may_be_in(record)
    }

    /// Which header the record `at..end` is, if it is none of a sensor.
    #[cold]
    fn header_at(&self, text: &[u8], at: usize, end: usize) -> Option<Again> {
        if !self.written.may_be_in(&text[at..end]) {
            return None;
        }
        let mut fields = Vec::new();
        let Scan::Record { .. } = self.splitter.scan(text, at, true, &mut fields) else { return None };
        self.written.look(&self.splitter.fields(text, &fields), &self.layout.columns)
    }

    /// Why the record `at..end` is refused if it is a header.
    fn header_refused(&self, text: &[u8], at: usize, end: usize) -> Option<Refusal> {
        match self.header_at(text, at, end)? {
            // Where the options have the names, it is the first one.
            Again::Same if self.header.is_empty() => None,
            Again::Same => Some(Refusal::record(again::REASON)),
            Again::Other(why) => Some(Refusal::header(why)),
        }
    }

    /// Quickly where the text is regular; the same as [`Decode::decode_by_reference`] for any size of tiles.
    pub(super) fn decode_by_tiles(
        &self,
        chunk: &Chunk,
        sensors: &mut dyn SensorLookup,
        tile: usize,
    ) -> Result<Decoded> {
        let Splitter::Marks(marks) = &self.splitter else {
            return self.decode_by_reference(chunk, sensors);
        };
        let mut rows = Rows::new(&self.layout, chunk, sensors);
        let lines = Tiles::new(self, marks, chunk.bytes.as_slice(), &mut rows).decode(tile)?;
        Ok(rows.finish(lines))
    }

    /// Takes in the record, or the blank line or comment, that begins at `at`, in line `line`; gives the byte after it, and the
    /// number of its lines.
    pub(super) fn one(
        &self,
        text: &[u8],
        at: usize,
        line: u64,
        rows: &mut Rows<'_>,
        scratch: &mut Scratch,
    ) -> Result<(usize, u64)> {
        let Scratch { fields, unquoted } = scratch;
        Ok(match self.splitter.scan(text, at, true, fields) {
            Scan::Record { end, next, lines } => {
                let taken = self.record(text, at, end, fields, rows, unquoted);
                let header = || self.header_refused(text, at, end);
                rows.end_or(taken, at, line, end - at, |why| header().unwrap_or(why))?;
                (next, lines)
            }
            Scan::Skipped { next } => (next, 1),
            Scan::Unclosed { end, next } => {
                let refusal = Refusal::record("a quote is opened here and never closed");
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
        rows: &mut Rows<'_>,
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
