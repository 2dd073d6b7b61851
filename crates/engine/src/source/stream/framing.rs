//! Framing: cuts a stream of bytes, from a connection or a growing file, into complete records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, Trail};
use super::partial::PartialRecord;
use super::rejected::{APPENDED, STOPPED, reject};
use super::{HEAD, StreamLayout};
use crate::batch::Bytes;
use crate::error::{Error, Result};
use crate::format::{BoundFormat, Chunk, Head, LineFormat, SHOWN, TOO_LONG};
use crate::offset::{Offset, Sequence};
use crate::source::Input;

/// Maximum bytes of incomplete records in memory, over all connections or all followed files.
pub(in crate::source) const MAX_WAITING: usize = 16 << 20;

/// One stream of bytes.
pub(in crate::source) struct Framing {
    name: Arc<str>,
    stem: Arc<str>,
    buffer: Vec<u8>,
    /// Known once the beginning is complete.
    bound: Option<BoundFormat>,
    /// The encoding and line ends, from the decoder.
    lines: LineFormat,
    /// The offset of the buffer; never within a character.
    offset: Offset,
    rest: PendingRest,
    /// The bytes before the first record.
    head: Vec<u8>,
    /// The last bytes returned, for files.
    trail: Option<Trail>,
    /// Whether more input may determine the columns better.
    expects_more: bool,
}

/// The bytes before the records of a resumed stream.
pub(in crate::source) struct Begun<'a> {
    pub(in crate::source) head: &'a [u8],
    /// What the decoder is bound by, if that is something else.
    pub(in crate::source) shown: Option<&'a [u8]>,
}

/// Whether a text consists of line ends only.
fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// Whether the next bytes belong to a finished record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) enum PendingRest {
    /// A new record begins.
    #[default]
    No,
    /// The rest of a rejected record.
    OfRefused,
    /// Follows a last record that was accepted without a line end.
    OfTaken,
    /// Follows a last record that ended with a carriage return: a line feed belongs to it.
    OfReturn,
}

impl Framing {
    /// A stream at its beginning.
    pub(in crate::source) fn new(name: Arc<str>, stem: Arc<str>, file: u64) -> Self {
        Self {
            name,
            stem,
            buffer: Vec::new(),
            bound: None,
            lines: LineFormat::LINE_FEEDS,
            offset: Offset { file, at: 0, line: 1 },
            rest: PendingRest::No,
            head: Vec::new(),
            trail: None,
            expects_more: true,
        }
    }

    /// A file at its beginning, with a fingerprint.
    pub(in crate::source) fn of_file(name: Arc<str>, stem: Arc<str>) -> Self {
        Self { trail: Some(Trail::default()), ..Self::new(name, stem, 0) }
    }

    /// Resumes at `offset`, with the bytes before it, and `rest` after it. If the records have begun, `begun` has the bytes before them.
    pub(in crate::source) fn resume(
        &mut self,
        offset: Offset,
        rest: PendingRest,
        trail: Trail,
        begun: Option<(Begun<'_>, &StreamLayout)>,
    ) -> Result<()> {
        if let Some((Begun { head, shown }, layout)) = begun {
            self.set_bound(self.bind(shown.unwrap_or(head), true, layout)?);
            self.head = head.to_vec();
        }
        (self.offset, self.rest, self.trail) = (offset, rest, Some(trail));
        Ok(())
    }

    /// The fingerprint of the bytes before [`Framing::offset`].
    pub(in crate::source) fn before(&self) -> Fingerprint {
        self.trail.as_ref().map(Trail::fingerprint).unwrap_or_default()
    }

    /// The fingerprint of the last bytes received.
    pub(in crate::source) fn last_read(&self) -> Fingerprint {
        self.trail.as_ref().map(|trail| trail.with(&self.buffer)).unwrap_or_default()
    }

    /// What the next bytes belong to.
    pub(in crate::source) fn rest(&self) -> PendingRest {
        self.rest
    }

    /// Bytes of the incomplete record.
    pub(in crate::source) fn waiting(&self) -> usize {
        // What may be part of the line end of a finished record is not a record.
        if self.rest == PendingRest::OfRefused { 0 } else { self.buffer.len() }
    }

    /// Whether the beginning is complete, so that the columns are known.
    pub(in crate::source) fn has_begun(&self) -> bool {
        self.bound.is_some()
    }

    /// The encoding and line ends, for a stream that begins with `bytes` or has begun.
    pub(in crate::source) fn line_format(&self, bytes: &[u8], layout: &StreamLayout) -> LineFormat {
        let head = Head { name: &self.name, stem: &self.stem, bytes, is_whole: true };
        if self.has_begun() { self.lines } else { layout.format.line_format(head) }
    }

    /// The offset of the first byte not returned yet.
    pub(in crate::source) fn offset(&self) -> Offset {
        self.offset
    }

    /// The bytes to bind a decoder again, if they are not those before the first record.
    pub(in crate::source) fn beginning(&self) -> Option<&[u8]> {
        let beginning = self.bound.as_ref()?.decoder.beginning();
        (beginning != self.head).then_some(beginning)
    }

    /// Its stem, and the bytes before its first record.
    pub(in crate::source) fn stream(&self) -> (&str, &[u8]) {
        (&self.stem, &self.head)
    }

    /// Drops the incomplete record from memory: it will be read again.
    pub(in crate::source) fn forget(&mut self) {
        self.buffer = Vec::new();
    }

    /// Appends bytes.
    pub(in crate::source) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        match self.rest {
            PendingRest::OfRefused => self.skip_rejected(),
            PendingRest::OfReturn => self.skip_line_feed(),
            PendingRest::No | PendingRest::OfTaken => {}
        }
    }

    /// Skips the rest of a rejected record, as far as it has arrived.
    fn skip_rejected(&mut self) {
        let line = self.lines.first_line(&self.buffer, false);
        self.rest = if line.is_some() { PendingRest::No } else { PendingRest::OfRefused };
        let gone = self.cut(line.unwrap_or_else(|| self.lines.settled(&self.buffer)));
        self.pass(&gone);
    }

    /// Skips a line feed that belongs to the preceding carriage return, which already counted as the line end.
    fn skip_line_feed(&mut self) {
        if self.buffer.len() < self.lines.unit() {
            return;
        }
        self.rest = PendingRest::No;
        if self.buffer.starts_with(self.lines.line_feed()) {
            let gone = self.cut(self.lines.unit());
            self.pass(&gone);
            self.offset.line -= 1;
        }
    }

    /// The complete records. With `at_end`, nothing follows, and the remaining bytes are a record.
    ///
    /// # Errors
    /// A data error at a header that is not that of the input: what follows cannot be decoded.
    pub(in crate::source) fn take(
        &mut self,
        layout: &StreamLayout,
        at_end: bool,
        sequence: Sequence,
    ) -> Result<Option<Input>> {
        if self.bound.is_none() && !self.begin(layout, at_end)? {
            return Ok(None);
        }
        if self.rest == PendingRest::OfTaken {
            let rejected = self.reject_rest(layout, at_end);
            if rejected.is_some() || self.rest == PendingRest::OfTaken {
                return Ok(rejected);
            }
        }
        let Some(bound) = &self.bound else { return Ok(None) };
        let decoder = Arc::clone(&bound.decoder);
        let most = self.buffer.len().min(layout.chunk_size.max(1));
        let mut length = decoder.complete(&self.buffer[..most], at_end && most == self.buffer.len());
        if length == 0 && most < self.buffer.len() {
            length = decoder.complete(&self.buffer, at_end);
        }
        if length == 0 {
            let is_too_long = self.waiting() > self.lines.longest_record();
            return Ok(is_too_long.then(|| self.reject(TOO_LONG, layout)));
        }
        match decoder.other_header(&self.buffer[..length]) {
            Some((0, why)) => return Err(Error::data(format!("line {}: {why}", self.offset.line))),
            Some((at, _)) => length = at,
            None => {}
        }
        let bytes = self.cut(length);
        let is_open = at_end && self.buffer.is_empty() && decoder.complete(&bytes, false) < length;
        self.rest = match is_open {
            true if self.lines.ends_with_return(&bytes) => PendingRest::OfReturn,
            true => PendingRest::OfTaken,
            false => PendingRest::No,
        };
        let offset = self.offset;
        self.pass(&bytes);
        let (file, bytes) = (Arc::clone(&self.name), Bytes::new(bytes));
        Ok(Some(Input::Chunk(Chunk {
            sequence,
            file,
            offset,
            bytes,
            decoder,
            witness: None,
            received: None,
        })))
    }

    /// Whether the last record in the buffer is incomplete, as far as that is known.
    pub(in crate::source) fn is_open(&self) -> bool {
        let complete = |bound: &BoundFormat| bound.decoder.complete(&self.buffer, false);
        self.bound.as_ref().is_none_or(|bound| complete(bound) < self.buffer.len())
    }

    /// Rejects the buffered bytes and the rest of their record.
    pub(in crate::source) fn reject(&mut self, reason: &str, layout: &StreamLayout) -> Input {
        let bytes = self.cut(self.lines.settled(&self.buffer));
        self.rest = if self.lines.ends_line(&bytes) { PendingRest::No } else { PendingRest::OfRefused };
        self.reject_cut(&bytes, reason, layout)
    }

    /// Rejects the buffered bytes, to which nothing will be added.
    pub(in crate::source) fn reject_last(&mut self, reason: &str, layout: &StreamLayout) -> Input {
        let bytes = self.cut(self.buffer.len());
        self.rest = PendingRest::No;
        self.reject_cut(&bytes, reason, layout)
    }

    /// The bytes of the incomplete record.
    pub(in crate::source) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// The incomplete record that begins with `bytes`; `None` if they belong to a finished record.
    pub(in crate::source) fn half(&self, bytes: &[u8]) -> Option<PartialRecord> {
        let bytes = &bytes[..bytes.len().min(SHOWN)];
        let text = self.lines.text(bytes);
        let is_part = match self.rest {
            PendingRest::No => !bytes.is_empty(),
            PendingRest::OfTaken => !is_blank(&text),
            PendingRest::OfRefused | PendingRest::OfReturn => false,
        };
        is_part.then(|| PartialRecord {
            name: self.name.to_string(),
            offset: self.offset,
            text,
            first: Fingerprint::of_first(bytes),
            is_appended: self.rest == PendingRest::OfTaken,
        })
    }

    /// Rejects the incomplete record when reading ends.
    pub(in crate::source) fn leave(&mut self, layout: &StreamLayout) -> Option<Input> {
        match self.rest {
            PendingRest::OfTaken => self.reject_rest(layout, true),
            _ if self.waiting() > 0 => Some(self.reject_last(STOPPED, layout)),
            _ => None,
        }
    }

    /// Rejects what was appended to a record that was accepted without its line end, once it is complete; nothing if it is only the line
    /// end.
    fn reject_rest(&mut self, layout: &StreamLayout, at_end: bool) -> Option<Input> {
        let line = self.lines.first_line(&self.buffer, at_end);
        let length =
            line.unwrap_or(if at_end { self.buffer.len() } else { self.lines.settled(&self.buffer) });
        // A carriage return may be followed by its line feed, or by bytes that make it part of a record.
        let is_blank = is_blank(&self.lines.text(&self.buffer[..length]));
        if length == 0 || is_blank && line.is_none() && !at_end {
            return None;
        }
        self.rest = if line.is_some() { PendingRest::No } else { PendingRest::OfRefused };
        let bytes = self.cut(length);
        if is_blank {
            self.pass(&bytes);
            return None;
        }
        Some(self.reject_cut(&bytes, APPENDED, layout))
    }

    /// Rejects bytes that were cut off the buffer.
    fn reject_cut(&mut self, bytes: &[u8], reason: &str, layout: &StreamLayout) -> Input {
        let rejected = reject(&self.name, self.offset, bytes, self.lines, reason, layout);
        self.pass(bytes);
        rejected
    }

    /// Cuts off the first `length` bytes of the buffer.
    fn cut(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Does not wait for more input to determine the columns: there will be none, except the rest of a line.
    pub(in crate::source) fn expect_no_more(&mut self) {
        self.expects_more = false;
    }

    /// Skips what precedes the first record, once it is complete; returns whether it was.
    fn begin(&mut self, layout: &StreamLayout, at_end: bool) -> Result<bool> {
        let head = Head { name: &self.name, stem: &self.stem, bytes: &self.buffer, is_whole: at_end };
        let is_all = at_end || !self.expects_more && self.has_line(layout);
        let is_enough = is_all || self.buffer.len() >= HEAD || layout.format.can_bind(head);
        if !is_enough || self.buffer.is_empty() {
            return Ok(false);
        }
        let bound = self.bind(&self.buffer, is_all, layout)?;
        let skipped = self.cut(bound.skip_bytes.min(self.buffer.len()));
        self.pass(&skipped);
        self.head = skipped;
        self.offset.line = 1 + bound.skip_lines;
        self.set_bound(bound);
        Ok(true)
    }

    fn has_line(&self, layout: &StreamLayout) -> bool {
        self.line_format(&self.buffer, layout).first_line(&self.buffer, false).is_some()
    }

    fn set_bound(&mut self, bound: BoundFormat) {
        self.lines = bound.decoder.line_format();
        self.bound = Some(bound);
    }

    fn bind(&self, head: &[u8], is_whole: bool, layout: &StreamLayout) -> Result<BoundFormat> {
        let head = Head { name: &self.name, stem: &self.stem, bytes: head, is_whole };
        layout.format.bind(head, &layout.schema)
    }

    /// Advances the offset past bytes.
    fn pass(&mut self, bytes: &[u8]) {
        self.offset.at += bytes.len() as u64;
        self.offset.line += self.lines.line_ends(bytes);
        if let Some(trail) = &mut self.trail {
            trail.push(bytes);
        }
    }
}
