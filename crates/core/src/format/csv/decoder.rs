//! What a decoder knows of its file: how records are split, what their fields are, and which lines are headers.

use std::sync::Arc;

use super::again::{self, Again, HeaderLines, WrittenNames};
use super::beginning::Beginning;
use super::ragged::Fitting;
use super::scan::Scan;
use super::split::Splitter;
use crate::batch::Bytes;
use crate::format::Chunk;
use crate::format::rows::{FileColumns, Refusal};
use crate::offset::Offset;
use crate::sensor::Sensors;

/// Reads the chunks of one file.
#[derive(Clone, Debug)]
pub(super) struct CsvDecoder {
    pub(super) splitter: Splitter,
    pub(super) fitting: Fitting,
    header: HeaderLines,
    written: WrittenNames,
    /// The file's bytes before its first record.
    pub(super) beginning: Arc<[u8]>,
    /// Whether a header that stands again could be taken for a record.
    pub(super) has_likely_header: bool,
    /// Whether the line with the units reads as a record, and the header above it does not.
    pub(super) are_units_likely_record: bool,
    pub(super) layout: FileColumns,
}

impl CsvDecoder {
    /// For a file that begins with `head` and says `beginning` there.
    pub(super) fn new(head: &[u8], beginning: Beginning, fitting: Fitting, layout: FileColumns) -> Self {
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
        let decoded = self.by_reference(&chunk, &mut Sensors::default());
        decoded.is_ok_and(|decoded| !decoded.batch.is_empty())
    }

    /// Whether a record, without its line end, is the header again.
    #[inline]
    pub(super) fn is_header(&self, record: &[u8]) -> bool {
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
    pub(super) fn header_refused(&self, text: &[u8], at: usize, end: usize) -> Option<Refusal> {
        match self.header_at(text, at, end)? {
            // Where the options have the names, it is the first one.
            Again::Same if self.header.is_empty() => None,
            Again::Same => Some(Refusal::record(again::REASON)),
            Again::Other(why) => Some(Refusal::header(why)),
        }
    }

    /// Where in `text` a header other than the file's stands, and what it is.
    pub(super) fn find_other_header(&self, text: &[u8]) -> Option<(usize, String)> {
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
