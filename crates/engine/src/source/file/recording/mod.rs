//! Recordings: raw input kept in a file, or, for several sources, in a folder with one file per source. They contain what was received,
//! when, and from whom. A replay gives the same bits as the live run.
//!
//! The file: magic number and version, then frames. A frame is
//!
//! | bytes | |
//! |---|---|
//! | 4 | a marker, by which the next frame is found after a damaged one |
//! | 4 | the length of the content |
//! | 8 | the ordinal of the frame, from 0: it reveals how many are missing |
//! | 4 | CRC-32C of all of the above and the content |
//! | … | the content |
//!
//! The first frame has the columns, the second the kind of input, the last marks the recording as complete. Every frame is written in one
//! piece as soon as its input was accepted, so a kill loses none.

mod frames;
mod player;
mod recorder;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::batch::Field;
use crate::error::{Error, Rejection, Result};
use crate::offset::Offset;

use frames::Frames;
pub(super) use player::Recording;
pub use recorder::Recorder;

/// The magic number; the version follows.
const MAGIC: &[u8; 15] = b"tidemill-record";

/// The version of the frame layout. A recording of another version is refused.
const VERSION: u8 = b'6';

/// Offset of the first frame.
const BEGINNING: u64 = MAGIC.len() as u64 + 1;

/// The marker of a frame: not valid in UTF-8.
const MARK: [u8; 4] = [0xff, 0xfb, 0x74, 0xfe];

/// Bytes of a frame before its content.
const HEADER: usize = 4 + 4 + 8 + 4;

/// Maximum length of a frame: a chunk and its metadata.
const MAX_FRAME: usize = 64 << 20;

/// The content of a frame.
#[derive(Debug, Serialize, Deserialize)]
enum RecordingFrame {
    Columns(Vec<Field>),
    Piece(RecordedPiece),
    /// The recording is complete.
    End,
    /// Second frame: input with one sender, such as a file or a pipe. Limits were enforced when it was recorded, and are enforced in a
    /// replay.
    Limited,
}

/// A piece of input received at one time.
#[derive(Debug, Serialize, Deserialize)]
struct RecordedPiece {
    /// The time of arrival in nanoseconds since 1970, by the clock of the receiving machine; `None` for historical input.
    received: Option<i64>,
    /// The name of the stream in messages, and its sensor if it has no sensor column.
    file: String,
    stem: String,
    /// The bytes before its first record: a header.
    head: Vec<u8>,
    offset: Offset,
    content: Content,
    /// Its ordinal among the pieces of all sources, if several were recorded together.
    arrival: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Content {
    Records(Vec<u8>),
    Rejections(Vec<Rejection>),
}

impl RecordingFrame {
    /// The bytes of the frame with this ordinal.
    fn to_bytes(&self, ordinal: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; HEADER];
        bytes = postcard::to_extend(self, bytes)
            .map_err(|error| Error::internal(format!("the recording cannot be written: {error}")))?;
        let length = bytes.len() - HEADER;
        if length > MAX_FRAME {
            return Err(Error::data(format!("a piece of {length} bytes is too long for a recording"))
                .with_help("run without recording"));
        }
        bytes[..4].copy_from_slice(&MARK);
        bytes[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&ordinal.to_le_bytes());
        let crc = checksum(&bytes[..16], &bytes[HEADER..]);
        bytes[16..HEADER].copy_from_slice(&crc.to_le_bytes());
        Ok(bytes)
    }
}

/// The checksum of a frame; `header` excludes the checksum itself.
fn checksum(header: &[u8], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), content)
}

/// Whether the file at `path` is a recording of an input that anyone could send to.
pub(super) fn is_of_open_input(path: &Path) -> bool {
    let is_limited = |mut frames: Frames| {
        // The second frame says so.
        let [_, second] = [frames.next(), frames.next()];
        matches!(second, Ok(Some(RecordingFrame::Limited)))
    };
    is_recording(path) && !Frames::open(path).is_ok_and(is_limited)
}

/// Whether the file at `path` is a recording of any version, by its magic number.
pub fn is_recording(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let is_file = path.metadata().is_ok_and(|meta| meta.is_file());
    is_file && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *MAGIC
}
