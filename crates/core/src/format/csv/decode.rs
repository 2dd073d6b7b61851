//! Decodes chunks of CSV: column by column where the text is regular, otherwise record by record.

use super::decoder::CsvDecoder;
use super::split::Splitter;
use super::tiles::Tiles;
use crate::error::Result;
use crate::format::rows::ChunkRows;
use crate::format::{Chunk, Decode, Decoded, LineFormat};
use crate::sensor::SensorLookup;

/// Bytes per tile: its text, separators and columns fit in the first-level cache. Smaller for fuzzing, where inputs are small.
const TILE: usize = if cfg!(fuzzing) { 128 } else { 16 << 10 };

impl Decode for CsvDecoder {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        self.splitter.complete(bytes, at_end)
    }

    fn line_format(&self) -> LineFormat {
        LineFormat::ANY_END
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        match self.layout.is_plain() {
            true => self.decode_by_tiles(chunk, sensors, TILE),
            false => self.by_reference(chunk, sensors),
        }
    }

    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.by_reference(chunk, sensors)
    }

    fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    fn other_header(&self, text: &[u8]) -> Option<(usize, String)> {
        self.find_other_header(text)
    }
}

impl CsvDecoder {
    /// The fast decoder; gives the same result as [`Decode::decode_by_reference`] for any tile size.
    pub(super) fn decode_by_tiles(
        &self,
        chunk: &Chunk,
        sensors: &mut dyn SensorLookup,
        tile: usize,
    ) -> Result<Decoded> {
        let Splitter::Marks(marks) = &self.splitter else {
            return self.by_reference(chunk, sensors);
        };
        let mut rows = ChunkRows::new(&self.layout, chunk, sensors);
        let lines = Tiles::new(self, marks, chunk.bytes.as_slice(), &mut rows).decode(tile)?;
        Ok(rows.finish(lines))
    }
}
