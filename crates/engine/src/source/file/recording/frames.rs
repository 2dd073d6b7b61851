//! The frames of a recording in order; after a damaged frame, from the next valid one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::{BEGINNING, HEADER, MAGIC, MARK, MAX_FRAME, RecordingFrame, VERSION, checksum};
use crate::error::{Error, Result};
use crate::source::file::position::{FramePosition, LostFrames};
use crate::source::file::seen::Seen;

/// Bytes searched at once for the next frame.
const WINDOW: usize = 1 << 20;

/// A recording being read.
pub(super) struct Frames {
    path: PathBuf,
    file: File,
    size: u64,
    /// The offset of the next frame.
    at: u64,
    /// The ordinal of the next frame, if known.
    ordinal: Option<u64>,
    has_ended: bool,
    lost: LostFrames,
}

impl Frames {
    /// Opens the recording at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or has another version.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io("read", path.display(), &error);
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut version = [0];
        file.read_exact_at(&mut version, MAGIC.len() as u64).map_err(failed)?;
        if version != [VERSION] {
            let what = format!(
                "{} is a recording of version {}, but only version {} is supported",
                path.display(),
                version.escape_ascii(),
                [VERSION].escape_ascii()
            );
            return Err(
                Error::data(what).with_help("replay it with the version of tidemill that recorded it")
            );
        }
        let lost = LostFrames::default();
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            at: BEGINNING,
            ordinal: Some(0),
            has_ended: false,
            lost,
        })
    }

    /// Bytes read.
    pub(super) fn bytes(&self) -> u64 {
        self.at
    }

    /// The state of the file for a checkpoint, under the name `name` in the input.
    pub(super) fn seen(&self, name: &str) -> Result<Seen> {
        Seen::file(name, &self.file, None)
    }

    pub(super) fn place(&self) -> FramePosition {
        FramePosition { at: self.at, ordinal: self.ordinal, has_ended: self.has_ended, lost: self.lost }
    }

    /// Moves to a position returned by [`Frames::place`].
    pub(super) fn seek(&mut self, place: FramePosition) {
        let FramePosition { at, ordinal, has_ended, lost } = place;
        (self.at, self.ordinal, self.has_ended, self.lost) = (at, ordinal, has_ended, lost);
    }

    /// The next valid frame; `None` at the end.
    ///
    /// # Errors
    /// An I/O error. Damage is not an error: see [`Frames::missing`].
    pub(super) fn next(&mut self) -> Result<Option<RecordingFrame>> {
        if self.has_ended {
            return Ok(None);
        }
        let found = self.find().map_err(|error| Error::io("read", self.path.display(), &error))?;
        match found {
            Some(RecordingFrame::End) => {
                self.has_ended = true;
                Ok(None)
            }
            None => {
                self.has_ended = true;
                self.lost.is_cut_off = true;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// What could not be read, as text for people; once the end was reached.
    pub(super) fn missing(&self) -> Option<String> {
        let LostFrames { first, bytes, frames, is_cut_off } = self.lost;
        let path = self.path.display();
        let what = match (bytes, frames) {
            (0, 0) => String::new(),
            (_, 0) => format!("; {bytes} bytes from byte {first} on were not replayed"),
            (_, 1) => format!("; {bytes} bytes in 1 piece, from byte {first} on, were not replayed"),
            _ => format!("; {bytes} bytes in {frames} pieces, from byte {first} on, were not replayed"),
        };
        match is_cut_off {
            true => {
                Some(format!("the recording {path} is truncated: the mark of completeness is missing{what}"))
            }
            false if what.is_empty() => None,
            false => Some(format!("the recording {path} is damaged{what}")),
        }
    }

    /// Finds the next valid frame, and counts what precedes it as lost.
    fn find(&mut self) -> io::Result<Option<RecordingFrame>> {
        let from = self.at;
        let mut at = Some(from);
        while let Some(place) = at {
            if let Some((frame, ordinal, end)) = self.read(place)? {
                let missing = self.ordinal.map_or(0, |expected| ordinal.saturating_sub(expected));
                self.lose(from, place, missing);
                (self.at, self.ordinal) = (end, Some(ordinal.saturating_add(1)));
                return Ok(Some(frame));
            }
            at = self.next_mark(place + 1)?;
        }
        self.lose(from, self.size, 0);
        self.at = self.size;
        Ok(None)
    }

    fn lose(&mut self, from: u64, to: u64, frames: u64) {
        if self.lost.bytes == 0 && self.lost.frames == 0 {
            self.lost.first = from;
        }
        self.lost.bytes += to.saturating_sub(from);
        self.lost.frames += frames;
    }

    /// The frame at `at`, its ordinal and its end; `None` unless it is valid and follows those that were read.
    fn read(&self, at: u64) -> io::Result<Option<(RecordingFrame, u64, u64)>> {
        let mut header = [0; HEADER];
        if self.size.saturating_sub(at) < HEADER as u64 {
            return Ok(None);
        }
        self.file.read_exact_at(&mut header, at)?;
        let [m0, m1, m2, m3, l0, l1, l2, l3, ordinal @ .., c0, c1, c2, c3] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let ordinal = u64::from_le_bytes(ordinal);
        let end = at + (HEADER + length) as u64;
        if [m0, m1, m2, m3] != MARK || length > MAX_FRAME || end > self.size || Some(ordinal) < self.ordinal {
            return Ok(None);
        }
        let mut content = vec![0; length];
        self.file.read_exact_at(&mut content, at + HEADER as u64)?;
        if checksum(&header[..HEADER - 4], &content) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Ok(None);
        }
        Ok(postcard::from_bytes(&content).ok().map(|frame| (frame, ordinal, end)))
    }

    /// The offset of the next marker from `at` on.
    fn next_mark(&self, mut at: u64) -> io::Result<Option<u64>> {
        let mut window = vec![0; WINDOW.min(self.size.saturating_sub(at) as usize)];
        while self.size.saturating_sub(at) >= MARK.len() as u64 {
            let length = window.len().min((self.size - at) as usize);
            self.file.read_exact_at(&mut window[..length], at)?;
            if let Some(found) = memmem::find(&window[..length], &MARK) {
                return Ok(Some(at + found as u64));
            }
            // A marker across the end of the window is found in the next one.
            at += (length + 1 - MARK.len()) as u64;
        }
        Ok(None)
    }
}
