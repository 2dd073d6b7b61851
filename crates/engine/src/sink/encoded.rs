//! Records encoded as text: what `csv` and `jsonl` have in common.

use std::sync::Arc;

use super::text::Text;
use super::{Block, FileTarget, Job, Prepare, Sink, SinkCheckpoint, SinkContext};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::format::Encode;
use crate::sensor::Sensors;
use crate::time::Timestamp;

/// An encoder and its output.
pub(super) struct EncodedText<E> {
    encoder: Arc<Encoder<E>>,
    text: Text,
}

/// Encodes batches, and notes their first time.
struct Encoder<E>(E);

/// A batch as text.
pub(super) struct Encoded {
    /// The time of its first record.
    first: Option<Timestamp>,
    text: Vec<u8>,
}

impl Encoded {
    /// Its size in bytes.
    pub(super) fn size(&self) -> usize {
        self.text.capacity()
    }
}

impl<E: Encode + 'static> EncodedText<E> {
    /// Opens `target` for records of these columns, encoded by `encoder`.
    ///
    /// # Errors
    /// As [`FileTarget::open_text`].
    pub(super) fn open(
        target: &FileTarget,
        encoder: E,
        schema: &Schema,
        context: &SinkContext,
    ) -> Result<Self> {
        let mut header = Vec::new();
        encoder.header(schema, &mut header);
        let text = target.open_text(header, context)?;
        Ok(Self { encoder: Arc::new(Encoder(encoder)), text })
    }
}

impl<E: Encode> Encoder<E> {
    fn encoded(&self, batch: &Batch, sensors: &Sensors) -> Encoded {
        let mut text = Vec::new();
        self.0.encode(batch, sensors, &mut text);
        Encoded { first: batch.times().and_then(|times| times.first().copied()), text }
    }
}

impl<E: Encode> Prepare for Encoder<E> {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        Ok(Box::new(self.encoded(batch, sensors)))
    }
}

impl<E: Encode + 'static> Sink for EncodedText<E> {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let Encoded { first, text } = self.encoder.encoded(batch, sensors);
        self.text.write(first, &text)
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as _)
    }

    fn is_prompt(&self) -> bool {
        self.text.is_prompt()
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        match block.downcast::<Encoded>() {
            Ok(encoded) => self.text.append(encoded.first, encoded.text),
            Err(_) => Err(Error::internal("a prepared block is not text")),
        }
    }

    fn push(&mut self) -> Result<()> {
        self.text.push()
    }

    fn flush(&mut self) -> Result<()> {
        self.text.flush()
    }

    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        self.text.save(epoch)
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        Ok(self.text.pause())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.text.commit()
    }
}
