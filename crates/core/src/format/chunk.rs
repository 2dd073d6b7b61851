//! Contiguous bytes that end at a record end: the unit of parallel work.

use std::fmt;
use std::sync::Arc;

use super::Decode;
use crate::batch::{Batch, Bytes};
use crate::error::{Rejection, Result};
use crate::offset::{Offset, Sequence};
use crate::sensor::SensorLookup;
use crate::time::Timestamp;

/// Complete records as bytes, with the decoder bound to their file's columns.
#[derive(Clone)]
pub struct Chunk {
    /// The ordinal in the source.
    pub sequence: Sequence,
    /// The file's name in the pipeline.
    pub file: Arc<str>,
    /// The position of the first byte. `at` counts bytes of the decompressed file; `line` is 0 while it is unknown: the chunk then
    /// continues at the line after the previous chunk's last one.
    pub offset: Offset,
    /// The undecoded records.
    pub bytes: Bytes,
    /// Decodes `bytes`.
    pub decoder: Arc<dyn Decode>,
    /// Detects changes of the file while its bytes are in use; `None` if nothing can change them.
    pub witness: Option<Arc<dyn Witness>>,
    /// The arrival time by the receiving machine's clock; `None` for input at rest.
    pub received: Option<Timestamp>,
}

/// Remembers a file as it was when opened, and detects changes since then. Called concurrently by any worker.
pub trait Witness: Send + Sync {
    /// Checks that the file, whose bytes at `at` are in use, has not changed.
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

/// The result of decoding a chunk: records + rejections = `records`.
#[derive(Debug)]
pub struct Decoded {
    /// The valid records, in order.
    pub batch: Batch,
    /// The rejected records, in order. Line numbers count from the chunk's `offset.line`, or from 0 if that is unknown; record numbers
    /// count from 1 within the chunk.
    pub rejections: Vec<Rejection>,
    /// The number of lines in the chunk.
    pub lines: u64,
}

impl Chunk {
    /// Decodes the chunk; a sensor that is new gets an id from `sensors`.
    ///
    /// # Errors
    /// Only errors that end the run, such as too many sensors. Invalid records become rejections.
    pub fn decode(&self, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.decoder.decode(self, sensors)
    }

    /// Decodes with the reference decoder: see [`Decode::decode_by_reference`].
    ///
    /// # Errors
    /// As [`Chunk::decode`].
    pub fn decode_by_reference(&self, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.decoder.decode_by_reference(self, sensors)
    }

    /// Checks that the file still has all bytes of the chunk: call it after the last access to the bytes and before handing over the
    /// results. A mapped file that was truncated reads as zeros.
    ///
    /// # Errors
    /// As [`Witness::check_unchanged`].
    pub fn check_unchanged(&self) -> Result<()> {
        self.witness.iter().try_for_each(|witness| witness.check_unchanged(self.offset.at))
    }
}
