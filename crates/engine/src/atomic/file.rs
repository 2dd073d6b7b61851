//! A file that appears under its final name only when it is complete; or a stream, which takes bytes as they come.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Job;
use super::named::cannot_write;
use super::part::PartFile;
use super::paths::{check, is_stdout};
use super::saved_part::{SavedPart, check_link};
use super::stream::Stream;
use crate::context::SinkContext;
use crate::error::{Error, Result};
use crate::files::{
    Access, FileSystem, FileType, folder, is_address, kind_if_there, make_lasting_folder, where_link_leads,
};

/// The size of the buffer, in bytes.
const BUFFER: usize = 256 << 10;

/// An output that is being written: a part file, `.<name>.part-…` in the folder of the final name, whose last characters cannot be guessed; or a stream:
/// standard output (`-`), a named pipe or a device, which takes bytes as they come and must never be replaced by a file.
pub struct AtomicFile {
    path: PathBuf,
    destination: Destination,
    /// Bytes that are not written yet.
    buffer: Vec<u8>,
    /// The number of bytes written, or handed out as [jobs](Job), so far; without those in the buffer.
    length: u64,
}

enum Destination {
    Part(PartFile),
    Stream(Stream),
}

/// What a checkpoint records of a file.
pub(crate) struct SavedFile {
    /// For [`SinkContext::resume`].
    pub(crate) state: Vec<u8>,
    /// What `state` encodes.
    pub(crate) part: SavedPart,
    /// Makes the bytes so far durable; waits for the jobs that were handed out before.
    pub(crate) settle: Job,
}

impl AtomicFile {
    /// Begins the file at `path`, and creates missing folders on the way.
    ///
    /// # Errors
    /// A configuration error if `path` is a folder; an I/O error.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::begin(path, &SinkContext::default()).map(|(file, _)| file)
    }

    /// The same for a file that only this user can read.
    ///
    /// # Errors
    /// As for [`AtomicFile::create`].
    pub fn create_private(path: impl AsRef<Path>) -> Result<Self> {
        Self::begin_with(path, &SinkContext::default(), Access::Private).map(|(file, _)| file)
    }

    /// Begins the file at `path`, or resumes it if `context` has its state; returns whether it was resumed.
    ///
    /// # Errors
    /// As for [`AtomicFile::create`]; a data error if the file to resume has changed since the checkpoint.
    pub fn begin(path: impl AsRef<Path>, context: &SinkContext) -> Result<(Self, bool)> {
        Self::begin_with(path, context, Access::Shared)
    }

    fn begin_with(path: impl AsRef<Path>, context: &SinkContext, access: Access) -> Result<(Self, bool)> {
        let written = path.as_ref();
        check(written)?;
        if is_stdout(written) {
            return Ok((Self::of_stream(written.to_owned(), Stream::stdout()), false));
        }
        let path = where_link_leads(written);
        let failed = |error: io::Error| Error::io("write", path.display(), &error);
        let there = kind_if_there(&*context.files, &path).map_err(failed)?;
        if there.is_some_and(|kind| kind != FileType::File) {
            let stream = Stream::open(&path, context)?;
            return Ok((Self::of_stream(path, stream), false));
        }
        if let Some(state) = &context.resume {
            return Self::resume(written, path, context, state).map(|file| (file, true));
        }
        let folder = folder(&path);
        make_lasting_folder(&*context.files, folder, false).map_err(|error| failed(not_a_folder(error)))?;
        let part = PartFile::create(&path, context, access).map_err(failed)?;
        let destination = Destination::Part(part);
        Ok((Self { path, destination, buffer: Vec::new(), length: 0 }, false))
    }

    /// Resumes the part file that `state` describes. `written` is the path in the pipeline file, `path` is where it leads.
    fn resume(written: &Path, path: PathBuf, context: &SinkContext, state: &[u8]) -> Result<Self> {
        let made: SavedPart = postcard::from_bytes(state).map_err(|error| {
            Error::data(format!("the checkpoint of {} is damaged: {error}", path.display()))
        })?;
        check_link(&*context.files, written, &path, &made)?;
        let (part, length) = PartFile::resume(&path, context, made)?;
        Ok(Self { path, destination: Destination::Part(part), buffer: Vec::new(), length })
    }

    fn of_stream(path: PathBuf, stream: Stream) -> Self {
        Self { path, destination: Destination::Stream(stream), buffer: Vec::new(), length: 0 }
    }

    /// Whether it is a stream.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.destination, Destination::Stream(_))
    }

    /// Appends `bytes`. For a file, returns a job that writes them: their place in the file is known already. To a stream they are written at once.
    ///
    /// # Errors
    /// An I/O error.
    pub fn append(&mut self, bytes: Vec<u8>) -> Result<Option<Job>> {
        self.finish()?;
        let place = self.length;
        self.length += bytes.len() as u64;
        match &mut self.destination {
            Destination::Stream(stream) => {
                let written = stream.write(&bytes);
                written.map(|()| None).map_err(|error| self.failed(&error))
            }
            Destination::Part(part) => {
                let write = part.append(bytes, place).map_err(|error| cannot_write(&self.path, &error))?;
                let path = self.path.clone();
                Ok(Some(Box::new(move || {
                    write().map_err(|error| Error::io("write", path.display(), &error))
                })))
            }
        }
    }

    /// Drops the bytes in the buffer; a stream also drops all bytes that come later.
    pub(crate) fn discard(&mut self) {
        self.buffer.clear();
        if let Destination::Stream(stream) = &mut self.destination {
            stream.discard();
        }
    }

    /// Writes the bytes in the buffer.
    ///
    /// # Errors
    /// An I/O error.
    pub fn finish(&mut self) -> Result<()> {
        self.hand_over().map_err(|error| self.failed(&error))
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let written = match &mut self.destination {
            Destination::Stream(stream) => stream.write_through(&self.buffer),
            Destination::Part(part) => part.write(&self.buffer, self.length),
        };
        written?;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Whether the file begins with `bytes`; always true for a stream. Bytes in the buffer do not count.
    ///
    /// # Errors
    /// An I/O error.
    pub fn begins_with(&self, bytes: &[u8]) -> Result<bool> {
        let Destination::Part(part) = &self.destination else { return Ok(true) };
        part.begins_with(bytes).map_err(|error| self.failed(&error))
    }

    /// The state of the file for [`SinkContext::resume`]; `None` for a stream, and in a run that cannot resume.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) fn save(&mut self) -> Result<Option<SavedFile>> {
        self.finish()?;
        let Destination::Part(part) = &self.destination else { return Ok(None) };
        let Some((part, settle)) = part.save(&self.path, self.length) else { return Ok(None) };
        let state = postcard::to_stdvec(&part)
            .map_err(|error| Error::internal(format!("the state of a file cannot be saved: {error}")))?;
        Ok(Some(SavedFile { state, part, settle }))
    }

    /// Makes the file durable and gives it its final name; an older file of that name is replaced.
    ///
    /// # Errors
    /// An I/O error.
    pub fn commit(&mut self) -> Result<()> {
        self.publish(|files, part, path| files.rename(part, path))
    }

    /// The same, unless a file of that name exists.
    ///
    /// # Errors
    /// A usage error if one exists; an I/O error.
    pub fn commit_new(&mut self) -> Result<()> {
        self.publish(|files, part, path| files.rename_new(part, path))
    }

    /// As [`AtomicFile::commit_new`], also on file systems without hard links.
    ///
    /// # Errors
    /// As for [`AtomicFile::commit_new`].
    pub(crate) fn commit_beside(&mut self) -> Result<()> {
        self.publish(|files, part, path| rename_beside(files, part, path, || ()))
    }

    /// Its temporary name; `None` for a stream.
    pub(crate) fn part_name(&self) -> Option<&OsStr> {
        match &self.destination {
            Destination::Part(part) => part.name(),
            Destination::Stream(_) => None,
        }
    }

    /// The number of bytes so far, with those in the buffer.
    pub(crate) fn length(&self) -> u64 {
        self.length + self.buffer.len() as u64
    }

    fn publish(
        &mut self,
        rename: impl FnOnce(&dyn FileSystem, &Path, &Path) -> io::Result<()>,
    ) -> Result<()> {
        self.finish()?;
        let published = match &mut self.destination {
            Destination::Part(part) => part.publish(&self.path, rename),
            Destination::Stream(_) => Ok(()),
        };
        published.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::usage(format!("{} exists already", self.path.display())),
            _ => self.failed(&error),
        })
    }

    /// The error to report when writing to this output failed. A closed standard output is reported as such: its reader, such as `head`, has seen enough.
    pub fn failed(&self, error: &io::Error) -> Error {
        match (is_stdout(&self.path), error.kind()) {
            (true, io::ErrorKind::BrokenPipe) => Error::broken_pipe(),
            (true, _) => Error::io("write to", "standard output", error),
            (false, _) => cannot_write(&self.path, error),
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Destination::Stream(_) = &self.destination {
            // The bytes before these have been given out, so these are too, even if the run fails.
            let _reader_gone = self.hand_over();
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.hand_over()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_over()
    }
}

/// Renames the part file `part` to `path`, unless that exists; calls `before` once the part file of this machine is about to lose its name. At an address this is one request,
/// so that one of two runs is refused; on this machine it is a check and a rename, because some file systems have no hard links.
///
/// # Errors
/// An I/O error; `AlreadyExists` if it exists.
pub(crate) fn rename_beside(
    files: &dyn FileSystem,
    part: &Path,
    path: &Path,
    before: impl FnOnce(),
) -> io::Result<()> {
    if is_address(path) {
        return files.rename_new(part, path);
    }
    if kind_if_there(files, path)?.is_some() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    before();
    files.rename(part, path)
}

/// If a file is where a folder is to be created, the system reports `AlreadyExists`; `NotADirectory` says what is wrong.
fn not_a_folder(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::AlreadyExists { io::ErrorKind::NotADirectory.into() } else { error }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
