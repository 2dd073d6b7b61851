//! The file behind the blocks: opened without blocking, and checked for changes while it is read.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};
use crate::format::Witness;
use crate::source::file::input_file::{InputFile, STDIN};

/// A regular file with its size and modification time at opening.
pub(super) struct Opened {
    pub(super) name: Arc<str>,
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
}

/// Opens the file of `input`.
pub(super) fn open(input: &InputFile) -> std::io::Result<File> {
    match &input.path {
        None => stdin(),
        // Opening a named pipe must not block, so that a stop is noticed.
        Some(path) => File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path),
    }
}

/// Standard input. A regular file is reopened at its current offset, so that it can be read from there more than once.
fn stdin() -> std::io::Result<File> {
    let mut file = std::io::stdin().as_fd().try_clone_to_owned().map(File::from)?;
    if !file.metadata()?.is_file() {
        return Ok(file);
    }
    let place = file.stream_position()?;
    match File::open(STDIN) {
        Ok(mut own) => own.seek(SeekFrom::Start(place)).map(|_| own),
        // If it cannot be reopened, it is read through the given descriptor.
        Err(_) => Ok(file),
    }
}

/// A file that is modified while it is read can yield records that never existed: that is an I/O error, since the file's content is not at
/// fault.
impl Witness for Opened {
    fn check_unchanged(&self, at: u64) -> Result<()> {
        let meta = self.file.metadata().map_err(|error| Error::io("look at", &self.name, &error))?;
        if meta.len() == self.size && meta.modified().ok() == self.modified {
            return Ok(());
        }
        let what = format!(
            "input changed while reading: `{}`, near byte {at}, had {} bytes and now has {}",
            self.name,
            self.size,
            meta.len()
        );
        Err(Error::new(ErrorKind::Io, what)
            .with_help("run again when no process writes to it, or read a copy"))
    }
}
