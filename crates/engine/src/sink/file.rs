//! Encoded records in a file: what `csv` and `jsonl` have in common.

use std::io::Write;
use std::sync::Arc;

use super::{Block, Job, Outset, Prepare, Saved, Sink};
use crate::atomic::AtomicFile;
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::files::FilePath;
use crate::format::Encode;
use crate::sensor::Sensors;

/// An encoder and the file it writes to.
pub(super) struct EncodedFile<E> {
    encoder: Arc<E>,
    file: AtomicFile,
    buffer: Vec<u8>,
}

impl<E: Encode + 'static> EncodedFile<E> {
    /// Begins the file with the encoder's header, or goes on with it.
    ///
    /// # Errors
    /// A configuration error where a file to go on with has another header; otherwise what the system says.
    pub(super) fn create(path: &FilePath, encoder: E, schema: &Schema, outset: &Outset) -> Result<Self> {
        let (file, goes_on) = AtomicFile::begin(path, outset)?;
        let mut sink = Self { encoder: Arc::new(encoder), file, buffer: Vec::new() };
        sink.encoder.header(schema, &mut sink.buffer);
        if !goes_on {
            sink.write_buffer()?;
        } else if !sink.file.begins_with(&sink.buffer)? {
            let header = String::from_utf8_lossy(&sink.buffer);
            let message =
                format!("the file for {path} was begun with other columns than `{}`", header.trim_end());
            return Err(Error::config(message)
                .with_help("give the sink another `path`, and what it has written is kept beside; or undo what changed the columns"));
        }
        sink.buffer.clear();
        Ok(sink)
    }

    fn write_buffer(&mut self) -> Result<()> {
        let result = self.file.write_all(&self.buffer).map_err(|error| self.file.failed(&error));
        self.buffer.clear();
        result
    }
}

impl<E: Encode + 'static> Sink for EncodedFile<E> {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.encoder.encode(batch, sensors, &mut self.buffer);
        self.write_buffer()
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as _)
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        match block.downcast::<Vec<u8>>() {
            Ok(text) => self.file.append(*text),
            Err(_) => Err(Error::internal("a block that is no text")),
        }
    }

    fn push(&mut self) -> Result<()> {
        self.file.finish()
    }

    fn flush(&mut self) -> Result<()> {
        self.file.finish()
    }

    fn save(&mut self) -> Result<Option<Saved>> {
        self.file.save()
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.file.commit()?;
        Ok(Vec::new())
    }
}

/// Every encoder prepares the text of a batch.
impl<E: Encode> Prepare for E {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let mut text = Vec::new();
        self.encode(batch, sensors, &mut text);
        Ok(Box::new(text))
    }
}
