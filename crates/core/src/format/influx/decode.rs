//! Decodes chunks of line protocol: column by column for lines of the same shape, otherwise line by line.

use memchr::memrchr;

use super::decoder::InfluxDecoder;
use crate::error::Result;
use crate::format::lines::{LINES_AT_ONCE, LineDecoder};
use crate::format::{Chunk, Decode, Decoded};
use crate::sensor::SensorLookup;

impl Decode for InfluxDecoder {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        if at_end { bytes.len() } else { memrchr(b'\n', bytes).map_or(0, |at| at + 1) }
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        match self.layout.is_plain() {
            true => self.lines_by_shape(chunk, sensors, LINES_AT_ONCE),
            false => self.lines_by_reference(chunk, sensors),
        }
    }

    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.lines_by_reference(chunk, sensors)
    }
}
