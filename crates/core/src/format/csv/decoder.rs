//! The state of a decoder bound to its file: how records are split, their fields, and the header lines.

use std::sync::Arc;

use super::again::{self, Again, HeaderLines, WrittenNames};
use super::beginning::CsvBeginning;
use super::ragged::Fitting;
use super::scan::Scan;
use super::split::Splitter;
use crate::batch::Bytes;
use crate::format::Chunk;
use crate::format::file_columns::FileColumns;
use crate::format::refusal::Refusal;
use crate::offset::Offset;
use crate::sensor::Sensors;

/// Decodes the chunks of one file.
#[derive(Clone, Debug)]
pub(super) struct CsvDecoder {
    pub(super) splitter: Splitter,
    pub(super) fitting: Fitting,
    header: HeaderLines,
    written: WrittenNames,
    /// The bytes before the first record.
    pub(super) beginning: Arc<[u8]>,
    /// Whether a repeated header could be taken for a record.
    pub(super) has_likely_header: bool,
    /// Whether the units line decodes as a record while the header above it does not.
    pub(super) are_units_likely_record: bool,
    pub(super) layout: FileColumns,
}

impl CsvDecoder {
    /// A decoder for a file that begins with `head`, parsed as `beginning`.
    pub(super) fn new(head: &[u8], beginning: CsvBeginning, fitting: Fitting, layout: FileColumns) -> Self {
        let CsvBeginning { splitter, header, written, skip_bytes, .. } = beginning;
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

    /// Whether a line decodes as a valid record.
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

    /// Whether a record, without its line end, is the repeated header.
    #[inline]
    pub(super) fn is_header(&self, record: &[u8]) -> bool {
        !self.header.is_empty() && self.header.has(record)
    }

    /// Whether a record, without its line end, may be a header.
    pub(super) fn may_be_header(&self, record: &[u8]) -> bool {
        self.is_header(record) || self.written.may_be_in(record)
    }

    /// Whether the record `at..end` is a header, and which one; `None` if it is a sensor's record.
    #[cold]
    fn header_at(&self, text: &[u8], at: usize, end: usize) -> Option<Again> {
        if !self.written.may_be_in(&text[at..end]) {
            return None;
        }
        let mut fields = Vec::new();
        let Scan::Record { .. } = self.splitter.scan(text, at, true, &mut fields) else { return None };
        self.written.look(&self.splitter.fields(text, &fields), &self.layout.columns)
    }

    /// The rejection of the record `at..end` if it is a header.
    pub(super) fn header_refused(&self, text: &[u8], at: usize, end: usize) -> Option<Refusal> {
        match self.header_at(text, at, end)? {
            // If the options give the names, it is the first header.
            Again::Same if self.header.is_empty() => None,
            Again::Same => Some(Refusal::record(again::REASON)),
            Again::Other(why) => Some(Refusal::header(why)),
        }
    }

    /// The position in `text` of a header other than the file's, and a message about it.
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
