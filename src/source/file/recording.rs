//! Live input as it came, kept in a file: what was received, when, and by whom it was sent. Played again, it gives the bits that the
//! live run gave.
//!
//! The file: magic, then frames; each is its length, its CRC-32C and its content. The first says what the columns are. A recording
//! that was cut off ends at its last whole frame.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::resume::Seen;
use super::wait::PATIENCE;
use crate::batch::{Batch, Bytes, Field, Schema};
use crate::chunk::{Chunk, Decoded};
use crate::error::{Error, Rejection, Result};
use crate::files::{Access, create_new};
use crate::format::{Decode, Format, Head};
use crate::offset::{Offset, Sequence};
use crate::source::Input;
use crate::time::Timestamp;

/// What a recording begins with.
const MAGIC: &[u8; 16] = b"tidemill-record1";

/// A frame has this many bytes at most: a chunk and what is said of it.
const MAX_FRAME: usize = 64 << 20;

/// What came at one time.
#[derive(Debug, Serialize, Deserialize)]
struct Frame {
    /// When, in nanoseconds since 1970, by the clock of the machine that received it; `None` for history that lay there.
    received: Option<i64>,
    /// The stream as messages name it, and the sensor that it is of where it has no sensor column.
    file: String,
    stem: String,
    /// What stood before its first record: a header.
    head: Vec<u8>,
    offset: Offset,
    content: Content,
}

#[derive(Debug, Serialize, Deserialize)]
enum Content {
    Records(Vec<u8>),
    Rejections(Vec<Rejection>),
}

/// Writes a recording while its input is read.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<BufWriter<File>>>, PathBuf);

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recorder({})", self.1.display())
    }
}

impl Recorder {
    /// Begins a recording at `path`.
    ///
    /// # Errors
    /// What the system says; a usage error where a file is there already: recordings are not made twice.
    pub fn create(path: &Path) -> Result<Self> {
        let file = create_new(path, Access::Private).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::usage(format!("{} is there already", path.display()))
                .with_help("a recording cannot be made again: give this one another name"),
            _ => Error::io("write", path.display(), &error),
        })?;
        let mut writer = BufWriter::new(file);
        writer.write_all(MAGIC).map_err(|error| Error::io("write", path.display(), &error))?;
        Ok(Self(Arc::new(Mutex::new(writer)), path.to_owned()))
    }

    /// Says what the columns are; before all else.
    pub(super) fn begin(&self, schema: &Schema) -> Result<()> {
        self.frame(&schema.fields())
    }

    /// Adds what came in, at `received` where it was live, of a stream with this `stem` and `head`.
    pub(super) fn add(
        &self,
        input: &Input,
        received: Option<Timestamp>,
        stem: &str,
        head: &[u8],
    ) -> Result<()> {
        let (file, offset, content) = match input {
            Input::Nothing => return Ok(()),
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
        self.frame(&Frame { received, file, stem, head, offset, content })
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(&self) -> Result<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.flush().and_then(|()| writer.get_ref().sync_all()).map_err(|error| self.failed(&error))
    }

    fn frame(&self, content: &impl Serialize) -> Result<()> {
        let content = postcard::to_stdvec(content)
            .map_err(|error| Error::internal(format!("the recording cannot be written: {error}")))?;
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let length = (content.len() as u32).to_le_bytes();
        let crc = crc32c::crc32c(&content).to_le_bytes();
        let written = [&length[..], &crc, &content].iter().try_for_each(|bytes| writer.write_all(bytes));
        written.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::io("write", self.1.display(), error)
    }
}

/// Whether the file at `path` is a recording, by its first bytes.
pub fn is_recording(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let is_file = path.metadata().is_ok_and(|meta| meta.is_file());
    is_file && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *MAGIC
}

/// The frames of a recording, one after the other.
struct Frames {
    path: PathBuf,
    reader: BufReader<File>,
    bytes: u64,
    is_cut_off: bool,
}

/// The stream of a frame, and what reads it.
struct Stream {
    file: String,
    stem: String,
    head: Vec<u8>,
    decoder: Arc<dyn Decode>,
}

/// A recording that is played.
pub(super) struct Recording {
    frames: Frames,
    format: Arc<dyn Format>,
    schema: Arc<Schema>,
    /// That of the stream of the frame before: mostly the next one is of the same.
    bound: Option<Stream>,
    /// How many times as fast as it was received; as fast as possible where `None`.
    speed: Option<f64>,
    /// When the first frame was received, and when it was played.
    start: Option<(i64, Instant)>,
    /// What is to be played next, when its time has come.
    next: Option<Frame>,
    received: Option<Timestamp>,
    /// Bytes of the frames that have been played, that of the columns included.
    played: u64,
}

impl Recording {
    /// Opens the recording at `path`.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub(super) fn open(path: &Path, format: Arc<dyn Format>, speed: Option<f64>) -> Result<Self> {
        let failed = |error: io::Error| Error::io("read", path.display(), &error);
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
        reader.seek_relative(MAGIC.len() as i64).map_err(failed)?;
        let mut frames = Frames { path: path.to_owned(), reader, bytes: 0, is_cut_off: false };
        let fields: Vec<Field> = frames.next()?.ok_or_else(|| {
            Error::data(format!("`{}` is an empty recording", path.display())).with_help("record again")
        })?;
        let schema = Arc::new(Schema::new(fields)?);
        let played = frames.bytes;
        Ok(Self {
            frames,
            format,
            schema,
            bound: None,
            speed,
            start: None,
            next: None,
            received: None,
            played,
        })
    }

    /// What is remembered of it: a recording does not change.
    pub(super) fn seen(&self) -> Result<Seen> {
        Seen::file(&self.frames.path.to_string_lossy(), self.frames.reader.get_ref(), None)
    }

    /// How many bytes have been played: where [`Recording::seek`] goes on.
    pub(super) fn played(&self) -> u64 {
        self.played
    }

    /// Goes on behind the first `played` bytes.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn seek(&mut self, played: u64) -> Result<()> {
        self.frames.seek(played)?;
        (self.played, self.next, self.start) = (played, None, None);
        Ok(())
    }

    /// The columns of what was recorded.
    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// What came next, when its time has come; `None` at the end.
    pub(super) fn next(&mut self, sequence: Sequence) -> Result<Option<Input>> {
        let frame = match self.next.take() {
            Some(frame) => frame,
            None => match self.frames.next()? {
                Some(frame) => frame,
                None => return Ok(None),
            },
        };
        if let Some(wait) = frame.received.and_then(|received| self.wait(received)) {
            std::thread::sleep(wait.min(PATIENCE));
            self.next = Some(frame);
            return Ok(Some(Input::Nothing));
        }
        self.received = frame.received.map(Timestamp::from_nanos);
        self.played = self.frames.bytes;
        self.play(frame, sequence).map(Some)
    }

    /// When what was given last was received.
    pub(super) fn received(&self) -> Option<Timestamp> {
        self.received
    }

    /// Bytes that have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.frames.bytes
    }

    /// What is worth knowing at the end.
    pub(super) fn remarks(&self) -> Vec<String> {
        let remark =
            format!("{} was cut off: it was played to its last whole piece", self.frames.path.display());
        if self.frames.is_cut_off { vec![remark] } else { Vec::new() }
    }

    /// How long it is until what was received then is due.
    fn wait(&mut self, received: i64) -> Option<Duration> {
        let speed = self.speed?;
        let (first, start) = *self.start.get_or_insert_with(|| (received, Instant::now()));
        let after = Duration::from_nanos(received.saturating_sub(first).max(0).unsigned_abs()).div_f64(speed);
        after.checked_sub(start.elapsed()).filter(|wait| !wait.is_zero())
    }

    fn play(&mut self, frame: Frame, sequence: Sequence) -> Result<Input> {
        let Frame { file, stem, head, offset, content, .. } = frame;
        Ok(match content {
            Content::Rejections(rejections) => {
                let batch = Batch::empty(Arc::clone(&self.schema));
                Input::Records(Decoded { batch, rejections, lines: 0 })
            }
            Content::Records(bytes) => {
                let name: Arc<str> = file.as_str().into();
                let decoder = self.decoder(file, stem, head)?;
                let bytes = Bytes::new(bytes);
                Input::Chunk(Chunk { sequence, file: name, offset, bytes, decoder, witness: None })
            }
        })
    }

    fn decoder(&mut self, file: String, stem: String, head: Vec<u8>) -> Result<Arc<dyn Decode>> {
        let is_of = |known: &&Stream| (&known.file, &known.stem, &known.head) == (&file, &stem, &head);
        if let Some(known) = self.bound.as_ref().filter(is_of) {
            return Ok(Arc::clone(&known.decoder));
        }
        let bound = self
            .format
            .bind(Head { name: &file, stem: &stem, bytes: &head, is_whole: true }, &self.schema)?;
        let decoder = Arc::clone(&bound.decoder);
        self.bound = Some(Stream { file, stem, head, decoder: Arc::clone(&decoder) });
        Ok(decoder)
    }
}

impl Frames {
    /// Goes to the frame that begins behind the first `bytes` of all frames.
    fn seek(&mut self, bytes: u64) -> Result<()> {
        let place = SeekFrom::Start(MAGIC.len() as u64 + bytes);
        self.reader.seek(place).map_err(|error| Error::io("read", self.path.display(), &error))?;
        self.bytes = bytes;
        Ok(())
    }

    /// The next one; `None` at the end, or where it was cut off.
    fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let mut start = [0; 8];
        match self.reader.read_exact(&mut start) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(Error::io("read", self.path.display(), &error)),
        }
        let [a, b, c, d, crc @ ..] = start;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > MAX_FRAME {
            return Err(self.damaged("a piece says that it has more bytes than any has"));
        }
        let mut content = vec![0; length];
        match self.reader.read_exact(&mut content) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.is_cut_off = true;
                return Ok(None);
            }
            Err(error) => return Err(Error::io("read", self.path.display(), &error)),
        }
        if crc32c::crc32c(&content) != u32::from_le_bytes(crc) {
            return Err(self.damaged("a piece is not what was written"));
        }
        self.bytes += (8 + length) as u64;
        postcard::from_bytes(&content).map(Some).map_err(|error| self.damaged(&error.to_string()))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::data(format!(
            "the recording {} is damaged near byte {}: {what}",
            self.path.display(),
            self.bytes
        ))
        .with_help("bring back a copy of it, or record again")
    }
}
