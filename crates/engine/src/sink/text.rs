//! Text in one file, in rolling files, or in a stream: what `csv`, `jsonl`, `dead_letter` and `alert` write.

use std::io::Write;

use super::roll::RollingText;
use super::{Job, SinkCheckpoint, SinkContext};
use crate::atomic::AtomicFile;
use crate::error::{Error, Result};
use crate::files::FilePath;
use crate::time::Timestamp;

/// The open output of a [target](super::FileTarget), for text.
pub(super) enum Text {
    One(Box<OneText>),
    Rolling(Box<RollingText>),
}

/// Text in one file or stream.
pub(super) struct OneText {
    file: AtomicFile,
    /// The header of a stream to which nothing was written yet: a run that fails before its first record writes nothing.
    header: Vec<u8>,
}

impl Text {
    /// Whether [`Text::append`] leaves all writing to a job. A stream may wait for its reader, and rolling files are opened and closed.
    pub(super) fn is_prompt(&self) -> bool {
        matches!(self, Self::One(one) if !one.file.is_stream())
    }

    /// Appends text whose first record has the time `first`; returns what is left to do.
    pub(super) fn append(&mut self, first: Option<Timestamp>, text: Vec<u8>) -> Result<Option<Job>> {
        match self {
            // All records of the chunk may have been rejected.
            _ if text.is_empty() => Ok(None),
            Self::One(one) => {
                one.begin()?;
                one.file.append(text)
            }
            Self::Rolling(rolling) => rolling.append(first, text),
        }
    }

    /// Appends a little text, which is buffered.
    pub(super) fn write(&mut self, first: Option<Timestamp>, text: &[u8]) -> Result<()> {
        match self {
            _ if text.is_empty() => Ok(()),
            Self::One(one) => {
                one.begin()?;
                one.write(text)
            }
            Self::Rolling(rolling) => rolling.write(first, text),
        }
    }

    /// As [`Sink::push`](super::Sink::push).
    pub(super) fn push(&mut self) -> Result<()> {
        match self {
            Self::One(one) => {
                one.begin()?;
                one.file.finish()
            }
            Self::Rolling(rolling) => rolling.push(),
        }
    }

    /// As [`Sink::flush`](super::Sink::flush).
    pub(super) fn flush(&mut self) -> Result<()> {
        match self {
            Self::One(one) => one.file.finish(),
            Self::Rolling(rolling) => rolling.flush(),
        }
    }

    /// As [`Sink::save`](super::Sink::save).
    pub(super) fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        match self {
            Self::One(one) => Ok(one.file.save()?.map(SinkCheckpoint::from)),
            Self::Rolling(rolling) => rolling.save(epoch).map(Some),
        }
    }

    /// As [`Sink::pause`](super::Sink::pause).
    pub(super) fn pause(&mut self) -> Vec<String> {
        match self {
            Self::One(_) => Vec::new(),
            Self::Rolling(rolling) => rolling.pause(),
        }
    }

    /// As [`Sink::commit`](super::Sink::commit).
    pub(super) fn commit(&mut self) -> Result<Vec<String>> {
        match self {
            Self::One(one) => {
                one.begin()?;
                one.file.commit()?;
                Ok(Vec::new())
            }
            Self::Rolling(rolling) => rolling.commit(),
        }
    }
}

impl OneText {
    /// Begins the file with `header`, or resumes it.
    ///
    /// # Errors
    /// A configuration error if the file to resume has another header; otherwise an error of the system.
    pub(super) fn open(path: &FilePath, header: Vec<u8>, context: &SinkContext) -> Result<Self> {
        let (file, is_resumed) = AtomicFile::begin(path, context)?;
        let mut one = Self { file, header };
        match is_resumed {
            true => one.check_header(path)?,
            false if one.file.is_stream() => {}
            false => one.begin()?,
        }
        Ok(one)
    }

    /// Checks that the resumed file has the header that a new one would get.
    fn check_header(&mut self, path: &FilePath) -> Result<()> {
        let header = std::mem::take(&mut self.header);
        if self.file.begins_with(&header)? {
            return Ok(());
        }
        let header = String::from_utf8_lossy(&header);
        Err(Error::config(format!(
            "the unfinished file for {path} has other columns than `{}`",
            header.trim_end()
        ))
        .with_help("undo the change of the columns, or give the sink another `path`"))
    }

    /// Writes the header, if that has not been done.
    fn begin(&mut self) -> Result<()> {
        let header = std::mem::take(&mut self.header);
        self.write(&header)
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        self.file.write_all(text).map_err(|error| self.file.failed(&error))
    }
}
