//! Encoded records in a file: what `csv` and `jsonl` have in common.

use std::io::Write;

use super::Sink;
use super::atomic::AtomicFile;
use crate::batch::{Batch, Schema};
use crate::error::Result;
use crate::format::Encode;
use crate::sensor::Sensors;

/// An encoder and the file it writes to.
pub(super) struct EncodedFile<E> {
    encoder: E,
    file: AtomicFile,
    buffer: Vec<u8>,
}

impl<E: Encode> EncodedFile<E> {
    /// Begins the file with the encoder's header.
    pub(super) fn create(path: &str, encoder: E, schema: &Schema) -> Result<Self> {
        let mut sink = Self { encoder, file: AtomicFile::create(path)?, buffer: Vec::new() };
        sink.encoder.header(schema, &mut sink.buffer);
        sink.write_buffer()?;
        Ok(sink)
    }

    fn write_buffer(&mut self) -> Result<()> {
        let result = self.file.write_all(&self.buffer).map_err(|error| self.file.failed(&error));
        self.buffer.clear();
        result
    }
}

impl<E: Encode> Sink for EncodedFile<E> {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.encoder.encode(batch, sensors, &mut self.buffer);
        self.write_buffer()
    }

    fn flush(&mut self) -> Result<()> {
        self.file.finish()
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.file.commit()?;
        Ok(Vec::new())
    }
}
