//! A source whose pieces are cut again at random record ends.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use crate::atomic::Outputs;
use crate::batch::Schema;
use crate::error::Result;
use crate::format::{Chunk, Decoded};
use crate::offset::Offset;
use crate::random::Random;
use crate::sensor::SensorLookup;
use crate::source::{Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use crate::time::{TimeParser, Timestamp};

/// The same records as another source, in other pieces.
pub(super) struct Shredded {
    inner: Arc<dyn SourceSpec>,
    seed: u64,
}

impl Shredded {
    pub(super) fn new(inner: Arc<dyn SourceSpec>, seed: u64) -> Self {
        Self { inner, seed }
    }
}

impl SourceSpec for Shredded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn parameters(&self) -> serde_json::Value {
        self.inner.parameters()
    }

    fn traits(&self) -> Traits {
        self.inner.traits()
    }

    fn losses(&self) -> Vec<&'static str> {
        self.inner.losses()
    }

    fn ticks(&self) -> bool {
        self.inner.ticks()
    }

    fn files(&self, outputs: &Outputs) -> Vec<PathBuf> {
        self.inner.files(outputs)
    }

    fn times(&self) -> Result<Option<TimeParser>> {
        self.inner.times()
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(Shreds {
            inner: self.inner.open(options)?,
            random: Random::new(self.seed),
            ready: VecDeque::new(),
            sequence: 0,
        }))
    }
}

struct Shreds {
    inner: Box<dyn Source>,
    random: Random,
    ready: VecDeque<Input>,
    sequence: u64,
}

impl Shreds {
    /// Cuts a chunk at the first record end after a random number of bytes.
    fn cut(&mut self, mut chunk: Chunk) {
        loop {
            let bytes = chunk.bytes.as_slice();
            let wanted = 1 + self.random.below(bytes.len().min(400) as u64) as usize;
            let length = match chunk.decoder.complete(&bytes[..wanted.min(bytes.len())], false) {
                0 => bytes.len(),
                length => length,
            };
            let mut piece = chunk.clone();
            piece.bytes = chunk.bytes.slice(0..length);
            piece.sequence = self.sequence;
            self.sequence += 1;
            self.ready.push_back(Input::Chunk(piece));
            if length == chunk.bytes.len() {
                return;
            }
            chunk.bytes = chunk.bytes.slice(length..chunk.bytes.len());
            chunk.offset = Offset { at: chunk.offset.at + length as u64, line: 0, ..chunk.offset };
        }
    }

    /// Cuts records that come without rejections, whose positions would have to be recomputed.
    fn part(&mut self, decoded: Decoded) {
        let rows = decoded.batch.len() as u32;
        if !decoded.rejections.is_empty() || rows < 2 {
            self.ready.push_back(Input::Records(decoded));
            return;
        }
        let mut start = 0;
        while start < rows {
            let end = rows.min(start + 1 + self.random.below(50) as u32);
            let rows: Vec<u32> = (start..end).collect();
            self.ready.push_back(Input::from(decoded.batch.take(&rows)));
            start = end;
        }
    }
}

impl Source for Shreds {
    fn schema(&self) -> &Arc<Schema> {
        self.inner.schema()
    }

    fn begin(&mut self) -> Result<()> {
        self.inner.begin()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        if self.ready.is_empty() {
            match self.inner.next(sensors)? {
                None => return Ok(None),
                Some(Input::Chunk(chunk)) => self.cut(chunk),
                Some(Input::Records(decoded)) => self.part(decoded),
                Some(Input::Deferred(deferred)) => self.part(deferred.decode(sensors)?),
                Some(foreseen @ Input::Foreseen(_)) => self.ready.push_back(foreseen),
                Some(Input::Nothing) => {}
            }
        }
        Ok(Some(self.ready.pop_front().unwrap_or(Input::Nothing)))
    }

    fn received(&self) -> Option<Timestamp> {
        self.inner.received()
    }

    fn offset(&self) -> Offset {
        self.inner.offset()
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.ready.clear();
        self.inner.seek(offset)
    }

    fn missing(&self) -> Option<String> {
        self.inner.missing()
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }

    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }
}
