//! The running sink.

use std::sync::Arc;

use tidemill_connect::alert::Wording;
use tidemill_connect::blocking::Blocking;
use tidemill_engine::batch::{Batch, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::sink::{Block, Prepare, Sink, SinkContext};

use crate::held::Item;
use crate::options::Mail;
use crate::outgoing::{Outgoing, Post};
use crate::transport::{Transport, Waiting};

/// Encodes each record as a subject and a text.
pub(crate) struct Encoder {
    subject: Wording,
    text: Wording,
}

impl Encoder {
    pub(crate) fn new(options: &Mail, schema: &Schema) -> Result<Self> {
        Ok(Self {
            subject: Wording::new("subject", options.subject.as_deref(), schema)?,
            text: Wording::new("text", options.text.as_deref(), schema)?,
        })
    }
}

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let pair = |row| (self.subject.text(batch, row, sensors), self.text.text(batch, row, sensors));
        let mut bytes = Vec::new();
        for row in 0..batch.len() {
            serde_json::to_writer(&mut bytes, &pair(row))
                .map_err(|error| Error::internal(error.to_string()))?;
            bytes.push(b'\n');
        }
        Ok(Box::new(bytes))
    }
}

/// The sink in use.
pub(crate) struct Delivering {
    encoder: Arc<Encoder>,
    writer: Arc<str>,
    post: Post,
}

impl Delivering {
    pub(crate) fn new(options: &Mail, encoder: Arc<Encoder>, context: &SinkContext) -> Result<Self> {
        let writer = context.writer.clone().unwrap_or_default();
        let runtime = Blocking::new(Arc::clone(&context.stop))?;
        let carrier = Box::new(Waiting { transport: Transport::new(options)?, runtime });
        let outgoing = Outgoing::new(carrier, (options.most, options.per()?), context)?;
        let mut post = Post::new(outgoing);
        post.start()?;
        Ok(Self { encoder, writer, post })
    }
}

impl Sink for Delivering {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as Arc<dyn Prepare>)
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let mut items = Vec::new();
        for bytes in rows {
            for line in bytes?.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let (subject, text) = serde_json::from_slice(line).map_err(|error| {
                    Error::data(format!("messages of epoch {epoch} cannot be read: {error}"))
                })?;
                let id = format!("tidemill-{}-{epoch}-{}", self.writer, items.len());
                items.push(Item { subject, text, id });
            }
        }
        self.post.take(epoch, items)
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        // What waits is in the state folder: the run that resumes sends it.
        Ok(self.post.remarks())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.post.finish()
    }
}
