//! The beginning of a file, for detecting its format.

use super::blocks::Blocks;
use super::input_file::InputFile;
use crate::error::Result;
use crate::source::stream::wait::Arrival;
use crate::source::{Io, OpenOptions};

/// The first `length` bytes of `file`, decompressed if necessary.
///
/// # Errors
/// If the file cannot be read.
pub fn beginning(file: &InputFile, length: usize) -> Result<Vec<u8>> {
    let mut blocks = Blocks::open(file, &OpenOptions { io: Io::Read, ..OpenOptions::default() })?;
    while blocks.is_live() && blocks.there().0.len() < length {
        if blocks.more()? == Arrival::End {
            break;
        }
    }
    let (bytes, _) = if blocks.is_live() { blocks.there() } else { blocks.peek(length)? };
    Ok(bytes[..bytes.len().min(length)].to_vec())
}
