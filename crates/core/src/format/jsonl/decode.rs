//! Decodes chunks of JSON: column by column for lines of the same shape, otherwise object by object.

use memchr::memrchr2;

use super::decoder::JsonDecoder;
use super::structure::{Next, piece};
use crate::error::Result;
use crate::format::lines::{LINES_AT_ONCE, LineDecoder};
use crate::format::{Chunk, Decode, Decoded, LineFormat};
use crate::sensor::SensorLookup;

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
        // A bracket represents any text that shows that lines do not matter.
        if self.is_values { b"[" } else { b"" }
    }

    fn line_format(&self) -> LineFormat {
        // Between objects that are delimited by their structure, a carriage return is whitespace.
        if self.is_values { LineFormat::LINE_FEEDS } else { LineFormat::ANY_END }
    }

    fn lines(&self, bytes: &[u8]) -> u64 {
        let lines = self.line_format();
        // The line may continue after an object.
        let is_open = !self.is_values && !bytes.is_empty() && !lines.ends_line(bytes);
        lines.line_ends(bytes) + u64::from(is_open)
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let has_point = self.layout.columns.decimal_mark() == b'.';
        let is_plain =
            has_point && self.layout.is_plain() && self.objects.unfold.is_none() && !self.is_values;
        match is_plain {
            true => self.lines_by_shape(chunk, sensors, LINES_AT_ONCE),
            false => self.by_reference(chunk, sensors),
        }
    }

    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.by_reference(chunk, sensors)
    }
}

/// The length of the complete objects and the text between them. A cut never changes the meaning of the text before it.
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
