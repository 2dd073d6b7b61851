//! When a file is mapped.

use std::fs::{File, Metadata};

use crate::error::{Error, Result};
use crate::source::Io;
use crate::source::file::map::{MappedFile, is_local};
use crate::source::file::packing::Packing;

/// Smaller files are read: mapping them costs more than it saves.
const MIN_MAPPED: u64 = 1 << 20;

/// The mapping of a file if that is requested and safe: regular, local, uncompressed.
pub(super) fn mapping(file: &mut File, meta: &Metadata, io: Io, name: &str) -> Result<Option<MappedFile>> {
    if io == Io::Read || io == Io::Auto && meta.len() < MIN_MAPPED {
        return Ok(None);
    }
    let why_not = if !meta.is_file() {
        Some("it is not a regular file")
    } else if !is_local(file) {
        Some("it is on a network file system")
    } else if Packing::of_file(file).map_err(|error| Error::io("read", name, &error))?.is_some() {
        Some("it is compressed")
    } else if meta.len() == 0 {
        Some("it is empty")
    } else {
        None
    };
    match (why_not, io) {
        (None, _) => {
            MappedFile::open(file, meta.len()).map(Some).map_err(|error| Error::io("map", name, &error))
        }
        (Some(why), Io::Mmap) if meta.len() > 0 => Err(cannot_be_mapped(name, why)),
        _ => Ok(None),
    }
}

/// The error of a file that was to be mapped.
pub(super) fn cannot_be_mapped(name: &str, why: &str) -> Error {
    Error::config(format!("`{name}` cannot be mapped: {why}")).with_help("use `--io auto` or `--io read`")
}
