//! Where a sink of files writes: to one file, to files that roll, or to a stream.

use std::path::PathBuf;

use super::roll::{Roll, RollingText};
use super::text::{OneText, Text};
use super::{Repeat, SinkContext, Template};
use crate::atomic;
use crate::batch::Schema;
use crate::error::Result;
use crate::files::FilePath;

/// The output of a sink of files: a path, and when its files roll. What it means for a run follows from those: whether it is a file, a stream or
/// standard output, what a repeat does, and how it resumes after a restart.
#[derive(Clone, Debug)]
pub struct FileTarget {
    path: FilePath,
    roll: Option<Roll>,
}

impl FileTarget {
    /// The file at `path`, or the files that `path` is the template of, if they `roll`.
    pub fn new(path: FilePath, roll: Option<Roll>) -> Self {
        Self { path, roll }
    }

    /// Standard output.
    pub(super) fn stdout() -> Self {
        Self::new("-".into(), None)
    }

    /// The one file; `None` for files that roll, and for streams.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.one().and_then(atomic::file)
    }

    /// The named pipe or device, where it is one.
    pub(super) fn stream(&self) -> Option<PathBuf> {
        self.one().and_then(atomic::stream)
    }

    /// Whether it is standard output.
    pub(super) fn is_stdout(&self) -> bool {
        atomic::is_stdout(&self.path)
    }

    /// The name template of files that roll; `None` also for a path that is no template, which is an error of the options.
    pub(super) fn rolls(&self) -> Option<Template> {
        self.roll.as_ref().and_then(|_| Template::new(&self.path).ok())
    }

    fn one(&self) -> Option<&FilePath> {
        self.roll.is_none().then_some(&self.path)
    }

    /// What a repeat of the same batch does: a file appears when it is complete, while a stream keeps what it received.
    pub(super) fn repeat(&self) -> Repeat {
        if atomic::is_stream(&self.path) { Repeat::Duplicates } else { Repeat::Harmless }
    }

    /// Checks it against the columns that the sink will receive, if it receives records.
    ///
    /// # Errors
    /// A configuration error.
    pub(super) fn check(&self, schema: Option<&Schema>) -> Result<()> {
        match &self.roll {
            Some(roll) => roll.check(&self.path, schema),
            None => atomic::check(&self.path),
        }
    }

    /// Opens it for text, each file of which begins with `header`; resumes the unfinished file if `context` has a state.
    ///
    /// # Errors
    /// A configuration error if the file to resume has another header; otherwise an error of the system.
    pub(super) fn open_text(&self, header: Vec<u8>, context: &SinkContext) -> Result<Text> {
        Ok(match &self.roll {
            Some(roll) => Text::Rolling(Box::new(RollingText::open(&self.path, roll, header, context)?)),
            None => Text::One(Box::new(OneText::open(&self.path, header, context)?)),
        })
    }
}
