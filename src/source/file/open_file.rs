//! One file, or what else is read from one end to the other: a pipe, standard input.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use memchr::memchr_iter;

use super::blocks::{Arrival, Blocks};
use super::framing::{Layout, set_aside};
use super::paths::InputFile;
use super::{HEAD, MAX_WAIT};
use crate::chunk::Chunk;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Bound, Head};
use crate::offset::{Offset, Sequence};
use crate::source::{Input, OpenOptions};

/// A file that is being read.
pub(super) struct OpenFile {
    name: Arc<str>,
    pub(super) stem: Arc<str>,
    /// What stands before the first record: a header.
    pub(super) head: Vec<u8>,
    bound: Bound,
    pub(super) blocks: Blocks,
    /// Where the next chunk begins; its line, or 0 if that is not known.
    pub(super) offset: Offset,
    /// The line at which the next chunk begins, by line feeds; of live input only.
    line: u64,
}

/// What comes next in a file.
pub(super) enum Next {
    Chunk(Chunk),
    Nothing,
    End,
}

/// Waits until the beginning of an input that keeps its reader waiting is `enough`, or the run is to stop.
pub(super) fn await_head(
    file: &InputFile,
    blocks: &mut Blocks,
    options: &OpenOptions,
    enough: impl Fn(Head<'_>) -> bool,
) -> Result<()> {
    while blocks.is_live() {
        // What has come by then is not lost: it says what it can.
        if options.stop.load(Ordering::Relaxed) && !blocks.there().0.is_empty() {
            break;
        }
        if options.stop.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, "stopped before the input began"));
        }
        let (bytes, has_ended) = blocks.there();
        if has_ended || bytes.len() >= HEAD || enough(head(file, bytes, false)?) {
            break;
        }
        blocks.more()?;
    }
    Ok(())
}

/// What the format may look at.
///
/// # Errors
/// A data error where the first bytes say that the file is not UTF-8.
pub(super) fn head<'a>(file: &'a InputFile, bytes: &'a [u8], is_whole: bool) -> Result<Head<'a>> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Error::data(format!("`{}` is UTF-16, not UTF-8", file.name))
            .with_help("convert it, such as with `iconv -f UTF-16 -t UTF-8`"));
    }
    Ok(Head { name: &file.name, stem: &file.stem, bytes, is_whole })
}

impl OpenFile {
    /// Makes `file`, the input's `at`th, ready to be read from its first record.
    pub(super) fn bind(
        file: &InputFile,
        at: usize,
        mut blocks: Blocks,
        layout: &Layout,
        options: &OpenOptions,
    ) -> Result<Self> {
        await_head(file, &mut blocks, options, |head| layout.format.can_bind(head))?;
        let (bytes, is_whole) = blocks.head()?;
        let bound = layout.format.bind(head(file, bytes, is_whole)?, &layout.schema)?;
        let head = blocks.take(bound.skip_bytes)?.as_slice().to_vec();
        let line = 1 + bound.skip_lines;
        let offset = Offset { file: at as u64, at: bound.skip_bytes as u64, line };
        let (name, stem) = (Arc::clone(&file.name), Arc::clone(&file.stem));
        Ok(Self { name, stem, head, bound, blocks, offset, line })
    }

    /// The next whole records, about `chunk_size` bytes; `None` at the end of the file.
    pub(super) fn chunk(&mut self, chunk_size: usize, sequence: Sequence) -> Result<Next> {
        if self.blocks.is_live() {
            return self.live_chunk(chunk_size, sequence);
        }
        self.blocks.check_unchanged(self.offset.at)?;
        // Whether a record is too long to wait for must not depend on the size of the chunks.
        let mut wanted = chunk_size.clamp(1, MAX_WAIT);
        let length = loop {
            let (bytes, at_end) = self.blocks.peek(wanted)?;
            if bytes.is_empty() {
                // A file that was cut off just now ends here too.
                self.blocks.check_unchanged(self.offset.at)?;
                return Ok(Next::End);
            }
            match self.bound.decoder.complete(bytes, at_end) {
                0 if wanted == MAX_WAIT => return Err(self.endless()),
                0 => wanted = MAX_WAIT.min(wanted * 2),
                length => break length,
            }
        };
        self.cut(length, sequence).map(Next::Chunk)
    }

    /// The whole records that are there; waits for a moment where there are none.
    fn live_chunk(&mut self, chunk_size: usize, sequence: Sequence) -> Result<Next> {
        loop {
            let length = self.complete(chunk_size);
            if length > 0 {
                return self.cut(length, sequence).map(Next::Chunk);
            }
            if self.blocks.there().0.len() >= MAX_WAIT {
                return Err(self.endless());
            }
            match self.blocks.more()? {
                Arrival::Bytes(_) => {}
                Arrival::Nothing => return Ok(Next::Nothing),
                Arrival::End if self.blocks.there().0.is_empty() => return Ok(Next::End),
                Arrival::End => {}
            }
        }
    }

    /// The length of the whole records that have come in already, about `chunk_size`.
    fn complete(&self, chunk_size: usize) -> usize {
        let (bytes, has_ended) = self.blocks.there();
        let most = bytes.len().min(chunk_size.max(1));
        let decoder = &self.bound.decoder;
        match decoder.complete(&bytes[..most], has_ended && most == bytes.len()) {
            0 if most < bytes.len() => decoder.complete(bytes, has_ended),
            length => length,
        }
    }

    /// What has come in already of live input, which is to be left: whole records, then what has come of one more.
    pub(super) fn drain(&mut self, layout: &Layout, sequence: Sequence) -> Result<Option<Input>> {
        if !self.blocks.is_live() || self.blocks.there().0.is_empty() {
            return Ok(None);
        }
        let length = self.complete(layout.chunk_size);
        if length > 0 {
            return self.cut(length, sequence).map(|chunk| Some(Input::Chunk(chunk)));
        }
        let offset = Offset { line: self.line, ..self.offset };
        let rest = self.blocks.take(self.blocks.there().0.len())?;
        let reason = "the run was stopped before the record ended";
        Ok(Some(set_aside(&self.name, offset, rest.as_slice(), reason, layout)))
    }

    fn cut(&mut self, length: usize, sequence: Sequence) -> Result<Chunk> {
        let bytes = self.blocks.take(length)?;
        if self.blocks.is_live() {
            self.line += memchr_iter(b'\n', bytes.as_slice()).count() as u64;
        }
        let offset = self.offset;
        self.offset = Offset { at: offset.at + length as u64, line: 0, ..offset };
        let decoder = Arc::clone(&self.bound.decoder);
        let witness = self.blocks.witness();
        Ok(Chunk { sequence, file: Arc::clone(&self.name), offset, bytes, decoder, witness })
    }

    fn endless(&self) -> Error {
        let message = format!(
            "`{}` has no line end for {} MiB from byte {}",
            self.name,
            MAX_WAIT >> 20,
            self.offset.at
        );
        Error::data(message).with_help("is it the right file, and of the right type?")
    }
}
