//! Input as it came, kept in a file; of several sources, in a folder with a file for each. It has what was received, when, and by whom it was sent. Played again, it gives the bits that the
//! live run gave.
//!
//! The file: magic and version, then frames. A frame is
//!
//! | bytes | |
//! |---|---|
//! | 4 | a mark, by which the next frame is found behind a damaged one |
//! | 4 | the length of the content |
//! | 8 | the ordinal of the frame, from 0: it tells how many are missing |
//! | 4 | CRC-32C of all that and of the content |
//! | … | the content |
//!
//! The first says what the columns are, the second of what kind the input is, the last that the recording is complete. Every frame is handed to the system in one piece as soon
//! as its input has been taken on, so a kill loses none.

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
pub(super) use frames::Place as Played;
pub(super) use player::Recording;
pub(super) use recorder::Reached;
pub use recorder::Recorder;

/// What a recording begins with; the version follows.
const MAGIC: &[u8; 15] = b"tidemill-record";

/// How the frames are laid out. A recording of another version is refused.
const VERSION: u8 = b'5';

/// Bytes before the first frame.
const BEGINNING: u64 = MAGIC.len() as u64 + 1;

/// What a frame begins with: no UTF-8 text has these bytes.
const MARK: [u8; 4] = [0xff, 0xfb, 0x74, 0xfe];

/// Bytes of a frame before its content.
const HEADER: usize = 4 + 4 + 8 + 4;

/// A frame has this many bytes at most: a chunk and what is said of it.
const MAX_FRAME: usize = 64 << 20;

/// What a frame holds.
#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    Columns(Vec<Field>),
    Piece(Piece),
    /// The recording is complete.
    End,
    /// Behind the columns: of input with one sender, such as a file or a pipe. It was held to limits, and so it is when it is played.
    Limited,
}

/// What came at one time.
#[derive(Debug, Serialize, Deserialize)]
struct Piece {
    /// When, in nanoseconds since 1970, by the clock of the machine that received it; `None` for history that lay there.
    received: Option<i64>,
    /// The stream as messages name it, and the sensor that it is of where it has no sensor column.
    file: String,
    stem: String,
    /// What stood before its first record: a header.
    head: Vec<u8>,
    offset: Offset,
    content: Content,
    /// Of several sources that were recorded together: its ordinal among the pieces of all of them.
    arrival: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Content {
    Records(Vec<u8>),
    Rejections(Vec<Rejection>),
}

impl Frame {
    /// The bytes of the frame with this ordinal.
    fn to_bytes(&self, ordinal: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; HEADER];
        bytes = postcard::to_extend(self, bytes)
            .map_err(|error| Error::internal(format!("the recording cannot be written: {error}")))?;
        let length = bytes.len() - HEADER;
        if length > MAX_FRAME {
            return Err(Error::data(format!("{length} bytes came at once, more than a recording takes"))
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

/// That of a frame, whose header this is without it.
fn checksum(header: &[u8], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), content)
}

/// Whether the file at `path` is a recording of what anybody could send to.
pub(super) fn is_of_open_input(path: &Path) -> bool {
    let is_limited = |mut frames: Frames| {
        // Behind the columns.
        let [_, second] = [frames.next(), frames.next()];
        matches!(second, Ok(Some(Frame::Limited)))
    };
    is_recording(path) && !Frames::open(path).is_ok_and(is_limited)
}

/// Whether the file at `path` is a recording, of whatever version, by its first bytes.
pub fn is_recording(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let is_file = path.metadata().is_ok_and(|meta| meta.is_file());
    is_file && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *MAGIC
}
