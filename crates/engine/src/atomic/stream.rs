//! An open stream: standard output, a named pipe or a device, which takes bytes as they come.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::pipe;
use crate::context::SinkContext;
use crate::error::{Error, Result};

/// A stream that is open.
pub(super) struct Stream(Box<dyn Write + Send + Sync>);

impl Stream {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        Self(Box::new(io::stdout()))
    }

    /// The named pipe or device at `path`, for the sink of `context`.
    ///
    /// # Errors
    /// An I/O error; for a pipe, if the run is to stop before a process reads it.
    pub(super) fn open(path: &Path, context: &SinkContext) -> Result<Self> {
        let failed = |error: io::Error| Error::io("write", path.display(), &error);
        let file = match pipe::is_there(path) {
            true => pipe::open(path, context)?,
            false => File::options().write(true).open(path).map_err(failed)?,
        };
        Ok(Self(Box::new(file)))
    }

    /// Writes all of `bytes`.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Writes all of `bytes`, and flushes.
    pub(super) fn write_through(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// Drops all bytes that are written from now on.
    pub(super) fn discard(&mut self) {
        self.0 = Box::new(io::sink());
    }
}
