//! The file of a checkpoint.
//!
//! | part | content |
//! |---|---|
//! | head | magic number, version, the [link](super::chain) to the base of an incremental checkpoint: ordinal, length, checksum; zeros if it is complete |
//! | first part | how far the run is, the pipeline, the positions of the sources |
//! | sensors | the number of names that the base does not have at their ids; for each, the number of ids skipped since the last one, and the name |
//! | stages | the number of stages; for each, whether its state is complete (1) or what changed since the base (0), its pieces, and an empty piece at the end |
//! | last part | the state of the sinks, the counts |
//! | tail | the length of everything before it, then the CRC-32C of everything before that |
//!
//! Parts, names and pieces begin with their length. So a file is written in one pass, before the lengths of the stages' states are known,
//! and read without holding any of them in memory.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::path::Path;

use super::chain::Link;
use crate::files::{FileHandle, FileSystem};

pub(super) use read::{BaseContent, CheckpointFile, not_intact};
pub use write::Unwritten;

/// The magic number.
const MAGIC: &[u8; 8] = b"tidemill";

/// The version of the layout. A file of another version is refused.
const VERSION: u32 = 7;

/// The length of the head in bytes.
const HEAD: usize = BEFORE_LINK + Link::SIZE;

const BEFORE_LINK: usize = 8 + 4;

/// The length of the tail in bytes.
const TAIL: usize = 8 + CHECKSUM;

const CHECKSUM: usize = 4;

/// What follows of a stage's state.
const CHANGES: u64 = 0;
const COMPLETE: u64 = 1;

/// Bytes written or read at once.
const BUFFER: usize = 256 << 10;

/// Whether the head of the file at `path` says that the checkpoint is complete. The rest of the file is not checked.
pub(super) fn is_complete(files: &dyn FileSystem, path: &Path) -> bool {
    let mut head = [0; HEAD];
    let is_read = files.open(path).is_ok_and(|file| read_all_at(&*file, &mut head, 0).is_ok());
    is_read && split_head(head) == (VERSION, Link::default())
}

/// The version, and the link to the base.
fn split_head(head: [u8; HEAD]) -> (u32, Link) {
    let mut link = [0; Link::SIZE];
    link.copy_from_slice(&head[BEFORE_LINK..]);
    (u32::from_le_bytes([head[8], head[9], head[10], head[11]]), Link::from_bytes(link))
}

fn read_all_at(file: &dyn FileHandle, mut bytes: &mut [u8], mut place: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.read_at(bytes, place) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => (bytes, place) = (&mut bytes[read..], place + read as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
