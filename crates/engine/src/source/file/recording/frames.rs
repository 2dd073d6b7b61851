//! The frames of a recording, one after the other; behind a damaged one, from the next that is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::{BEGINNING, Frame, HEADER, MAGIC, MARK, MAX_FRAME, VERSION, checksum};
use crate::error::{Error, Result};
use crate::source::file::seen::Seen;

/// Bytes that are looked through at once for the next frame.
const WINDOW: usize = 1 << 20;

/// A recording that is read.
pub(super) struct Frames {
    path: PathBuf,
    file: File,
    size: u64,
    /// Where the next frame begins.
    at: u64,
    /// The ordinal of the next frame, where that is known.
    ordinal: Option<u64>,
    has_ended: bool,
    lost: Lost,
}

/// What could not be read.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(in crate::source::file) struct Lost {
    /// Where it begins.
    first: u64,
    bytes: u64,
    /// Frames, as far as that is known.
    frames: u64,
    /// Whether nothing says that the recording is complete.
    is_cut_off: bool,
}

/// A place between two frames.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::source) struct Place {
    at: u64,
    ordinal: Option<u64>,
    has_ended: bool,
    lost: Lost,
}

impl Place {
    /// The byte `at` in the file, of which nothing else is known.
    pub(in crate::source::file) fn of_byte(at: u64) -> Self {
        Self { at, ordinal: None, has_ended: false, lost: Lost::default() }
    }

    /// The byte in the file.
    pub(super) fn at(self) -> u64 {
        self.at
    }
}

impl Frames {
    /// Opens the recording at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is of another version.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io("read", path.display(), &error);
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut version = [0];
        file.read_exact_at(&mut version, MAGIC.len() as u64).map_err(failed)?;
        if version != [VERSION] {
            let what = format!(
                "{} is a recording of version {}, and this reads version {}",
                path.display(),
                version.escape_ascii(),
                [VERSION].escape_ascii()
            );
            return Err(Error::data(what).with_help("play it with the version of tidemill that made it"));
        }
        let lost = Lost::default();
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

    /// How many bytes have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.at
    }

    /// What is remembered of the file, which the input calls `name`.
    pub(super) fn seen(&self, name: &str) -> Result<Seen> {
        Seen::file(name, &self.file, None)
    }

    pub(super) fn place(&self) -> Place {
        Place { at: self.at, ordinal: self.ordinal, has_ended: self.has_ended, lost: self.lost }
    }

    /// Goes to a place that [`Frames::place`] gave.
    pub(super) fn go_to(&mut self, place: Place) {
        let Place { at, ordinal, has_ended, lost } = place;
        (self.at, self.ordinal, self.has_ended, self.lost) = (at, ordinal, has_ended, lost);
    }

    /// The next whole one; `None` at the end.
    ///
    /// # Errors
    /// What the system says. Damage is none: see [`Frames::missing`].
    pub(super) fn next(&mut self) -> Result<Option<Frame>> {
        if self.has_ended {
            return Ok(None);
        }
        let found = self.find().map_err(|error| Error::io("read", self.path.display(), &error))?;
        match found {
            Some(Frame::End) => {
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

    /// What of the recording could not be read, for people; once it has been read to its end.
    pub(super) fn missing(&self) -> Option<String> {
        let Lost { first, bytes, frames, is_cut_off } = self.lost;
        let path = self.path.display();
        let what = match (bytes, frames) {
            (0, 0) => String::new(),
            (_, 0) => format!("; {bytes} bytes from byte {first} on were not played"),
            (_, 1) => format!("; {bytes} bytes in 1 piece, from byte {first} on, were not played"),
            _ => format!("; {bytes} bytes in {frames} pieces, from byte {first} on, were not played"),
        };
        match is_cut_off {
            true => Some(format!("the recording {path} was cut off: nothing says that it is complete{what}")),
            false if what.is_empty() => None,
            false => Some(format!("the recording {path} is damaged{what}")),
        }
    }

    /// The next whole frame, and what lies before it counted as lost.
    fn find(&mut self) -> io::Result<Option<Frame>> {
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

    /// The frame at `at`, its ordinal and its end; `None` where no whole one is that comes behind those that were read.
    fn read(&self, at: u64) -> io::Result<Option<(Frame, u64, u64)>> {
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

    /// Where the next mark is, from `at` on.
    fn next_mark(&self, mut at: u64) -> io::Result<Option<u64>> {
        let mut window = vec![0; WINDOW.min(self.size.saturating_sub(at) as usize)];
        while self.size.saturating_sub(at) >= MARK.len() as u64 {
            let length = window.len().min((self.size - at) as usize);
            self.file.read_exact_at(&mut window[..length], at)?;
            if let Some(found) = memmem::find(&window[..length], &MARK) {
                return Ok(Some(at + found as u64));
            }
            // One that lies across the end of the window is seen the next time.
            at += (length + 1 - MARK.len()) as u64;
        }
        Ok(None)
    }
}
