//! One file or other input that is read from start to end: a pipe, standard input.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::MAX_WAIT;
use super::blocks::Blocks;
use super::input_file::InputFile;
use crate::error::{Error, ErrorKind, Result};
use crate::format::columns::SAMPLE;
use crate::format::{BoundFormat, Chunk, Format, Head, LineFormat};
use crate::notes::Event;
use crate::offset::{Offset, Sequence};
use crate::source::stream::rejected::{STOPPED, reject};
use crate::source::stream::wait::Arrival;
use crate::source::stream::{HEAD, StreamLayout};
use crate::source::{Input, OpenOptions};

/// A file being read.
pub(super) struct OpenFile {
    name: Arc<str>,
    pub(super) stem: Arc<str>,
    layout: StreamLayout,
    /// Known once the beginning is complete; of a live input, nothing may have arrived yet.
    bound: Option<BoundFormat>,
    pub(super) blocks: Blocks,
    /// The offset and line of the next chunk; line 0 if it is not known.
    pub(super) offset: Offset,
    /// The line of the next chunk, counted by line feeds; for live input only.
    line: u64,
}

/// What comes next in a file.
pub(super) enum NextChunk {
    Chunk(Chunk),
    Nothing,
    End,
}

/// How long to wait before a note says what the run is waiting for.
const SILENCE: Duration = Duration::from_secs(1);

/// Waits until the beginning of a live input determines the columns, or the run is to stop.
pub(super) fn await_head(
    file: &InputFile,
    blocks: &mut Blocks,
    options: &OpenOptions,
    format: &dyn Format,
) -> Result<()> {
    let (start, mut said) = (Instant::now(), String::new());
    while blocks.is_live() {
        let (bytes, has_ended) = blocks.there();
        let head = head(file, bytes, false);
        if has_ended || bytes.len() >= HEAD || format.knows_columns(head, SAMPLE) {
            break;
        }
        if options.stop.load(Ordering::Relaxed) {
            // What arrived before the stop is used, if it determines the columns.
            return if format.knows_columns(head, 0) { Ok(()) } else { Err(stopped()) };
        }
        if options.waits && start.elapsed() >= SILENCE {
            let waits = waits_for(head, format);
            if said != waits {
                Event::info("waiting_for_input").say(&options.masks, &waits);
            }
            said = waits;
        }
        blocks.more()?;
    }
    Ok(())
}

/// The note shown while waiting.
fn waits_for(head: Head<'_>, format: &dyn Format) -> String {
    let name = head.name;
    if !format.records_name_fields() && !format.knows_columns(head, 0) {
        return format!("waiting until `{name}` has its first lines, which determine the columns");
    }
    let enough = format!("{SAMPLE} records or {} MiB have arrived, or its end", HEAD >> 20);
    let options = format.naming_options();
    match format.columns().sought_fields() {
        Some(_) => format!("waiting until `{name}` has had all fields that the options name, or {enough}"),
        None => format!(
            "waiting until of `{name}` {enough}: they determine the columns; with {options} and no globs in them, the run begins as soon as the named fields have arrived"
        ),
    }
}

/// The error if the run is to stop before the columns are known.
pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Interrupted, "stopped before the input began")
}

/// The beginning, for the format to inspect.
pub(super) fn head<'a>(file: &'a InputFile, bytes: &'a [u8], is_whole: bool) -> Head<'a> {
    Head { name: &file.name, stem: &file.stem, bytes, is_whole }
}

impl OpenFile {
    /// Prepares `file`, the input's `at`th, to be read from its first record.
    pub(super) fn bind(file: &InputFile, at: usize, blocks: Blocks, layout: &StreamLayout) -> Result<Self> {
        let mut open = Self {
            name: Arc::clone(&file.name),
            stem: Arc::clone(&file.stem),
            layout: layout.clone(),
            bound: None,
            blocks,
            offset: Offset { file: at as u64, at: 0, line: 1 },
            line: 1,
        };
        open.begin()?;
        Ok(open)
    }

    /// Skips what precedes the first record, once it is complete.
    fn begin(&mut self) -> Result<()> {
        let is_live = self.blocks.is_live();
        let (bytes, is_whole) = self.blocks.head()?;
        let head = Head { name: &self.name, stem: &self.stem, bytes, is_whole };
        let format = &self.layout.format;
        if is_live && !is_whole && bytes.len() < HEAD && (bytes.is_empty() || !format.can_bind(head)) {
            return Ok(());
        }
        let bound = format.bind(head, &self.layout.schema)?;
        self.blocks.take(bound.skip_bytes)?;
        self.line = 1 + bound.skip_lines;
        self.offset = Offset { at: bound.skip_bytes as u64, line: self.line, ..self.offset };
        self.bound = Some(bound);
        Ok(())
    }

    /// The next complete records, about `chunk_size` bytes; `None` at the end of the file.
    pub(super) fn chunk(&mut self, chunk_size: usize, sequence: Sequence) -> Result<NextChunk> {
        if self.blocks.is_live() {
            return self.live_chunk(chunk_size, sequence);
        }
        self.blocks.check_unchanged(self.offset.at)?;
        // Whether a record is too long must not depend on the chunk size.
        let mut wanted = chunk_size.clamp(1, MAX_WAIT);
        let length = loop {
            let (bytes, at_end) = self.blocks.peek(wanted)?;
            if bytes.is_empty() {
                // A file that was just truncated ends here too.
                self.blocks.check_unchanged(self.offset.at)?;
                return Ok(NextChunk::End);
            }
            let Some(bound) = &self.bound else { return Ok(NextChunk::End) };
            match bound.decoder.complete(bytes, at_end) {
                0 if wanted == MAX_WAIT => return Err(self.endless()),
                0 => wanted = MAX_WAIT.min(wanted * 2),
                length => break length,
            }
        };
        Ok(self.cut(length, sequence)?.map_or(NextChunk::End, NextChunk::Chunk))
    }

    /// The complete records that have arrived; waits briefly if there are none.
    fn live_chunk(&mut self, chunk_size: usize, sequence: Sequence) -> Result<NextChunk> {
        loop {
            if self.bound.is_none() {
                self.begin()?;
            }
            let length = self.complete(chunk_size);
            if let Some(chunk) = self.cut(length, sequence)? {
                return Ok(NextChunk::Chunk(chunk));
            }
            if self.blocks.there().0.len() >= MAX_WAIT {
                return Err(self.endless());
            }
            match self.blocks.more()? {
                Arrival::Bytes(_) => {}
                Arrival::Nothing => return Ok(NextChunk::Nothing),
                Arrival::End if self.bound.is_some() && self.blocks.there().0.is_empty() => {
                    return Ok(NextChunk::End);
                }
                Arrival::End => {}
            }
        }
    }

    /// The length of the complete records that have arrived, about `chunk_size`.
    fn complete(&self, chunk_size: usize) -> usize {
        let Some(BoundFormat { decoder, .. }) = &self.bound else { return 0 };
        let (bytes, has_ended) = self.blocks.there();
        let most = bytes.len().min(chunk_size.max(1));
        match decoder.complete(&bytes[..most], has_ended && most == bytes.len()) {
            0 if most < bytes.len() => decoder.complete(bytes, has_ended),
            length => length,
        }
    }

    /// Returns what has arrived of a live input when the run stops: complete records, then the incomplete one.
    pub(super) fn drain(&mut self, layout: &StreamLayout, sequence: Sequence) -> Result<Option<Input>> {
        if !self.blocks.is_live() || self.blocks.there().0.is_empty() {
            return Ok(None);
        }
        let length = self.complete(layout.chunk_size);
        if let Some(chunk) = self.cut(length, sequence)? {
            return Ok(Some(Input::Chunk(chunk)));
        }
        let offset = Offset { line: self.line, ..self.offset };
        let rest = self.blocks.take(self.blocks.there().0.len())?;
        Ok(Some(reject(&self.name, offset, rest.as_slice(), self.lines(), STOPPED, layout)))
    }

    /// The next `length` bytes, which are complete records; `None` if there are none.
    fn cut(&mut self, length: usize, sequence: Sequence) -> Result<Option<Chunk>> {
        let Some(bound) = self.bound.as_ref().filter(|_| length > 0) else { return Ok(None) };
        let bytes = self.blocks.take(length)?;
        if self.blocks.is_live() {
            self.line += bound.decoder.line_format().line_ends(bytes.as_slice());
        }
        let offset = self.offset;
        self.offset = Offset { at: offset.at + length as u64, line: 0, ..offset };
        let decoder = Arc::clone(&bound.decoder);
        let witness = self.blocks.witness();
        Ok(Some(Chunk {
            sequence,
            file: Arc::clone(&self.name),
            offset,
            bytes,
            decoder,
            witness,
            received: None,
        }))
    }

    /// The encoding and line ends, as far as they are known.
    fn lines(&self) -> LineFormat {
        self.bound.as_ref().map_or(LineFormat::LINE_FEEDS, |bound| bound.decoder.line_format())
    }

    fn endless(&self) -> Error {
        let message = format!(
            "`{}` has no line end for {} MiB from byte {}",
            self.name,
            MAX_WAIT >> 20,
            self.offset.at
        );
        Error::data(message).with_help("check that it is the right file and of the right type")
    }
}
