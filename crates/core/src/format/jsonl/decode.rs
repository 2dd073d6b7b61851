//! Chunks of JSON to columns: quickly where lines are written alike, otherwise object by object.

use memchr::memrchr2;

use super::decoder::JsonDecoder;
use super::lines::Lines;
use super::structure::{Next, piece};
use crate::error::Result;
use crate::format::rows::Rows;
use crate::format::{Chunk, Decode, Decoded, LineFormat};
use crate::sensor::SensorLookup;

/// Lines decoded at a time: text, places and columns of them stay near. A fuzzer's inputs are small, and should have several such pieces too.
const LINES: usize = if cfg!(fuzzing) { 4 } else { 256 };

impl Decode for JsonDecoder {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        if at_end {
            return bytes.len();
        }
        if self.is_values {
            return whole_values(bytes);
        }
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        memrchr2(b'\n', b'\r', bytes).map_or(0, |at| at + 1)
    }

    fn beginning(&self) -> &[u8] {
        // The bracket stands for all that shows that lines mean nothing.
        if self.is_values { b"[" } else { b"" }
    }

    fn line_format(&self) -> LineFormat {
        // Between objects that are told apart by their structure, a carriage return is a blank.
        if self.is_values { LineFormat::LINE_FEEDS } else { LineFormat::ANY_END }
    }

    fn lines(&self, bytes: &[u8]) -> u64 {
        let lines = self.line_format();
        // Behind an object, its line may go on.
        let is_open = !self.is_values && !bytes.is_empty() && !lines.ends_line(bytes);
        lines.line_ends(bytes) + u64::from(is_open)
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let has_point = self.layout.columns.decimal_mark() == b'.';
        let is_plain =
            has_point && self.layout.is_plain() && self.objects.unfold.is_none() && !self.is_values;
        match is_plain {
            true => self.decode_by_lines(chunk, sensors, LINES),
            false => self.by_reference(chunk, sensors),
        }
    }

    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.by_reference(chunk, sensors)
    }
}

/// The length of the objects that have ended, and of what stands between them. Nothing is cut off that reads otherwise without what stands behind.
fn whole_values(bytes: &[u8]) -> usize {
    let (mut at, mut whole, mut seen) = (0, 0, 0);
    loop {
        let (next, needed) = piece(bytes, at);
        match next {
            Next::Piece(_, end) => {
                (at, seen) = (end, seen.max(needed));
                if at >= seen {
                    whole = at;
                }
            }
            Next::Open(_) => return whole,
            Next::End => return bytes.len(),
        }
    }
}

impl JsonDecoder {
    /// Quickly where lines are written alike; the same as [`Decode::decode_by_reference`] for any number of lines at a time.
    pub(super) fn decode_by_lines(
        &self,
        chunk: &Chunk,
        sensors: &mut dyn SensorLookup,
        most: usize,
    ) -> Result<Decoded> {
        let mut rows = Rows::new(&self.layout, chunk, sensors);
        let lines = Lines::new(self, chunk.bytes.as_slice(), &mut rows).decode(most)?;
        Ok(rows.finish(lines))
    }
}
