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
    /// The header of a stream that was given nothing yet: a run that fails before its first record gives it nothing at all.
    header: Vec<u8>,
    buffer: Vec<u8>,
}

impl<E: Encode + 'static> EncodedFile<E> {
    /// Begins the file with the encoder's header, or goes on with it.
    ///
    /// # Errors
    /// A configuration error where a file to go on with has another header; otherwise what the system says.
    pub(super) fn create(path: &FilePath, encoder: E, schema: &Schema, outset: &Outset) -> Result<Self> {
        let (file, goes_on) = AtomicFile::begin(path, outset)?;
        let mut header = Vec::new();
        encoder.header(schema, &mut header);
        let mut sink = Self { encoder: Arc::new(encoder), file, header, buffer: Vec::new() };
        match goes_on {
            true => sink.check_header(path)?,
            false if sink.file.is_stream() => {}
            false => sink.begin()?,
        }
        Ok(sink)
    }

    /// That the file to go on with has the header that it would be begun with now.
    fn check_header(&mut self, path: &FilePath) -> Result<()> {
        let header = std::mem::take(&mut self.header);
        if self.file.begins_with(&header)? {
            return Ok(());
        }
        let header = String::from_utf8_lossy(&header);
        Err(Error::config(format!("the file for {path} was begun with other columns than `{}`", header.trim_end()))
            .with_help("give the sink another `path`, and what it has written is kept beside; or undo what changed the columns"))
    }

    /// Writes the header, unless that is done.
    fn begin(&mut self) -> Result<()> {
        let header = std::mem::take(&mut self.header);
        self.file.write_all(&header).map_err(|error| self.file.failed(&error))
    }

    fn write_buffer(&mut self) -> Result<()> {
        let result = self.file.write_all(&self.buffer).map_err(|error| self.file.failed(&error));
        self.buffer.clear();
        result
    }
}

impl<E: Encode + 'static> Sink for EncodedFile<E> {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.encoder.encode(batch, sensors, &mut self.buffer);
        self.write_buffer()
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as _)
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        match block.downcast::<Vec<u8>>() {
            // Of a piece of the input whose records were all set aside, nothing is left.
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => {
                self.begin()?;
                self.file.append(*text)
            }
            Err(_) => Err(Error::internal("a block that is no text")),
        }
    }

    fn push(&mut self) -> Result<()> {
        self.begin()?;
        self.file.finish()
    }

    fn flush(&mut self) -> Result<()> {
        self.file.finish()
    }

    fn save(&mut self, _epoch: u64) -> Result<Option<Saved>> {
        self.file.save()
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.begin()?;
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
