//! Bytes that come piece by piece, cut into whole records: of a connection, or of a file that grows.

use std::fs::File;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, Trail};
use crate::batch::{Batch, Bytes, Schema};
use crate::error::{Error, Rejection, RejectionKind, Result};
use crate::format::{BoundFormat, Chunk, Decoded, Format, Head, LineFormat, SHOWN, TOO_LONG};
use crate::offset::{Offset, Position, Sequence};
use crate::source::Input;

/// Bytes of unfinished records that are kept, over all connections, or all files that are followed.
pub(super) const MAX_WAITING: usize = 16 << 20;

/// Why what has come of a record is set aside when nothing more is read.
pub(super) const STOPPED: &str = "the run was stopped before the record ended";

/// Why what stands behind a record that was taken as it was is set aside.
const APPENDED: &str = "it was appended to a record that had been read without its line end";

/// What all streams of one input have in common.
#[derive(Clone)]
pub(super) struct Layout {
    pub(super) format: Arc<dyn Format>,
    pub(super) schema: Arc<Schema>,
    pub(super) chunk_size: usize,
}

/// One stream of bytes.
pub(super) struct Framing {
    name: Arc<str>,
    stem: Arc<str>,
    buffer: Vec<u8>,
    /// Known once the beginning has come.
    bound: Option<BoundFormat>,
    /// How its lines are written, as the decoder says.
    lines: LineFormat,
    /// Where the buffer begins, which is never within a character.
    offset: Offset,
    rest: Rest,
    /// What stood before the first record.
    head: Vec<u8>,
    /// The last bytes that were given out, of a file.
    trail: Option<Trail>,
    /// Whether more may come that says better what the columns are.
    expects_more: bool,
}

/// What stood before the records of a stream that goes on.
pub(super) struct Begun<'a> {
    pub(super) head: &'a [u8],
    /// What a decoder is bound by, where it is not that.
    pub(super) shown: Option<&'a [u8]>,
}

/// What has come of a record that has not ended, and may never end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Half {
    name: String,
    pub(super) offset: Offset,
    /// The first of it, as it is shown.
    text: Vec<u8>,
    /// Of the same bytes as they lie there.
    first: Fingerprint,
    /// Whether it belongs to a record that was taken as it was.
    is_appended: bool,
}

impl Half {
    /// Whether it is where it was.
    pub(super) fn is_in(&self, file: &File) -> io::Result<bool> {
        self.first.stands_at(file, self.offset.at)
    }

    /// Sets it aside, for the `reason` for which nothing will be added to it.
    pub(super) fn set_aside(&self, reason: &str, layout: &Layout) -> Input {
        let reason = if self.is_appended { APPENDED } else { reason };
        set_aside(&self.name.as_str().into(), self.offset, &self.text, LineFormat::LINE_FEEDS, reason, layout)
    }
}

/// Whether a text is nothing but line ends.
fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// Whether what comes next belongs to a record that is done with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Rest {
    /// It is a record of its own.
    #[default]
    No,
    /// It is the rest of a record that was set aside.
    OfRefused,
    /// It is behind what was taken for the last record, which had no line end.
    OfTaken,
    /// It is behind what was taken for the last record, which ended with a carriage return: a line feed belongs to it.
    OfReturn,
}

impl Framing {
    /// A stream at its beginning.
    pub(super) fn new(name: Arc<str>, stem: Arc<str>, file: u64) -> Self {
        Self {
            name,
            stem,
            buffer: Vec::new(),
            bound: None,
            lines: LineFormat::LINE_FEEDS,
            offset: Offset { file, at: 0, line: 1 },
            rest: Rest::No,
            head: Vec::new(),
            trail: None,
            expects_more: true,
        }
    }

    /// A file at its beginning, which is to be known again.
    pub(super) fn of_file(name: Arc<str>, stem: Arc<str>) -> Self {
        Self { trail: Some(Trail::default()), ..Self::new(name, stem, 0) }
    }

    /// Goes on at `offset`, with what stands before it, and `rest` behind it. Where the records have begun, `begun` has what stood before them.
    pub(super) fn go_on(
        &mut self,
        offset: Offset,
        rest: Rest,
        trail: Trail,
        begun: Option<(Begun<'_>, &Layout)>,
    ) -> Result<()> {
        if let Some((Begun { head, shown }, layout)) = begun {
            self.set_bound(self.bind(shown.unwrap_or(head), true, layout)?);
            self.head = head.to_vec();
        }
        (self.offset, self.rest, self.trail) = (offset, rest, Some(trail));
        Ok(())
    }

    /// Of the bytes before [`Framing::offset`].
    pub(super) fn before(&self) -> Fingerprint {
        self.trail.as_ref().map(Trail::fingerprint).unwrap_or_default()
    }

    /// Of the last bytes that came in.
    pub(super) fn last_read(&self) -> Fingerprint {
        self.trail.as_ref().map(|trail| trail.with(&self.buffer)).unwrap_or_default()
    }

    /// What the bytes that come next belong to.
    pub(super) fn rest(&self) -> Rest {
        self.rest
    }

    /// How many bytes wait for the end of their record.
    pub(super) fn waiting(&self) -> usize {
        // What may be a part of the line end of a record that is done with is no record.
        if self.rest == Rest::OfRefused { 0 } else { self.buffer.len() }
    }

    /// Whether the beginning has come, so that it is known what follows.
    pub(super) fn has_begun(&self) -> bool {
        self.bound.is_some()
    }

    /// How its lines are written, where it begins with `bytes` or has begun.
    pub(super) fn line_format(&self, bytes: &[u8], layout: &Layout) -> LineFormat {
        let head = Head { name: &self.name, stem: &self.stem, bytes, is_whole: true };
        if self.has_begun() { self.lines } else { layout.format.line_format(head) }
    }

    /// Where the first byte that has not been given out is.
    pub(super) fn offset(&self) -> Offset {
        self.offset
    }

    /// What it takes to bind a decoder again, where that is not what stood before the first record.
    pub(super) fn beginning(&self) -> Option<&[u8]> {
        let beginning = self.bound.as_ref()?.decoder.beginning();
        (beginning != self.head).then_some(beginning)
    }

    /// Its stem, and what stood before its first record.
    pub(super) fn stream(&self) -> (&str, &[u8]) {
        (&self.stem, &self.head)
    }

    /// Forgets what waits for the end of its record: it will come again.
    pub(super) fn forget(&mut self) {
        self.buffer = Vec::new();
    }

    /// Takes bytes in.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        match self.rest {
            Rest::OfRefused => self.pass_refused(),
            Rest::OfReturn => self.pass_line_feed(),
            Rest::No | Rest::OfTaken => {}
        }
    }

    /// Leaves out what belongs to a record that was set aside, as far as it has come.
    fn pass_refused(&mut self) {
        let line = self.lines.first_line(&self.buffer, false);
        self.rest = if line.is_some() { Rest::No } else { Rest::OfRefused };
        let gone = self.cut(line.unwrap_or_else(|| self.lines.settled(&self.buffer)));
        self.pass(&gone);
    }

    /// Leaves out a line feed that belongs to the carriage return before it, which counts as the line end.
    fn pass_line_feed(&mut self) {
        if self.buffer.len() < self.lines.unit() {
            return;
        }
        self.rest = Rest::No;
        if self.buffer.starts_with(self.lines.line_feed()) {
            let gone = self.cut(self.lines.unit());
            self.pass(&gone);
            self.offset.line -= 1;
        }
    }

    /// The whole records that are there. With `at_end`, nothing follows, and what is left is a record.
    ///
    /// # Errors
    /// A data error where a header that is not the input's stands next: nothing behind it can be understood.
    pub(super) fn take(
        &mut self,
        layout: &Layout,
        at_end: bool,
        sequence: Sequence,
    ) -> Result<Option<Input>> {
        if self.bound.is_none() && !self.begin(layout, at_end)? {
            return Ok(None);
        }
        if self.rest == Rest::OfTaken {
            let aside = self.refuse_rest(layout, at_end);
            if aside.is_some() || self.rest == Rest::OfTaken {
                return Ok(aside);
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
            return Ok(is_too_long.then(|| self.refuse(TOO_LONG, layout)));
        }
        match decoder.other_header(&self.buffer[..length]) {
            Some((0, why)) => return Err(Error::data(format!("line {}: {why}", self.offset.line))),
            Some((at, _)) => length = at,
            None => {}
        }
        let bytes = self.cut(length);
        let is_open = at_end && self.buffer.is_empty() && decoder.complete(&bytes, false) < length;
        self.rest = match is_open {
            true if self.lines.ends_with_return(&bytes) => Rest::OfReturn,
            true => Rest::OfTaken,
            false => Rest::No,
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

    /// Whether the last record of what waits has not ended, as far as that is known.
    pub(super) fn is_open(&self) -> bool {
        let complete = |bound: &BoundFormat| bound.decoder.complete(&self.buffer, false);
        self.bound.as_ref().is_none_or(|bound| complete(bound) < self.buffer.len())
    }

    /// Sets what waits aside, with the rest of its record.
    pub(super) fn refuse(&mut self, reason: &str, layout: &Layout) -> Input {
        let bytes = self.cut(self.lines.settled(&self.buffer));
        self.rest = if self.lines.ends_line(&bytes) { Rest::No } else { Rest::OfRefused };
        self.set_aside(&bytes, reason, layout)
    }

    /// Sets what waits aside, to which nothing will be added.
    pub(super) fn refuse_last(&mut self, reason: &str, layout: &Layout) -> Input {
        let bytes = self.cut(self.buffer.len());
        self.rest = Rest::No;
        self.set_aside(&bytes, reason, layout)
    }

    /// What waits for the end of its record.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// What has come of a record that has not ended, of which `bytes` are the first; nothing where they belong to one that is done with.
    pub(super) fn half(&self, bytes: &[u8]) -> Option<Half> {
        let bytes = &bytes[..bytes.len().min(SHOWN)];
        let text = self.lines.text(bytes);
        let is_part = match self.rest {
            Rest::No => !bytes.is_empty(),
            Rest::OfTaken => !is_blank(&text),
            Rest::OfRefused | Rest::OfReturn => false,
        };
        is_part.then(|| Half {
            name: self.name.to_string(),
            offset: self.offset,
            text,
            first: Fingerprint::of_first(bytes),
            is_appended: self.rest == Rest::OfTaken,
        })
    }

    /// Sets aside what has come of a record, when nothing more is read.
    pub(super) fn leave(&mut self, layout: &Layout) -> Option<Input> {
        match self.rest {
            Rest::OfTaken => self.refuse_rest(layout, true),
            _ if self.waiting() > 0 => Some(self.refuse_last(STOPPED, layout)),
            _ => None,
        }
    }

    /// Sets aside what was appended to a record that was taken as it was, once it is there; nothing where it is no more than its line end.
    fn refuse_rest(&mut self, layout: &Layout, at_end: bool) -> Option<Input> {
        let line = self.lines.first_line(&self.buffer, at_end);
        let length =
            line.unwrap_or(if at_end { self.buffer.len() } else { self.lines.settled(&self.buffer) });
        // A carriage return may be followed by its line feed, or by what makes it a part of a record.
        let is_blank = is_blank(&self.lines.text(&self.buffer[..length]));
        if length == 0 || is_blank && line.is_none() && !at_end {
            return None;
        }
        self.rest = if line.is_some() { Rest::No } else { Rest::OfRefused };
        let bytes = self.cut(length);
        if is_blank {
            self.pass(&bytes);
            return None;
        }
        Some(self.set_aside(&bytes, APPENDED, layout))
    }

    /// Sets aside what has been cut off.
    fn set_aside(&mut self, bytes: &[u8], reason: &str, layout: &Layout) -> Input {
        let aside = set_aside(&self.name, self.offset, bytes, self.lines, reason, layout);
        self.pass(bytes);
        aside
    }

    /// Takes the first `length` bytes that wait.
    fn cut(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Does not wait for more that could say better what the columns are: what has come is all there will be, up to the half of a line.
    pub(super) fn expect_no_more(&mut self) {
        self.expects_more = false;
    }

    /// Leaves out what comes before the first record, once it is there; whether it was.
    fn begin(&mut self, layout: &Layout, at_end: bool) -> Result<bool> {
        let head = Head { name: &self.name, stem: &self.stem, bytes: &self.buffer, is_whole: at_end };
        let is_all = at_end || !self.expects_more && self.has_line(layout);
        let is_enough = is_all || self.buffer.len() >= super::HEAD || layout.format.can_bind(head);
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

    fn has_line(&self, layout: &Layout) -> bool {
        self.line_format(&self.buffer, layout).first_line(&self.buffer, false).is_some()
    }

    fn set_bound(&mut self, bound: BoundFormat) {
        self.lines = bound.decoder.line_format();
        self.bound = Some(bound);
    }

    fn bind(&self, head: &[u8], is_whole: bool, layout: &Layout) -> Result<BoundFormat> {
        let head = Head { name: &self.name, stem: &self.stem, bytes: head, is_whole };
        layout.format.bind(head, &layout.schema)
    }

    /// Counts bytes that are gone.
    fn pass(&mut self, bytes: &[u8]) {
        self.offset.at += bytes.len() as u64;
        self.offset.line += self.lines.line_ends(bytes);
        if let Some(trail) = &mut self.trail {
            trail.push(bytes);
        }
    }
}

/// What is no record, and where it begins.
pub(super) fn set_aside(
    name: &Arc<str>,
    offset: Offset,
    bytes: &[u8],
    lines: LineFormat,
    reason: &str,
    layout: &Layout,
) -> Input {
    let rejection = Rejection {
        kind: RejectionKind::Malformed,
        position: Position { file: Arc::clone(name), line: offset.line, offset: offset.at },
        record: 1,
        decided: None,
        column: None,
        reason: reason.to_owned(),
        raw: lines.text(&bytes[..bytes.len().min(SHOWN)]),
    };
    let batch = Batch::empty(Arc::clone(&layout.schema));
    Input::Records(Decoded { batch, rejections: vec![rejection], lines: 0 })
}
