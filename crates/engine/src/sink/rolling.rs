//! Encoded records in files that roll: what `csv`, `jsonl` and `dead_letter` have in common.

use std::io::Write;
use std::sync::Arc;

use super::roll::Roll;
use super::{Block, Job, Outset, Prepare, Saved, Sink};
use crate::atomic::{AtomicFile, RollingFiles};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::files::FilePath;
use crate::format::Encode;
use crate::sensor::Sensors;
use crate::time::Timestamp;

/// Text in files that roll, each with the same beginning.
pub(super) struct RollingText {
    files: RollingFiles,
    header: Vec<u8>,
    /// The file in the making: from its first record to its end.
    current: Option<AtomicFile>,
    /// Whether nothing more will come.
    is_over: bool,
}

impl RollingText {
    /// The files at `path`, which begin with `header` each; the one in the making is gone on with where `outset` says so.
    ///
    /// # Errors
    /// A configuration error where the file to go on with has another header; otherwise as [`RollingFiles::open`].
    pub(super) fn open(path: &FilePath, roll: &Roll, header: Vec<u8>, outset: &Outset) -> Result<Self> {
        let (mut files, kept) = roll.open(path, outset)?;
        let mut current = None;
        if let Some(kept) = kept {
            let file = files.go_on(kept)?;
            if !file.begins_with(&header)? {
                let header = String::from_utf8_lossy(&header);
                let what =
                    format!("the file for {path} was begun with other columns than `{}`", header.trim_end());
                return Err(Error::config(what)
                    .with_help("undo what changed the columns, or give the sink another `path`"));
            }
            current = Some(file);
        }
        let kept = current.as_ref().and_then(AtomicFile::part_name);
        files.tidy(kept.as_slice(), outset.resume.is_some());
        Ok(Self { files, header, current, is_over: false })
    }

    /// The file for what comes next, whose first record has the time `first`.
    fn file(&mut self, first: Option<Timestamp>) -> Result<&mut AtomicFile> {
        if !self.files.has_checkpoints() {
            self.close_if_due()?;
        }
        let file = match self.current.take() {
            Some(file) => file,
            None => {
                let mut file = self.files.begin(first)?;
                file.write_all(&self.header).map_err(|error| file.failed(&error))?;
                file
            }
        };
        Ok(self.current.insert(file))
    }

    /// Without checkpoints, a file ends between two batches.
    fn close_if_due(&mut self) -> Result<()> {
        match self.current.take_if(|file| self.files.is_due(file.length())) {
            Some(file) => self.files.close_now(file),
            None => Ok(()),
        }
    }

    /// Appends text whose first record has the time `first`; gives what is left to do.
    pub(super) fn append(&mut self, first: Option<Timestamp>, text: Vec<u8>) -> Result<Option<Job>> {
        if text.is_empty() {
            return Ok(None);
        }
        let job = self.file(first)?.append(text)?;
        match (job, self.files.has_checkpoints()) {
            // The file may get its name before the next record comes.
            (Some(job), false) => job().map(|()| None),
            (job, _) => Ok(job),
        }
    }

    /// Appends a little text.
    pub(super) fn write(&mut self, text: &[u8]) -> Result<()> {
        let file = self.file(None)?;
        file.write_all(text).map_err(|error| file.failed(&error))
    }

    pub(super) fn push(&mut self) -> Result<()> {
        self.current.as_mut().map_or(Ok(()), AtomicFile::finish)
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.is_over = true;
        self.push()
    }

    pub(super) fn save(&mut self, epoch: u64) -> Result<Option<Saved>> {
        let saved = self.current.as_mut().map_or(Ok(None), AtomicFile::save)?;
        let is_due = |file: &AtomicFile| self.is_over || self.files.is_due(file.length());
        let closes = self.current.as_ref().is_some_and(is_due);
        let saved = self.files.save(epoch, saved, closes)?;
        if closes {
            self.current = None;
        }
        Ok(saved)
    }

    pub(super) fn pause(&mut self) -> Vec<String> {
        self.files.remarks()
    }

    pub(super) fn commit(&mut self) -> Result<Vec<String>> {
        if let Some(file) = self.current.take().filter(|_| !self.files.has_checkpoints()) {
            self.files.close_now(file)?;
        }
        Ok(self.files.remarks())
    }
}

/// An encoder, and the files that it writes to.
pub(super) struct RollingFile<E> {
    encoder: Arc<RollingEncoder<E>>,
    text: RollingText,
}

/// Encodes batches, and looks at their first time.
struct RollingEncoder<E>(E);

/// A batch as text.
struct Encoded {
    /// The time of its first record.
    first: Option<Timestamp>,
    text: Vec<u8>,
}

impl<E: Encode + 'static> RollingFile<E> {
    /// As [`RollingText::open`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn open(
        path: &FilePath,
        roll: &Roll,
        encoder: E,
        schema: &Schema,
        outset: &Outset,
    ) -> Result<Self> {
        let mut header = Vec::new();
        encoder.header(schema, &mut header);
        let text = RollingText::open(path, roll, header, outset)?;
        Ok(Self { encoder: Arc::new(RollingEncoder(encoder)), text })
    }
}

impl<E: Encode> RollingEncoder<E> {
    fn encoded(&self, batch: &Batch, sensors: &Sensors) -> Encoded {
        let mut text = Vec::new();
        self.0.encode(batch, sensors, &mut text);
        Encoded { first: batch.times().and_then(|times| times.first().copied()), text }
    }
}

impl<E: Encode> Prepare for RollingEncoder<E> {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        Ok(Box::new(self.encoded(batch, sensors)))
    }
}

impl<E: Encode + 'static> Sink for RollingFile<E> {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let Encoded { first, text } = self.encoder.encoded(batch, sensors);
        self.text.append(first, text)?.map_or(Ok(()), |job| job())
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as _)
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        match block.downcast::<Encoded>() {
            Ok(encoded) => self.text.append(encoded.first, encoded.text),
            Err(_) => Err(Error::internal("a block that is no text")),
        }
    }

    fn push(&mut self) -> Result<()> {
        self.text.push()
    }

    fn flush(&mut self) -> Result<()> {
        self.text.flush()
    }

    fn save(&mut self, epoch: u64) -> Result<Option<Saved>> {
        self.text.save(epoch)
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        Ok(self.text.pause())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.text.commit()
    }
}
