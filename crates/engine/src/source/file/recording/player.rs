//! Replaying a recording.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frames::Frames;
use super::{Content, RecordedPiece, RecordingFrame};
use crate::batch::{Batch, Bytes, Schema};
use crate::error::{Error, Result};
use crate::format::{Chunk, Decode, Decoded, Format, Head};
use crate::offset::{Offset, Sequence};
use crate::source::file::input::TextInput;
use crate::source::file::input_file::InputFile;
use crate::source::file::position::{FramePosition, InFiles, ReadPosition};
use crate::source::stream::wait::PATIENCE;
use crate::source::{Changes, Input, OpenOptions, Progress};
use crate::time::{Clock, Timestamp};

/// The stream of a piece, and its decoder.
struct ReplayStream {
    file: String,
    stem: String,
    head: Vec<u8>,
    decoder: Arc<dyn Decode>,
}

/// A recording being replayed.
pub(in crate::source::file) struct Recording {
    file: InputFile,
    frames: Frames,
    format: Arc<dyn Format>,
    schema: Arc<Schema>,
    /// The stream of the previous piece, which is mostly that of the next one too.
    bound: Option<ReplayStream>,
    /// Speed as a multiple of the original; `None`: as fast as possible.
    speed: Option<f64>,
    /// When the first piece was received, and when it was replayed.
    start: Option<(i64, Instant)>,
    /// The next piece, held until it is due.
    next: Option<RecordedPiece>,
    received: Option<Timestamp>,
    /// The position after the last piece that was replayed.
    played: FramePosition,
    /// Whether the run resumes if the recording has changed.
    changes: Changes,
}

impl Recording {
    /// Opens the recording `file` at `path`.
    ///
    /// # Errors
    /// If it is not a recording, or cannot be read.
    pub(in crate::source::file) fn open(
        file: &InputFile,
        path: &Path,
        format: Arc<dyn Format>,
        options: &OpenOptions,
    ) -> Result<Self> {
        let mut frames = Frames::open(path)?;
        let Some(RecordingFrame::Columns(fields)) = frames.next()? else {
            let what = match frames.missing() {
                Some(missing) => {
                    format!("{missing}; without its beginning, its columns are unknown")
                }
                None => format!("`{}` is an empty recording", path.display()),
            };
            return Err(Error::data(what).with_help("restore a copy of it, or record again"));
        };
        let schema = Arc::new(Schema::new(fields)?);
        let played = frames.place();
        Ok(Self {
            file: file.clone(),
            frames,
            format,
            schema,
            bound: None,
            speed: options.speed,
            start: None,
            next: None,
            received: None,
            played,
            changes: options.changes,
        })
    }

    /// The columns of the recorded input.
    pub(in crate::source::file) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn move_to(&mut self, place: FramePosition) {
        self.frames.seek(place);
        (self.played, self.next, self.start) = (place, None, None);
    }

    /// Time until a piece received at `received` is due.
    fn wait(&mut self, received: i64) -> Option<Duration> {
        let speed = self.speed?;
        let (first, start) = *self.start.get_or_insert_with(|| (received, Instant::now()));
        let after = Duration::from_nanos(received.saturating_sub(first).max(0).unsigned_abs()).div_f64(speed);
        after.checked_sub(start.elapsed()).filter(|wait| !wait.is_zero())
    }

    fn play(&mut self, piece: RecordedPiece, sequence: Sequence) -> Result<Input> {
        let RecordedPiece { file, stem, head, offset, content, .. } = piece;
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
        let is_of = |known: &&ReplayStream| (&known.file, &known.stem, &known.head) == (&file, &stem, &head);
        if let Some(known) = self.bound.as_ref().filter(is_of) {
            return Ok(Arc::clone(&known.decoder));
        }
        let bound = self
            .format
            .bind(Head { name: &file, stem: &stem, bytes: &head, is_whole: true }, &self.schema)?;
        let decoder = Arc::clone(&bound.decoder);
        self.bound = Some(ReplayStream { file, stem, head, decoder: Arc::clone(&decoder) });
        Ok(decoder)
    }
}

impl TextInput for Recording {
    fn next(&mut self, sequence: Sequence) -> Result<Option<Input>> {
        let piece = match self.next.take() {
            Some(piece) => piece,
            None => match self.frames.next()? {
                Some(RecordingFrame::Piece(piece)) => piece,
                // A repeated header, from a concatenated copy.
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

    fn drain(&mut self, _sequence: Sequence, _can_resume: bool) -> Result<Option<Input>> {
        Ok(None)
    }

    fn received(&self, _clock: &Clock) -> Option<Timestamp> {
        self.received
    }

    fn has_ticks(&self) -> bool {
        true
    }

    /// `None` for a source that was recorded alone, and at the end.
    fn arrival(&mut self) -> Result<Option<u64>> {
        while self.next.is_none() {
            match self.frames.next()? {
                Some(RecordingFrame::Piece(piece)) => self.next = Some(piece),
                // A repeated header, from a concatenated copy.
                Some(_) => {}
                None => return Ok(None),
            }
        }
        Ok(self.next.as_ref().and_then(|piece| piece.arrival))
    }

    fn stem(&self) -> &str {
        ""
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: self.played.at(), line: 1 }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.move_to(FramePosition::of_byte(offset.at));
        Ok(())
    }

    fn save(&self) -> Result<ReadPosition> {
        let files = vec![self.frames.seen(&self.file.name)?];
        Ok(ReadPosition::Played(InFiles { offset: self.offset(), files, ahead: None }, self.played))
    }

    fn restore(&mut self, position: ReadPosition) -> Result<Vec<String>> {
        let ReadPosition::Played(files, played) = position else { return Err(position.of_another_input()) };
        files.find(std::slice::from_ref(&self.file), Some(&*self.format), self.changes)?;
        self.move_to(played);
        Ok(Vec::new())
    }

    fn progress(&self) -> Progress {
        Progress { done: self.frames.bytes(), total: None }
    }

    fn missing(&self) -> Option<String> {
        self.frames.missing()
    }
}
