//! Text in files that roll.

use std::io::Write;

use super::Roll;
use super::files::RollingFiles;
use crate::atomic::{AtomicFile, SavedFile};
use crate::error::{Error, Result};
use crate::files::FilePath;
use crate::sink::{Job, SinkCheckpoint, SinkContext};
use crate::time::Timestamp;

/// Text in files that roll, each with the same beginning.
pub(in crate::sink) struct RollingText {
    files: RollingFiles,
    header: Vec<u8>,
    /// The unfinished file, if it has a record.
    current: Option<AtomicFile>,
    /// Whether no more records will come.
    is_over: bool,
}

impl RollingText {
    /// The files at `path`, each of which begins with `header`; resumes the unfinished one if `context` has a state.
    ///
    /// # Errors
    /// A configuration error if the file to resume has another header; otherwise as [`RollingFiles::open`].
    pub(in crate::sink) fn open(
        path: &FilePath,
        roll: &Roll,
        header: Vec<u8>,
        context: &SinkContext,
    ) -> Result<Self> {
        let (mut files, kept) = roll.open(path, context)?;
        let mut current = None;
        if let Some(kept) = kept.filter(|_| files.is_begun()) {
            let file = files.resume(kept)?;
            if !file.begins_with(&header)? {
                let header = String::from_utf8_lossy(&header);
                let what =
                    format!("the unfinished file for {path} has other columns than `{}`", header.trim_end());
                return Err(Error::config(what)
                    .with_help("undo the change of the columns, or give the sink another `path`"));
            }
            current = Some(file);
        }
        let kept = current.as_ref().and_then(AtomicFile::part_name);
        files.tidy(kept.as_slice(), context.resume.is_some());
        Ok(Self { files, header, current, is_over: false })
    }

    /// The file for the next records, the first of which has the time `first`.
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

    /// Appends text whose first record has the time `first`; returns what is left to do.
    pub(in crate::sink) fn append(&mut self, first: Option<Timestamp>, text: Vec<u8>) -> Result<Option<Job>> {
        if text.is_empty() {
            return Ok(None);
        }
        let job = self.file(first)?.append(text)?;
        self.request_if_due();
        match (job, self.files.has_checkpoints()) {
            // The file may be renamed before the next record comes.
            (Some(job), false) => job().map(|()| None),
            (job, _) => Ok(job),
        }
    }

    /// Appends a little text, which is buffered; its first record has the time `first`.
    pub(in crate::sink) fn write(&mut self, first: Option<Timestamp>, text: &[u8]) -> Result<()> {
        let file = self.file(first)?;
        file.write_all(text).map_err(|error| file.failed(&error))?;
        self.request_if_due();
        Ok(())
    }

    /// With checkpoints, a file ends at a cut.
    fn request_if_due(&mut self) {
        if let Some(file) = &self.current {
            self.files.request_if_due(file.length());
        }
    }

    pub(in crate::sink) fn push(&mut self) -> Result<()> {
        self.request_if_due();
        self.current.as_mut().map_or(Ok(()), AtomicFile::finish)
    }

    pub(in crate::sink) fn flush(&mut self) -> Result<()> {
        self.is_over = true;
        self.current.as_mut().map_or(Ok(()), AtomicFile::finish)
    }

    pub(in crate::sink) fn save(&mut self, epoch: u64) -> Result<SinkCheckpoint> {
        let saved = self.current.as_mut().map_or(Ok(None), AtomicFile::save)?;
        let is_due = |file: &AtomicFile| self.is_over || self.files.is_due(file.length());
        let closes = self.current.as_ref().is_some_and(is_due);
        match saved {
            Some(saved) if closes => {
                self.current = None;
                self.files.close(epoch, Vec::new(), saved)
            }
            Some(SavedFile { state, part, settle }) => self.files.keep(epoch, state, vec![part], settle),
            None => self.files.keep(epoch, Vec::new(), Vec::new(), Box::new(|| Ok(()))),
        }
    }

    pub(in crate::sink) fn pause(&mut self) -> Vec<String> {
        self.files.remarks()
    }

    pub(in crate::sink) fn commit(&mut self) -> Result<Vec<String>> {
        if let Some(file) = self.current.take().filter(|_| !self.files.has_checkpoints()) {
            self.files.close_now(file)?;
        }
        Ok(self.files.remarks())
    }
}
