//! Plays a recording.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frames::{Frames, Place};
use super::{Content, Frame, Piece};
use crate::batch::{Batch, Bytes, Schema};
use crate::error::{Error, Result};
use crate::format::{Chunk, Decode, Decoded, Format, Head};
use crate::offset::Sequence;
use crate::source::Input;
use crate::source::file::seen::Seen;
use crate::source::file::wait::PATIENCE;
use crate::time::Timestamp;

/// The stream of a piece, and what reads it.
struct Stream {
    file: String,
    stem: String,
    head: Vec<u8>,
    decoder: Arc<dyn Decode>,
}

/// A recording that is played.
pub(in crate::source::file) struct Recording {
    frames: Frames,
    format: Arc<dyn Format>,
    schema: Arc<Schema>,
    /// That of the stream of the piece before: mostly the next one is of the same.
    bound: Option<Stream>,
    /// How many times as fast as it was received; as fast as possible where `None`.
    speed: Option<f64>,
    /// When the first piece was received, and when it was played.
    start: Option<(i64, Instant)>,
    /// What is to be played next, when its time has come.
    next: Option<Piece>,
    received: Option<Timestamp>,
    /// Behind what has been played.
    played: Place,
}

impl Recording {
    /// Opens the recording at `path`.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub(in crate::source::file) fn open(
        path: &Path,
        format: Arc<dyn Format>,
        speed: Option<f64>,
    ) -> Result<Self> {
        let mut frames = Frames::open(path)?;
        let Some(Frame::Columns(fields)) = frames.next()? else {
            let what = match frames.missing() {
                Some(missing) => {
                    format!("{missing}; without its beginning nothing says what its columns are")
                }
                None => format!("`{}` is an empty recording", path.display()),
            };
            return Err(Error::data(what).with_help("bring back a copy of it, or record again"));
        };
        let schema = Arc::new(Schema::new(fields)?);
        let played = frames.place();
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

    /// What is remembered of it, which the input calls `name`: a recording does not change.
    pub(in crate::source::file) fn seen(&self, name: &str) -> Result<Seen> {
        self.frames.seen(name)
    }

    /// Behind what has been played.
    pub(in crate::source::file) fn place(&self) -> Place {
        self.played
    }

    /// How many bytes that is.
    pub(in crate::source::file) fn played(&self) -> u64 {
        self.played.at()
    }

    /// Goes on at a place that [`Recording::place`] gave.
    pub(in crate::source::file) fn go_to(&mut self, place: Place) {
        self.frames.go_to(place);
        (self.played, self.next, self.start) = (place, None, None);
    }

    /// The columns of what was recorded.
    pub(in crate::source::file) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The place of the next piece among those of all sources that were recorded together; `None` for a source that was recorded alone, and at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::source::file) fn arrival(&mut self) -> Result<Option<u64>> {
        while self.next.is_none() {
            match self.frames.next()? {
                Some(Frame::Piece(piece)) => self.next = Some(piece),
                // The columns, once more: of a frame that was copied here.
                Some(_) => {}
                None => return Ok(None),
            }
        }
        Ok(self.next.as_ref().and_then(|piece| piece.arrival))
    }

    /// What came next, when its time has come; `None` at the end.
    pub(in crate::source::file) fn next(&mut self, sequence: Sequence) -> Result<Option<Input>> {
        let piece = match self.next.take() {
            Some(piece) => piece,
            None => match self.frames.next()? {
                Some(Frame::Piece(piece)) => piece,
                // The columns, once more: of a frame that was copied here.
                Some(_) => return Ok(Some(Input::Nothing)),
                None => {
                    self.played = self.frames.place();
                    return Ok(None);
                }
            },
        };
        if let Some(wait) = piece.received.and_then(|received| self.wait(received)) {
            std::thread::sleep(wait.min(PATIENCE));
            self.next = Some(piece);
            return Ok(Some(Input::Nothing));
        }
        self.received = piece.received.map(Timestamp::from_nanos);
        self.played = self.frames.place();
        self.play(piece, sequence).map(Some)
    }

    /// When what was given last was received.
    pub(in crate::source::file) fn received(&self) -> Option<Timestamp> {
        self.received
    }

    /// Bytes that have been read.
    pub(in crate::source::file) fn bytes(&self) -> u64 {
        self.frames.bytes()
    }

    /// What of it could not be played, once it has been played to its end.
    pub(in crate::source::file) fn missing(&self) -> Option<String> {
        self.frames.missing()
    }

    /// How long it is until what was received then is due.
    fn wait(&mut self, received: i64) -> Option<Duration> {
        let speed = self.speed?;
        let (first, start) = *self.start.get_or_insert_with(|| (received, Instant::now()));
        let after = Duration::from_nanos(received.saturating_sub(first).max(0).unsigned_abs()).div_f64(speed);
        after.checked_sub(start.elapsed()).filter(|wait| !wait.is_zero())
    }

    fn play(&mut self, piece: Piece, sequence: Sequence) -> Result<Input> {
        let Piece { file, stem, head, offset, content, .. } = piece;
        Ok(match content {
            Content::Rejections(rejections) => {
                let batch = Batch::empty(Arc::clone(&self.schema));
                Input::Records(Decoded { batch, rejections, lines: 0 })
            }
            Content::Records(bytes) => {
                let name: Arc<str> = file.as_str().into();
                let decoder = self.decoder(file, stem, head)?;
                let bytes = Bytes::new(bytes);
                Input::Chunk(Chunk {
                    sequence,
                    file: name,
                    offset,
                    bytes,
                    decoder,
                    witness: None,
                    received: None,
                })
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
