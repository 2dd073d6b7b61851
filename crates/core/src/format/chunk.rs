//! Contiguous bytes that end at a record end: the unit of parallel work.

use std::fmt;
use std::sync::Arc;

use super::Decode;
use crate::batch::{Batch, Bytes};
use crate::error::{Rejection, Result};
use crate::offset::{Offset, Sequence};
use crate::sensor::SensorLookup;
use crate::time::Timestamp;

/// A run of whole records, still as bytes, with the decoder that knows its file's columns.
#[derive(Clone)]
pub struct Chunk {
    /// The ordinal in the source.
    pub sequence: Sequence,
    /// The file as the pipeline names it.
    pub file: Arc<str>,
    /// Where the bytes begin. `at` counts bytes of the decompressed file; `line` is 0 where it is not known
    /// yet: then it is the one after the previous chunk's last.
    pub offset: Offset,
    /// The bytes.
    pub bytes: Bytes,
    /// Reads them.
    pub decoder: Arc<dyn Decode>,
    /// Knows whether they are still those of the file; `None` where nothing can change them.
    pub witness: Option<Arc<dyn Witness>>,
    /// When they came, by the clock of the machine that received them; `None` for what lay there.
    pub received: Option<Timestamp>,
}

/// Saw a file when it was opened, and sees whether it has changed since.
pub trait Witness: Send + Sync {
    /// Checks that the file, of which the bytes at `at` are in use, is what it was.
    ///
    /// # Errors
    /// An I/O error that says what has changed.
    fn check_unchanged(&self, at: u64) -> Result<()>;
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Chunk({} of {} at {:?}, {} bytes)",
            self.sequence,
            self.file,
            self.offset,
            self.bytes.len()
        )
    }
}

/// What a decoder made of a chunk: records + rejections = `records`.
#[derive(Debug)]
pub struct Decoded {
    /// The good records, in order.
    pub batch: Batch,
    /// The bad ones, in order. Lines count from the chunk's `offset.line`, or from 0 where that is not known;
    /// records count from 1 within the chunk.
    pub rejections: Vec<Rejection>,
    /// How many lines the chunk has.
    pub lines: u64,
}

impl Chunk {
    /// Decodes the chunk; sensors seen for the first time get an id in `sensors`.
    ///
    /// # Errors
    /// Only what ends the run: too many sensors, for one. Bad records are rejections.
    pub fn decode(&self, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.decoder.decode(self, sensors)
    }

    /// The same by the decoder's plainest way: see [`Decode::decode_by_reference`].
    ///
    /// # Errors
    /// As [`Chunk::decode`].
    pub fn decode_by_reference(&self, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.decoder.decode_by_reference(self, sensors)
    }

    /// Checks that the bytes were the file's to the end: to be called between the last look at them and the moment at which
    /// what came of them is handed over. A mapped file that is cut off reads as zeros.
    ///
    /// # Errors
    /// As [`Witness::check_unchanged`].
    pub fn check_unchanged(&self) -> Result<()> {
        self.witness.iter().try_for_each(|witness| witness.check_unchanged(self.offset.at))
    }
}
