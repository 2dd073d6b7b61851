//! A part file: an output under its temporary name, which has [`PART`] after the final one, until it is complete.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::checksum::Checksum;
use super::hidden::{PART, beside, distinct};
use super::named::{cannot_write, check_named};
use super::saved_part::{Phase, SavedPart};
use super::tickets::{Ticket, Tickets};
use super::{Job, leftovers, marks};
use crate::context::SinkContext;
use crate::error::{Error, Result};
use crate::files::{Access, FileHandle, FileSystem, absolute, folder, write_all_at};

/// An output file, until it is complete under its temporary name.
pub(super) struct PartFile {
    files: Arc<dyn FileSystem>,
    handle: Arc<dyn FileHandle>,
    path: PathBuf,
    phase: Phase,
    /// What is needed to resume it; `None` in a run that cannot resume.
    lasting: Option<Lasting>,
}

/// What is recorded of a part file, so that a run can resume it.
#[derive(Default)]
struct Lasting {
    /// The checksums of all bytes so far.
    checksum: Checksum,
    tickets: Tickets,
    /// The state folder of the run.
    state: Option<PathBuf>,
    /// Whether its temporary name is durable: only then may a checkpoint refer to it.
    is_named: Arc<AtomicBool>,
}

impl PartFile {
    pub(super) fn create(path: &Path, context: &SinkContext, access: Access) -> io::Result<Self> {
        let files = Arc::clone(&context.files);
        match &context.run {
            Some(run) => leftovers::remove_of_run(context, run, path, |_| false),
            None => leftovers::remove_of_killed(&*files, path),
        }
        leftovers::say_of_lost(context, path);
        let (handle, part) = loop {
            let part = beside(path, PART, &distinct(context.run.as_deref()));
            let handle = match files.create(&part, access) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created?,
            };
            if leftovers::hold(&*handle, &part) {
                break (handle, part);
            }
        };
        marks::add(&*files, &part, context.state.as_deref());
        let state = context.state.clone();
        let lasting = context.run.is_some().then(|| Lasting { state, ..Lasting::default() });
        Ok(Self { files, handle, path: part, phase: Phase::Unpublished, lasting })
    }

    /// Resumes the part file `made`, whose final name is `path` now; returns the number of bytes that belong to the checkpoint.
    pub(super) fn resume(path: &Path, context: &SinkContext, made: SavedPart) -> Result<(Self, u64)> {
        let files = Arc::clone(&context.files);
        // The folder may have been moved with all its files.
        let part = folder(path).join(made.part.file_name().unwrap_or_default());
        let made = SavedPart { path: path.to_owned(), part, ..made };
        if let Some(run) = &context.run {
            leftovers::remove_of_run(context, run, path, |part| part == made.part);
        }
        let (handle, phase, end) = made.find(&*files)?;
        if phase == Phase::Unpublished {
            marks::add(&*files, &made.part, context.state.as_deref());
            // This run holds the lock of the state folder, so no other one writes to the file.
            let _held = leftovers::hold(&*handle, &made.part);
            handle
                .truncate(made.length)
                .map_err(|error| Error::io("truncate", made.part.display(), &error))?;
        }
        let lasting = Some(Lasting {
            checksum: Checksum::behind(made.crc, end),
            state: context.state.clone(),
            is_named: Arc::new(true.into()),
            ..Lasting::default()
        });
        Ok((Self { files, handle, path: made.part, phase, lasting }, made.length))
    }

    pub(super) fn write(&mut self, bytes: &[u8], place: u64) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check_there()?;
        write_all_at(&*self.handle, bytes, place)?;
        if let Some(lasting) = &mut self.lasting {
            lasting.checksum.add(bytes);
        }
        Ok(())
    }

    /// Appends `bytes` at `place`; returns the job that writes them.
    pub(super) fn append(
        &mut self,
        bytes: Vec<u8>,
        place: u64,
    ) -> io::Result<impl FnOnce() -> io::Result<()> + Send + use<>> {
        self.check_there()?;
        let ticket = self.lasting.as_mut().map(|lasting| lasting.promise(&bytes));
        let handle = Arc::clone(&self.handle);
        Ok(move || {
            write_all_at(&*handle, &bytes, place)?;
            ticket.into_iter().for_each(Ticket::done);
            Ok(())
        })
    }

    /// Whether the file begins with `bytes`.
    pub(super) fn begins_with(&self, bytes: &[u8]) -> io::Result<bool> {
        let mut found = vec![0; bytes.len()];
        let mut at = 0;
        while at < found.len() {
            match self.handle.read_at(&mut found[at..], at as u64)? {
                0 => return Ok(false),
                read => at += read,
            }
        }
        Ok(found == bytes)
    }

    /// What a checkpoint records of its first `length` bytes, and the job that makes them durable; `None` in a run that cannot resume. `path` is its final
    /// name.
    pub(super) fn save(&self, path: &Path, length: u64) -> Option<(SavedPart, Job)> {
        let lasting = self.lasting.as_ref()?;
        let (crc, end) = (lasting.checksum.of_all(), lasting.checksum.of_end());
        // The run may be resumed in another working directory.
        let saved = SavedPart { path: absolute(path), part: absolute(&self.path), length, crc, end };
        Some((saved.clone(), self.settle(lasting, path.to_owned(), saved.part)))
    }

    /// The job that makes all bytes so far durable, and the name of the file.
    fn settle(&self, lasting: &Lasting, path: PathBuf, part: PathBuf) -> Job {
        let (files, handle) = (Arc::clone(&self.files), Arc::clone(&self.handle));
        let name = (self.phase == Phase::Unpublished).then_some(part);
        let (promised, is_named) = (lasting.tickets.promised(), Arc::clone(&lasting.is_named));
        Box::new(move || {
            promised.wait().map_err(|()| Error::internal("a job that was to write to a file was dropped"))?;
            let failed = |error: io::Error| Error::io("make durable", path.display(), &error);
            handle.sync().map_err(failed)?;
            // A checkpoint must not refer to a file that was removed.
            name.map_or(Ok(()), |name| check_named(&*handle, &name))
                .map_err(|error| cannot_write(&path, &error))?;
            if !is_named.load(Ordering::Acquire) {
                files.sync_folder(folder(&path)).map_err(failed)?;
                is_named.store(true, Ordering::Release);
            }
            Ok(())
        })
    }

    /// Its temporary name.
    pub(super) fn name(&self) -> Option<&OsStr> {
        self.path.file_name()
    }

    /// Checks that it may be written to: it is not complete, and still has its name, without which the bytes would be lost.
    fn check_there(&self) -> io::Result<()> {
        match self.phase {
            Phase::Published => Err(io::Error::other("it is already complete")),
            Phase::Unpublished => check_named(&*self.handle, &self.path),
        }
    }

    /// Makes the file durable and gives it its final name `path` by `rename`, unless it has that name already.
    pub(super) fn publish(
        &mut self,
        path: &Path,
        rename: impl FnOnce(&dyn FileSystem, &Path, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.phase == Phase::Unpublished {
            self.handle.sync()?;
            check_named(&*self.handle, &self.path)?;
            if let Some(Lasting { state: Some(state), .. }) = &self.lasting {
                marks::remove(&*self.files, &self.path, state);
            }
            rename(&*self.files, &self.path, path)?;
            self.phase = Phase::Published;
        }
        // Also for a file that had its name already: the run that renamed it may have been killed before it made the name durable.
        self.files.sync_folder(folder(path))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.phase == Phase::Unpublished && self.lasting.is_none() {
            // It may have been removed already, for example with its folder.
            let _gone = self.files.remove(&self.path);
        }
    }
}

impl Lasting {
    /// Counts `bytes`, which a job will write; returns the job's ticket.
    fn promise(&mut self, bytes: &[u8]) -> Ticket {
        self.checksum.add(bytes);
        self.tickets.take()
    }
}
