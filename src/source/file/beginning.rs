//! The beginning of a file, for whoever wants to guess what is in it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::decompress::Packing;
use crate::error::{Error, Result};

/// The first `length` bytes of the file at `path`, decompressed where it is packed.
///
/// # Errors
/// When it cannot be read.
pub fn beginning(path: &Path, length: usize) -> Result<Vec<u8>> {
    read(path, length).map_err(|error| Error::io("read", path.display(), &error))
}

fn read(path: &Path, length: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let packing = Packing::of_file(&mut file)?;
    let file = BufReader::new(file);
    let mut reader = match packing {
        None => Box::new(file),
        Some(packing) => packing.reader(file)?,
    };
    let mut bytes = Vec::new();
    reader.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
