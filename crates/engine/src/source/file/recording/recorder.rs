//! Records input while it is read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::frames::Frames;
use super::{BEGINNING, Content, MAGIC, RecordedPiece, RecordingFrame, VERSION};
use crate::atomic::{cannot_write, check_named, is_stdout};
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::files::{Access, Disk, FileHandle, FileSystem, folder, make_lasting_folder, write_all_at};
use crate::offset::Offset;
use crate::source::Input;
use crate::source::file::position::Reached;
use crate::source::file::resume::ResumePosition;
use crate::time::Timestamp;

/// Extension of the recording of one source among several, after the name of the source.
const EXTENSION: &str = ".rec";

/// Records input while it is read. Clones write to the same recording.
#[derive(Clone)]
pub struct Recorder {
    path: Arc<Path>,
    /// The file system to write to.
    files: Arc<dyn FileSystem>,
    state: Arc<Mutex<RecorderState>>,
}

#[derive(Default)]
struct RecorderState {
    /// Set once the recording has begun.
    file: Option<Arc<dyn FileHandle>>,
    /// Its length in bytes.
    length: u64,
    frames: u64,
    /// Whether a source writes to it.
    is_taken: bool,
    /// Whether anyone may send to that source.
    is_open: bool,
    /// Whether pieces are held until the run accepts them.
    is_held: bool,
    held: Option<RecordedPiece>,
    /// The ordinal of the next piece among those of all sources that are recorded together.
    next: u64,
    /// The recordings of the individual sources, if there are several.
    parts: Vec<Recorder>,
    /// Whether this is the recording of one among several sources.
    is_part: bool,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recorder({})", self.path.display())
    }
}

impl Recorder {
    /// A recording at `path`, which begins with the input.
    ///
    /// # Errors
    /// A usage error if a file exists already: recordings are never overwritten.
    pub fn create(path: &Path) -> Result<Self> {
        Self::check(path)?;
        let recorder = Self::resumable(path);
        if path.exists() && !is_empty(path) { Err(recorder.is_there()) } else { Ok(recorder) }
    }

    /// Checks that `path` can be the path of a recording.
    ///
    /// # Errors
    /// A usage error if it is standard output.
    pub fn check(path: &Path) -> Result<()> {
        match is_stdout(path) {
            true => {
                Err(Error::usage("a recording cannot go to standard output").with_help("name a file for it"))
            }
            false => Ok(()),
        }
    }

    /// The same for a run that may resume: a recording that is part of its checkpoint is continued.
    pub fn resumable(path: &Path) -> Self {
        Self { path: path.into(), files: Arc::new(Disk), state: Arc::default() }
    }

    /// The same recording on a file system derived from its own.
    pub(crate) fn on(self, change: impl FnOnce(Arc<dyn FileSystem>) -> Arc<dyn FileSystem>) -> Self {
        Self { files: change(self.files), ..self }
    }

    /// Marks the recording as complete and makes it durable.
    ///
    /// # Errors
    /// An I/O error.
    pub fn finish(&self) -> Result<()> {
        let mut state = self.lock();
        state.parts.iter().try_for_each(Self::finish)?;
        if state.file.is_none() {
            return Ok(());
        }
        self.write(&mut state, &RecordingFrame::End)?;
        self.sync(&state)
    }

    /// Registers a source that will write to it; anyone may send to that source if it `is_open`. A source that is not registered cannot be
    /// recorded.
    pub(in crate::source::file) fn take(&self, is_open: bool) {
        let mut state = self.lock();
        (state.is_taken, state.is_open) = (true, is_open);
    }

    /// Whether a source has been registered.
    pub(crate) fn is_taken(&self) -> bool {
        self.lock().is_taken
    }

    /// From now on every piece is held until it is [accepted](Recorder::accept) or [dropped](Recorder::drop_held).
    pub(crate) fn hold(&self) {
        self.lock().is_held = true;
    }

    /// The path of the recording of one source among several that were recorded at `path`.
    pub fn part_of(path: &Path, name: &str) -> PathBuf {
        path.join(format!("{name}{EXTENSION}"))
    }

    /// The recording of the source `name` among several: a file in a folder at the path of this recording, which is created with it.
    pub(crate) fn part(&self, name: &str) -> Self {
        let path = Self::part_of(&self.path, name);
        let part = Self { path: path.into(), files: Arc::clone(&self.files), state: Arc::default() };
        part.hold();
        part.lock().is_part = true;
        self.lock().parts.push(part.clone());
        part
    }

    /// The ordinal of the next piece among those of all sources that are recorded together.
    pub(crate) fn next(&self) -> u64 {
        self.lock().next
    }

    /// The run accepted the held piece, with this ordinal among those of all sources.
    pub(crate) fn accept(&self, arrival: u64) -> Result<()> {
        let mut state = self.lock();
        let Some(piece) = state.held.take() else { return Ok(()) };
        state.next = arrival + 1;
        let arrival = state.is_part.then_some(arrival);
        self.write(&mut state, &RecordingFrame::Piece(RecordedPiece { arrival, ..piece }))
    }

    /// The run dropped the held piece: it does not become part of the recording.
    pub(crate) fn drop_held(&self) {
        self.lock().held = None;
    }

    /// Begins the file with the columns, unless that is done.
    pub(in crate::source::file) fn begin(&self, schema: &Schema) -> Result<()> {
        let mut state = self.lock();
        if state.file.is_some() {
            return Ok(());
        }
        let path = &self.path;
        if state.is_part {
            make_lasting_folder(&*self.files, folder(path), true).map_err(|error| self.failed(&error))?;
        }
        let opened = self.files.create(path, Access::Private);
        let file = match opened {
            // An empty recording may be overwritten: a run that was killed at once leaves one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_empty(path) => {
                self.files.open_own(path).and_then(|file| file.truncate(0).map(|()| file))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(self.is_there()),
            opened => opened,
        };
        let file = file.map_err(|error| self.failed(&error))?;
        let beginning = [MAGIC.as_slice(), &[VERSION]].concat();
        write_all_at(&*file, &beginning, 0).map_err(|error| self.failed(&error))?;
        (state.file, state.length, state.frames, state.held) = (Some(file), BEGINNING, 0, None);
        self.write(&mut state, &RecordingFrame::Columns(schema.fields().to_vec()))?;
        if state.is_open { Ok(()) } else { self.write(&mut state, &RecordingFrame::Limited) }
    }

    /// Finishes the recording of a run that has ended, whose input position `place` is in a checkpoint: the run may have been killed before
    /// it marked the recording as complete.
    ///
    /// # Errors
    /// If the position cannot be decoded, or the recording is a different one.
    pub(crate) fn finish_from(&self, place: &[u8]) -> Result<()> {
        ResumePosition::from_bytes(place)?.recorded.map_or(Ok(()), |reached| self.resume(&reached))
    }

    /// Continues after what a checkpoint contains: later pieces will be received again, or were not accepted.
    pub(in crate::source::file) fn resume(&self, reached: &Reached) -> Result<()> {
        if reached.path != self.lasting_path() {
            return Ok(());
        }
        let is_other = || {
            let path = self.path.display();
            Error::data(format!("{path} is not the recording that the run had begun"))
                .with_help("bring it back, or record the rest under another name")
        };
        let file = match self.files.open_own(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(is_other()),
            opened => opened.map_err(|error| self.failed(&error))?,
        };
        let size = file.size().map_err(|error| self.failed(&error))?;
        if size < reached.length || !super::is_recording(&self.path) {
            return Err(is_other());
        }
        file.truncate(reached.length).map_err(|error| self.failed(&error))?;
        let mut state = self.lock();
        (state.file, state.held) = (Some(file), None);
        (state.length, state.frames, state.next) = (reached.length, reached.frames, reached.next);
        Ok(())
    }

    /// Its length for a checkpoint; that much is durable.
    pub(in crate::source::file) fn reached(&self) -> Result<Reached> {
        let state = self.lock();
        self.sync(&state)?;
        let RecorderState { length, frames, next, .. } = *state;
        Ok(Reached { path: self.lasting_path(), length, frames, next })
    }

    /// Its absolute path.
    fn lasting_path(&self) -> PathBuf {
        std::path::absolute(&self.path).unwrap_or_else(|_| self.path.to_path_buf())
    }

    /// Adds a piece of input of a stream with this `stem` and `head`, `received` at this time if it is live.
    pub(in crate::source::file) fn add(
        &self,
        input: &Input,
        received: Option<Timestamp>,
        stem: &str,
        head: &[u8],
    ) -> Result<()> {
        let (file, offset, content) = match input {
            Input::Nothing | Input::Foreseen(_) | Input::Deferred(_) => return Ok(()),
            Input::Chunk(chunk) => {
                let content = Content::Records(chunk.bytes.as_slice().to_vec());
                (chunk.file.to_string(), chunk.offset, content)
            }
            Input::Records(decoded) => {
                let file = decoded.rejections.first().map(|rejection| rejection.position.file.to_string());
                (file.unwrap_or_default(), Offset::default(), Content::Rejections(decoded.rejections.clone()))
            }
        };
        let (stem, head) = (stem.to_owned(), head.to_vec());
        let received = received.map(Timestamp::as_nanos);
        let piece = RecordedPiece { received, file, stem, head, offset, content, arrival: None };
        let mut state = self.lock();
        if state.is_held {
            state.held = Some(piece);
            return Ok(());
        }
        self.write(&mut state, &RecordingFrame::Piece(piece))
    }

    /// Writes a frame in one piece, if the recording still exists.
    fn write(&self, state: &mut RecorderState, frame: &RecordingFrame) -> Result<()> {
        let RecorderState { file: Some(file), length, frames, .. } = state else {
            return Err(Error::internal("a recording that has not begun"));
        };
        let bytes = frame.to_bytes(*frames)?;
        check_named(&**file, &self.path).map_err(|error| self.failed(&error))?;
        write_all_at(&**file, &bytes, *length).map_err(|error| self.failed(&error))?;
        *length += bytes.len() as u64;
        *frames += 1;
        Ok(())
    }

    fn sync(&self, state: &RecorderState) -> Result<()> {
        let Some(file) = &state.file else { return Ok(()) };
        let synced = file.sync().and_then(|()| check_named(&**file, &self.path));
        synced.map_err(|error| self.failed(&error))
    }

    fn lock(&self) -> MutexGuard<'_, RecorderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_there(&self) -> Error {
        Error::usage(format!("{} exists already", self.path.display()))
            .with_help("recordings are not overwritten: choose another name")
    }

    fn failed(&self, error: &io::Error) -> Error {
        cannot_write(&self.path, error)
    }
}

/// Whether the file at `path` is a recording without input.
fn is_empty(path: &Path) -> bool {
    let holds_nothing = |mut frames: Frames| {
        loop {
            match frames.next() {
                Ok(Some(RecordingFrame::Columns(_) | RecordingFrame::Limited)) => {}
                end => return matches!(end, Ok(None)),
            }
        }
    };
    super::is_recording(path) && Frames::open(path).is_ok_and(holds_nothing)
}
