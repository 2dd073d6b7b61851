//! Chunks of line protocol to columns: quickly where lines are written alike, otherwise line by line.

use memchr::memrchr;

use super::decoder::InfluxDecoder;
use super::lines::Lines;
use crate::error::Result;
use crate::format::rows::Rows;
use crate::format::{Chunk, Decode, Decoded};
use crate::sensor::SensorLookup;

/// Lines decoded at a time: text, places and columns of them stay near. A fuzzer's inputs are small, and should have several such pieces too.
const LINES: usize = if cfg!(fuzzing) { 4 } else { 256 };

impl Decode for InfluxDecoder {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        if at_end { bytes.len() } else { memrchr(b'\n', bytes).map_or(0, |at| at + 1) }
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        match self.layout.is_plain() {
            true => self.decode_by_lines(chunk, sensors, LINES),
            false => self.by_reference(chunk, sensors),
        }
    }

    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.by_reference(chunk, sensors)
    }
}

impl InfluxDecoder {
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
